"""The pages as Chromium sees them: nothing requested, nothing complained about, no sideways scrolling on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import nbformat
import pytest

from rx580lab.report import render_index, render_run
from rx580lab.report.compare import render_compare
from rx580lab.results.baseline import baseline_from, write_baseline
from rx580lab.results.folder import RunFolder
from tests.report import synthetic
from tests.report.test_compare import hostile_pair, on_driver, one_run, pair_of
from tests.report.test_notebook import HOSTILE
from tests.report.test_page import hostile_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("reports")
    run, hostile = synthetic.gemm_run(root), hostile_run(root)
    notebook = hostile / "points/a1/executed.ipynb"
    executed = synthetic.notebook(hostile=f"{HOSTILE} $a_b$ $\\text{{{HOSTILE}}}$")
    notebook.write_text(nbformat.writes(executed), encoding="utf-8")
    first, later = one_run(root, name="again"), one_run(root, name="again", lab=1.1, seed=900, on=on_driver("7.0"))
    write_baseline(root, baseline_from(RunFolder.open(first)))
    return {
        "compare": render_compare(pair_of(first, later), root),
        "hostile compare": render_compare(hostile_pair(root), root / "hostile.html"),
        "baseline": render_run(later),
        "history": root / "bench/again/history.html",
        "hostile history": root / "bench/gemm/history.html",
        "notebook with code": hostile / "points/a1/executed-code.html",
        "report": render_run(run),
        "hostile": render_run(hostile),
        "notebook": hostile / "points/a1/executed.html",
        "index": render_index(root),
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize(
    "name",
    [
        "report",
        "hostile",
        "notebook",
        "notebook with code",
        "index",
        "compare",
        "hostile compare",
        "baseline",
        "history",
        "hostile history",
    ],
)
def test_pages_ask_for_nothing_complain_of_nothing_and_fit(
    browser: Browser, pages: dict[str, Path], name: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    address = pages[name].as_uri()
    page.goto(address)
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    assert requests == [address]
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 20, 23)"
    assert dark == (scheme == "dark")
    page.close()


@pytest.mark.parametrize("name", ["compare", "history", "index", "baseline"])
def test_text_of_the_pages_about_several_runs_is_readable(browser: Browser, pages: dict[str, Path], name: str) -> None:
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        page = browser.new_page(color_scheme=scheme)
        page.goto(pages[name].as_uri())
        assert page.evaluate(_CONTRAST) >= 4.5
        page.close()


def test_text_is_readable_and_pictures_have_colour_in_both_schemes(browser: Browser, pages: dict[str, Path]) -> None:
    fills = {}
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        page = browser.new_page(color_scheme=scheme)
        page.goto(pages["report"].as_uri())
        fills[scheme] = page.evaluate(
            "[...new Set([...document.querySelectorAll('svg .fill')].map(e => getComputedStyle(e).fill))]"
        )
        ratio = page.evaluate(_CONTRAST)
        assert ratio >= 4.5, (scheme, ratio)
        page.close()
    assert len(fills["light"]) == len(fills["dark"]) == 3
    assert not set(fills["light"]) & set(fills["dark"])


def test_the_index_filters_itself_by_mouse_and_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(pages["index"].as_uri())
    rows, sections = page.locator("tr.run:visible"), page.locator("section.experiment:visible")
    everything = rows.count()
    note = page.get_by_text("A filter is on")
    assert not note.is_visible()
    page.get_by_label("bench/again").check()
    assert (rows.count(), sections.count(), note.is_visible()) == (2, 1, True)
    page.get_by_role("group", name="Experiment").get_by_label("all").check()
    assert (rows.count(), note.is_visible()) == (everything, False)
    page.locator("#f-status-all").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#f-status-s-ok").is_checked()
    assert set(rows.evaluate_all("rows => rows.map(row => row.classList.contains('s-ok'))")) == {True}
    assert 0 < rows.count() < everything
    assert page.locator("section.experiment:visible:not(:has(tr.run:visible))").count() == 0
    page.close()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", ["report", "hostile", "history"])
def test_words_in_pictures_do_not_run_into_each_other(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(pages[name].as_uri())
    assert page.evaluate(_COLLISIONS) == []
    page.close()


def test_printing_opens_every_fold_and_fits_the_paper(browser: Browser, pages: dict[str, Path]) -> None:
    page = browser.new_page(viewport={"width": 680, "height": 900}, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    page.goto(pages["report"].as_uri())
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    assert page.locator("details:not([open]) .hash").first.is_visible()
    page.close()


# Pairs of texts of one picture whose boxes overlap by more than a pixel.
_COLLISIONS = """() => {
  const found = [];
  for (const picture of document.querySelectorAll('svg.chart')) {
    const texts = [...picture.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
    texts.forEach(([a, p], i) => texts.slice(i + 1).forEach(([b, q]) => {
      const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
      const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      if (wide > 1 && high > 2) found.push([a, b]);
    }));
  }
  return found;
}"""

# The smallest contrast (WCAG 2) between text and the nearest background that is not transparent.
_CONTRAST = """() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = parse(c).map(v => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
    if ((parse(c)[3] ?? 1) > 0) return c; } return 'rgb(255, 255, 255)'; };
  let worst = 99;
  for (const e of document.querySelectorAll('body *:not(svg *)')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !e.checkVisibility()) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((p, q) => q - p);
    worst = Math.min(worst, (a + .05) / (b + .05));
  }
  return worst;
}"""
