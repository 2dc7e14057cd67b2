"""JupyterLab in Chromium, opened as ``make lab`` does: the tour runs to its end, nothing leaves loopback."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import nbformat
import pytest

from rx580lab.models import export
from rx580lab.report import render_run
from tests.accessibility import faults
from tests.jupyter.lab import Lab, running_lab
from tests.report import synthetic
from tests.tree import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

TOUR = "notebooks/tour/01_quickstart.ipynb"
PANELS = {
    "kernel": 'rx.widgets.kernel("gemm", template="cpu", shape="96x96x96")',
    "devices": "rx.widgets.devices()",
    "runs": "rx.widgets.runs()",
    "server": 'rx.widgets.server("models", device="pocl")',
}
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


def write_panels(folder: Path, panels: dict[str, str]) -> None:
    """A notebook for each panel: its name -> the expression that makes it."""
    for name, code in panels.items():
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(f"import rx580lab as rx\n\n{code}")])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
        nbformat.write(notebook, folder / f"{name}.ipynb")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The tour and two finished runs."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks/tour", folder / "notebooks/tour")
    write_panels(folder, PANELS)
    export("fashion-mnist", folder / "models")
    for _ in range(2):
        render_run(synthetic.gemm_run(folder / "reports"))
    with running_lab(folder) as found:
        yield found


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
    assert faults(page, ".rx-experiment") == []
    assert faults(page, ".rx-show:has(svg)") == []
    assert seen.foreign == []
    assert seen.complaints == []
    page.context.close()


def saved(page: Page, lab: Lab, notebook: str) -> list[dict[str, Any]]:
    """The code cells of a notebook as Ctrl+S keeps them."""
    path = lab.folder / notebook
    before = path.stat().st_mtime_ns
    page.keyboard.press("Control+s")
    deadline = time.monotonic() + 30
    while path.stat().st_mtime_ns == before or not path.read_bytes().endswith(b"}\n"):  # it is written in place
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


def panel_of(browser: Browser, lab: Lab, name: str, seen: Seen) -> tuple[Page, Locator]:
    """A notebook with one panel, run."""
    page = opened(browser, lab, f"/lab/tree/{name}.ipynb?token={lab.token}&reset", seen)
    run_all(page)
    panel = page.locator(f".rx-{name}")
    panel.wait_for()
    return page, panel


def press(panel: Locator, button: str, by: str = "keyboard") -> None:
    """A button of a panel, by keyboard or by mouse."""
    found = panel.get_by_role("button", name=re.compile(rf"^\W*{button}$"))  # an icon is part of a button's name
    if by == "mouse":
        found.click()
        return
    found.focus()
    found.press("Enter")


def says(panel: Locator, words: str, timeout_s: float = 120) -> None:
    """Waits until the panel shows ``words``, a regular expression."""
    from playwright.sync_api import expect

    expect(panel).to_contain_text(re.compile(words, re.DOTALL), timeout=timeout_s * 1000)


def test_a_slider_moves_by_keyboard_and_the_result_changes(browser: Browser, lab: Lab) -> None:
    seen = Seen()
    page, panel = panel_of(browser, lab, "kernel", seen)
    slider = panel.get_by_role("slider").first
    before = slider.get_attribute("aria-valuetext")
    press(panel, "Build and run")
    says(panel, rf"Tried so far.*\b\w+={before}\b.*\d\s(ns|µs|ms)")
    slider.focus()
    slider.press("ArrowLeft")
    after = slider.get_attribute("aria-valuetext")
    assert after != before
    says(panel, rf"Tried so far.*={after}\b.*\d\s(ns|µs|ms).*={before}\b")
    assert panel.locator(".rx-bad").count() == 0
    assert faults(page, ".rx-kernel") == []
    assert seen.foreign == []
    assert seen.complaints == []
    page.close()


def test_a_kernel_with_a_mistake_says_where_and_the_notebook_lives_on(browser: Browser, lab: Lab) -> None:
    seen = Seen()
    page, panel = panel_of(browser, lab, "kernel", seen)
    panel.get_by_role("checkbox", name="Edit the source").check()
    source = panel.locator("textarea")
    source.fill(source.input_value().replace("{", "{ this is no C;", 1))
    press(panel, "Build and run")
    says(panel, r"error: .*this")
    run_all(page)
    panel.wait_for()
    assert seen.complaints == []
    page.close()


def test_a_slider_is_moved_by_mouse_and_the_result_changes(browser: Browser, lab: Lab) -> None:
    seen = Seen()
    page, panel = panel_of(browser, lab, "kernel", seen)
    slider = panel.get_by_role("slider").first
    slider.scroll_into_view_if_needed()
    before = slider.get_attribute("aria-valuetext")
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 8, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2, steps=8)
    page.mouse.up()
    after = slider.get_attribute("aria-valuetext")
    assert after != before
    press(panel, "Build and run", "mouse")
    says(panel, rf"Tried so far.*={after}\b.*right\d")
    assert seen.foreign == []
    assert seen.complaints == []
    page.close()


@pytest.mark.parametrize("by", ["keyboard", "mouse"])
def test_a_run_starts_shows_progress_and_is_cancelled(browser: Browser, lab: Lab, by: str) -> None:
    seen = Seen()
    page = opened(browser, lab, f"/lab/tree/{TOUR}?token={lab.token}&reset", seen)
    run_all(page)
    panel = page.locator(".rx-experiment")
    panel.scroll_into_view_if_needed()
    press(panel, "Run", by)
    says(panel, r"Running.*point 1 of \d+: cell \d+ of \d+")
    press(panel, "Cancel", by)
    says(panel, r"Cancelled")
    assert panel.get_by_role("button", name="Run", exact=True).is_enabled()
    assert seen.foreign == []
    assert seen.complaints == []
    page.close()


def readings_at(panel: Locator) -> str:
    """When the device panel last read its sensors."""
    found = re.search(r"Readings of pocl/\S+ at (\d\d:\d\d:\d\d) UTC", panel.inner_text())
    assert found is not None, panel.inner_text()
    return found.group(1)


def test_devices_and_runs_are_shown(browser: Browser, lab: Lab) -> None:
    seen = Seen()
    page, panel = panel_of(browser, lab, "devices", seen)
    says(panel, "pocl/")
    press(panel, "Refresh")
    says(panel, "pocl/")
    press(panel, "Live", "mouse")
    first = readings_at(panel)
    says(panel, rf"Readings of pocl/\S+ at (?!{first})\d\d:\d\d:\d\d UTC")
    press(panel, "Live", "mouse")
    assert faults(page, ".rx-devices") == []
    page.close()
    page, panel = panel_of(browser, lab, "runs", seen)
    says(panel, "gemm")
    assert faults(page, ".rx-runs") == []
    assert seen.foreign == []
    assert seen.complaints == []
    page.close()


def test_runs_are_compared_and_a_report_opens_by_mouse(browser: Browser, lab: Lab) -> None:
    seen = Seen()
    page, panel = panel_of(browser, lab, "runs", seen)
    panel.get_by_label("Experiment").select_option("bench/gemm")  # other tests leave runs of their own
    says(panel, r"Found: 2 of \d+ runs")
    entries = panel.locator("select[multiple] option")
    entries.nth(0).click()
    says(panel, r"Failed: oracle")  # the made-up run has a wrong output, and says so before all else
    entries.nth(1).click(modifiers=["Control"])
    says(panel, r"Compared.*SAME at \d+ of \d+")
    panel.get_by_role("link", name="Open report").first.click()
    page.frame_locator(".jp-HTMLViewer iframe").locator("#verdict").wait_for()
    assert seen.foreign == []
    assert seen.complaints == []
    page.close()


def test_a_server_is_started_given_a_key_and_stopped_by_keyboard(browser: Browser, lab: Lab) -> None:
    seen = Seen()
    page, panel = panel_of(browser, lab, "server", seen)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    press(panel, "Start")
    says(panel, r"Serving: at http://127\.0\.0\.1:\d+.*fashion-mnist\s*1\s*ready")
    says(panel, r"inferences\s*0\.0 a second")
    field = panel.get_by_role("textbox", name="Key of role user")
    assert field.count() == 0
    press(panel, "Create key")
    says(panel, "copy the key now")
    key = field.input_value()
    assert re.fullmatch(r"rx580_\w{8}_[\w-]{43}", key)
    press(panel, "Copy key")
    says(panel, "Copied")
    assert page.evaluate("navigator.clipboard.readText()") == key
    assert faults(page, ".rx-server") == []
    press(panel, "Hide key")
    field.wait_for(state="hidden")
    saved(page, lab, "server.ipynb")
    assert key not in (lab.folder / "server.ipynb").read_text(encoding="utf-8")
    press(panel, "Unload")
    says(panel, r"Unloaded: fashion-mnist.*")
    press(panel, "Stop")
    says(panel, "Stopped: everything in hand was finished")
    assert panel.get_by_role("button", name="Start").is_enabled()
    assert seen.foreign == []
    assert seen.complaints == []
    page.close()
