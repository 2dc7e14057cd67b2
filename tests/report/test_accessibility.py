"""No serious fault for those who read by keyboard, magnifier or screen reader, in any page and either scheme."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from tests.accessibility import faults
from tests.report.test_browser import pages

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["pages"]  # the fixture of the other tests in Chromium

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.mark.parametrize("name", ["report", "hostile", "notebook", "index", "compare", "history"])
def test_no_serious_fault(browser: Browser, pages: dict[str, Path], name: str) -> None:
    for scheme in SCHEMES:
        page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
        page.goto(pages[name].as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
        assert faults(page) == [], scheme
        page.close()


def test_a_fault_would_be_found(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content('<html lang="en"><title>t</title><img src="data:,"><p style="color:#ccc;background:#fff">pale</p>')
    assert [fault.partition(":")[0] for fault in faults(page)] == ["color-contrast", "image-alt"]
    page.close()
