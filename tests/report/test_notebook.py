from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from rx580lab.report.notebook import clean, code_page, notebook_pages, render_notebook
from tests.report import synthetic

HOSTILE = '<script>alert(1)</script><img src="http://x.invalid/a.png" onerror="alert(2)"><iframe srcdoc="x"></iframe>'
NAMES = ("executed.html", "executed-code.html")


def with_code(notebook: object) -> str:
    return notebook_pages(notebook, "gemm", NAMES)[1]


@pytest.mark.parametrize("place", [0, 1])
def test_the_notebook_becomes_pages_that_load_nothing(place: int) -> None:
    page = notebook_pages(synthetic.notebook(hostile=HOSTILE), "gemm <b>512</b>", NAMES)[place]
    soup = BeautifulSoup(page, "html.parser")
    assert not soup.find_all(["script", "iframe", "form", "object"])
    assert not [element for element in soup.find_all(True) for name in element.attrs if name.startswith("on")]
    assert not soup.select("[src]")
    assert "[not embedded: http://x.invalid/a.png]" in page
    assert "Content-Security-Policy" in page
    assert "gemm &lt;b&gt;512&lt;/b&gt;" in page
    assert len(page) < 60_000


def test_code_is_on_one_page_and_results_on_both_and_each_links_to_the_other() -> None:
    results, code = (BeautifulSoup(page, "html.parser") for page in notebook_pages(synthetic.notebook(), "gemm", NAMES))
    assert "bench_op" in code.get_text()
    assert "bench_op" not in results.get_text()
    for page, other in ((results, NAMES[1]), (code, NAMES[0])):
        assert other in [link["href"] for link in page.select("header a")]
        assert page.select_one(".ansi-green-fg") is not None, "terminal colours become classes"
        assert "application/vnd.rx580lab.result+json" in page.get_text()
        assert page.select_one("main h1") is not None


def test_formulas_are_drawn_and_code_with_dollars_is_left_alone() -> None:
    v4 = nbformat.v4
    latex = v4.new_output("display_data", data={"text/latex": r"$$\frac{a}{b}$$", "text/plain": "a/b"})
    cells = [
        v4.new_markdown_cell("# Rate $R = W/t$\n\nSee `$HOME` and $5.\n\n```\n$x$\n```"),
        v4.new_code_cell("show('$y$')", outputs=[latex]),
    ]
    soup = BeautifulSoup(with_code(v4.new_notebook(cells=cells)), "html.parser")
    assert [math.get_text() for math in soup.select("math")] == ["R=W/t", "ab"]
    assert soup.select_one("h1 math") is not None
    assert soup.select_one("mfrac") is not None
    text = soup.get_text()
    assert all(kept in text for kept in ("$HOME", "and $5.", "$x$", "'$y$'"))
    assert "RXMATH" not in str(soup)
    assert "RW/t" not in str(soup.h1.get("id") if soup.h1 else "")


def test_a_hostile_formula_is_shown_as_tex() -> None:
    cell = nbformat.v4.new_markdown_cell(r"$\text{<script>alert(1)</script>}$ and $\href{javascript:alert(1)}{x}$")
    page = with_code(nbformat.v4.new_notebook(cells=[cell]))
    soup = BeautifulSoup(page, "html.parser")
    assert not soup.select("script, math [href]")
    assert r"\text{<script>alert(1)</script>}" in soup.get_text()


def test_pictures_are_embedded_and_named() -> None:
    v4 = nbformat.v4
    output = v4.new_output("display_data", data={"image/png": "iVBORw0KGgo=", "text/plain": "figure"})
    notebook = v4.new_notebook(cells=[v4.new_code_cell("plot()", outputs=[output])])
    image = BeautifulSoup(with_code(notebook), "html.parser").select_one("img")
    assert image is not None
    assert str(image["src"]).startswith("data:image/png;base64,")
    assert image["alt"] == "picture made by cell 1"
    assert "image/png" in output.data, "the notebook itself is left alone"


@pytest.mark.parametrize("href", ["javascript:alert(1)", " java\nscript:alert(1)", "data:text/html,x", "vbscript:x"])
def test_links_that_run_something_lose_their_target(href: str) -> None:
    assert "href" not in clean(f'<a href="{href}">x</a>')


def test_plain_links_stay() -> None:
    body = '<a href="#part">x</a><a href="https://example.org/a:b">y</a><a href="other.html">z</a>'
    assert clean(body).count("href=") == 3


def test_pages_newer_than_their_notebook_are_kept(tmp_path: Path) -> None:
    source, target = tmp_path / "executed.ipynb", tmp_path / "executed.html"
    source.write_text(nbformat.writes(synthetic.notebook()), encoding="utf-8")
    assert render_notebook(source, target, "t") is None
    assert code_page(target) == tmp_path / "executed-code.html"
    target.write_text("kept", encoding="utf-8")
    os.utime(source, (1, 1))
    assert render_notebook(source, target, "t") is None
    assert target.read_text(encoding="utf-8") == "kept"
    code_page(target).unlink()
    assert render_notebook(source, target, "t") is None
    assert target.read_text(encoding="utf-8") != "kept"
    assert code_page(target).is_file()


@pytest.mark.parametrize("content", ["", "{ cut off", "[]", '{"nbformat": 4}'])
def test_a_damaged_notebook_is_a_reason_and_not_an_error(tmp_path: Path, content: str) -> None:
    source = tmp_path / "executed.ipynb"
    source.write_text(content, encoding="utf-8")
    reason = render_notebook(source, tmp_path / "executed.html", "t")
    assert reason is not None
    assert reason.startswith("executed.ipynb cannot be shown")
    assert not (tmp_path / "executed.html").exists()
