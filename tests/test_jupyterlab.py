"""JupyterLab in Chromium, opened as ``make lab`` does: the tour runs to its end, nothing leaves loopback."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from rx580lab.report import render_run
from tests.jupyter.lab import Lab, running_lab
from tests.report import synthetic
from tests.report.test_browser import FLAGS
from tests.requirements import require
from tests.tree import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TOUR = "notebooks/tour/01_quickstart.ipynb"
LOOPBACK = {"127.0.0.1", "localhost"}


@dataclass
class Seen:
    """What a page asked for and complained about."""

    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        def asked(url: str) -> None:
            parts = urlsplit(url)
            if parts.scheme not in {"data", "blob"} and parts.hostname not in LOOPBACK:
                self.foreign.append(url)

        page.on("request", lambda request: asked(request.url))
        page.on("websocket", lambda socket: asked(socket.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                self.complaints.append(f"{message.text} ({message.location})") if message.type == "error" else None
            ),
        )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The tour and one finished run."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks/tour", folder / "notebooks/tour")
    render_run(synthetic.gemm_run(folder / "reports"))
    with running_lab(folder) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    require("playwright")
    program = require("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()


def opened(browser: Browser, lab: Lab, path: str, seen: Seen) -> Page:
    """A notebook in JupyterLab whose kernel is really there: the indicator says idle before one exists."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(120_000)
    seen.watch(page)
    page.goto(f"{lab.address}{path}")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
    page.wait_for_selector('.jp-Toolbar-kernelName:has-text("Python 3 (ipykernel)")')
    deadline = time.monotonic() + 120
    while not any(
        session["kernel"]["execution_state"] == "idle" and session["kernel"]["connections"] > 0
        for session in lab.api("/api/sessions")
    ):
        assert time.monotonic() < deadline, "no kernel became idle"
        time.sleep(0.2)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
    return page


def run_all(page: Page) -> None:
    """Run > Run All Cells, until every cell has run."""
    page.click('.lm-MenuBar-itemLabel:text-is("Run")')
    page.click('.lm-Menu-item[data-command="runmenu:run-all"]')
    # Outputs that are out of sight are not drawn, so the end is told by the kernel's own state.
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="busy"]')
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=240_000)


def test_make_lab_opens_the_tour_and_it_runs_to_its_end(browser: Browser, lab: Lab) -> None:
    seen = Seen()
    page = opened(browser, lab, f"/?token={lab.token}", seen)
    assert urlsplit(page.url).path == f"/lab/tree/{TOUR}"
    run_all(page)
    page.wait_for_selector(".jp-OutputArea-output .rx-show svg circle")
    assert (
        page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]').all_inner_texts() == []
    )
    cells = saved(page, lab, TOUR)
    assert [cell["source"] for cell in cells if cell["execution_count"] is None] == []
    assert [out for cell in cells for out in cell["outputs"] if out["output_type"] == "error"] == []
    report_opens(page)
    assert seen.foreign == []
    assert seen.complaints == []
    page.context.close()


def saved(page: Page, lab: Lab, notebook: str) -> list[dict[str, Any]]:
    """The code cells of a notebook as Ctrl+S keeps them."""
    path = lab.folder / notebook
    before = path.stat().st_mtime_ns
    page.keyboard.press("Control+s")
    deadline = time.monotonic() + 30
    while path.stat().st_mtime_ns == before:
        assert time.monotonic() < deadline, "the notebook was not saved"
        page.wait_for_timeout(100)
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def report_opens(page: Page) -> None:
    """In the frame of the last cell: the list of runs, then the run's page by its link, by keyboard."""
    frame = page.frame_locator('iframe[title="reports of rx580lab"]')
    link = frame.locator('a[href$="report.html"]').first
    link.scroll_into_view_if_needed()
    link.focus()
    page.keyboard.press("Enter")
    frame.locator("#verdict").wait_for()
    assert frame.locator("script").count() == 0
