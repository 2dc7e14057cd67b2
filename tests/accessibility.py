"""axe-core's opinion of a page that is open in a browser."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from tests.requirements import require

if TYPE_CHECKING:
    from playwright.sync_api import Page

SERIOUS = {"serious", "critical"}


def faults(page: Page, selector: str = "html") -> list[str]:
    """The serious and critical faults that axe-core finds in the first element of ``selector``.

    The script comes in through the debugger, so the page's own content policy stays as it is.
    """
    require("axe")
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("selector => axe.run(document.querySelector(selector))", selector)
    assert found["passes"], "axe-core looked at nothing"
    return [
        f"{fault['id']}: {fault['nodes'][0]['html'][:200]}"
        for fault in found["violations"]
        if fault["impact"] in SERIOUS
    ]
