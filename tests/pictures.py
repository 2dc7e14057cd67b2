"""Makes the README's pictures from real runs: ``make pictures``, after ``make report``.

The report is the newest whole run of ``bench/quickstart`` under ``reports/``; the panel is operated in JupyterLab as a
person would, on the device at hand.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rx580lab.report import render_run
from rx580lab.results import RunFolder, reports_root, runs
from tests.chromium import running_chromium
from tests.jupyter.lab import running_lab
from tests.test_jupyterlab import PANELS, Seen, panel_of, press, says, write_panels
from tests.tree import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

FOLDER = ROOT / ".github" / "pictures"
THEME = Path("@jupyterlab/apputils-extension/themes.jupyterlab-settings")


def newest_run() -> RunFolder:
    """The newest run of ``bench/quickstart`` that ended ok and was no ``--ci`` run."""
    found = [run for run in runs(reports_root(), "bench", "quickstart") if run.manifest.status == "ok"]
    whole = [run for run in found if not run.manifest.ci]
    if not whole:
        sys.exit("expected a whole run of bench/quickstart under reports/, got none; run `make report` first")
    return whole[0]


def report_pictures(browser: Browser) -> None:
    """The top of the report, and its first point, as a reader sees them."""
    page = browser.new_page(viewport={"width": 1180, "height": 900}, color_scheme="light")
    page.goto(render_run(newest_run().path).as_uri())
    page.screenshot(path=FOLDER / "report.png")
    page.set_viewport_size({"width": 1180, "height": 760})
    page.locator("#point-1").evaluate("element => element.scrollIntoView()")
    page.screenshot(path=FOLDER / "point.png")
    page.close()


def panel_picture(browser: Browser) -> None:
    """The kernel explorer in JupyterLab's dark theme, after two settings were tried."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "lab"
        settings = Path(name) / "settings"
        folder.mkdir()
        (settings / THEME).parent.mkdir(parents=True)
        (settings / THEME).write_text(json.dumps({"theme": "JupyterLab Dark"}), encoding="utf-8")
        shutil.copytree(ROOT / "notebooks/tour", folder / "notebooks/tour")
        write_panels(folder, {"kernel": PANELS["kernel"]})
        with running_lab(folder, settings=settings) as lab:
            page, panel = panel_of(browser, lab, "kernel", Seen())
            try_two_settings(panel)
            page.screenshot(path=FOLDER / "panel.png")
            page.close()


def try_two_settings(panel: Locator) -> None:
    """Build and run, then one step of the first slider."""
    press(panel, "Build and run")
    says(panel, r"Tried so far.*right\d")
    slider = panel.get_by_role("slider").first
    slider.focus()
    slider.press("ArrowLeft")
    says(panel, rf"Tried so far.*={slider.get_attribute('aria-valuetext')}\b.*right\d.*right\d")
    panel.scroll_into_view_if_needed()


def main() -> None:
    """Writes all pictures."""
    FOLDER.mkdir(exist_ok=True)
    with running_chromium() as browser:
        report_pictures(browser)
        panel_picture(browser)


if __name__ == "__main__":
    main()
