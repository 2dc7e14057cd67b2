from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from rx580lab.report.notebook import clean, notebook_page, render_notebook
from tests.report import synthetic

HOSTILE = '<script>alert(1)</script><img src="http://x.invalid/a.png" onerror="alert(2)"><iframe srcdoc="x"></iframe>'


def test_the_notebook_becomes_a_page_that_loads_nothing() -> None:
    page = notebook_page(synthetic.notebook(hostile=HOSTILE), "gemm <b>512</b>")
    soup = BeautifulSoup(page, "html.parser")
    assert not soup.find_all(["script", "iframe", "form", "object"])
    assert not [element for element in soup.find_all(True) for name in element.attrs if name.startswith("on")]
    assert not soup.select("[src]")
    assert "[not embedded: http://x.invalid/a.png]" in page
    assert "Content-Security-Policy" in page
    assert "gemm &lt;b&gt;512&lt;/b&gt;" in page
    assert len(page) < 60_000


def test_code_is_folded_output_is_shown_and_terminal_colours_become_classes() -> None:
    soup = BeautifulSoup(notebook_page(synthetic.notebook(), "gemm"), "html.parser")
    folds = soup.select("details.code")
    assert len(folds) == 2
    assert not folds[0].has_attr("open")
    assert "bench_op" in folds[1].get_text()
    assert soup.select_one(".ansi-green-fg") is not None
    assert "application/vnd.rx580lab.result+json" in soup.get_text()
    assert soup.select_one("main h1") is not None


def test_pictures_are_embedded_and_named() -> None:
    v4 = nbformat.v4
    output = v4.new_output("display_data", data={"image/png": "iVBORw0KGgo=", "text/plain": "figure"})
    notebook = v4.new_notebook(cells=[v4.new_code_cell("plot()", outputs=[output])])
    image = BeautifulSoup(notebook_page(notebook, "t"), "html.parser").select_one("img")
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


def test_a_page_newer_than_its_notebook_is_kept(tmp_path: Path) -> None:
    source, target = tmp_path / "executed.ipynb", tmp_path / "executed.html"
    source.write_text(nbformat.writes(synthetic.notebook()), encoding="utf-8")
    assert render_notebook(source, target, "t") is None
    target.write_text("kept", encoding="utf-8")
    os.utime(source, (1, 1))
    assert render_notebook(source, target, "t") is None
    assert target.read_text(encoding="utf-8") == "kept"
    os.utime(target, (0, 0))
    assert render_notebook(source, target, "t") is None
    assert target.read_text(encoding="utf-8") != "kept"


@pytest.mark.parametrize("content", ["", "{ cut off", "[]", '{"nbformat": 4}'])
def test_a_damaged_notebook_is_a_reason_and_not_an_error(tmp_path: Path, content: str) -> None:
    source = tmp_path / "executed.ipynb"
    source.write_text(content, encoding="utf-8")
    reason = render_notebook(source, tmp_path / "executed.html", "t")
    assert reason is not None
    assert reason.startswith("executed.ipynb cannot be shown")
    assert not (tmp_path / "executed.html").exists()
