"""Formulas: what counts as one, what is drawn, and that nothing but MathML comes out."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.report.mathml import Formulas, mathml


def drawn(markdown: str) -> list[str]:
    formulas = Formulas()
    soup = BeautifulSoup(formulas.put_back(formulas.take_out(markdown)), "html.parser")
    return [math.get_text() for math in soup.select("math")]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("$a$ and $b + c$", ["a", "b+c"]),
        ("$$a\n+ b$$", ["a+b"]),
        (r"\(a\) \[b\]", ["a", "b"]),
        (r"\begin{align}x&=1\end{align}", ["x=1(1)"]),
        ("costs $5 and $6", []),
        ("it is 5$ or 6$", []),
        ("`$a$` and ``$b`$`` and\n```\n$c$\n```\n~~~\n$d$\n~~~\n$e$", ["e"]),
        ("```\n$never closed$", []),
        (r"\$a\$", []),
        ("$a\n\nb$", []),
        ("$ a $", []),
        ("US$a$b", []),
    ],
)
def test_what_counts_as_a_formula(markdown: str, expected: list[str]) -> None:
    assert drawn(markdown) == expected


def test_a_formula_knows_whether_it_stands_alone() -> None:
    assert 'display="block"' in mathml("a", display=True)
    assert 'display="inline"' in mathml("a")
    assert "http" not in mathml(r"\frac{a}{b}")


@pytest.mark.parametrize(
    "tex",
    [
        r"\text{<script>alert(1)</script>}",
        r"\text{<img src=x onerror=alert(1)>}",
        r"\frac{",
        "a & b",
        r"\text{<!-- -->}",
        "x" * 2001,
        "",
    ],
)
def test_what_is_not_plain_mathml_is_shown_as_tex(tex: str) -> None:
    shown = mathml(tex)
    soup = BeautifulSoup(shown, "html.parser")
    assert [element.name for element in soup.find_all(True)] == ["code"]
    assert soup.get_text() == tex


@pytest.mark.parametrize("tex", [r"\href{javascript:alert(1)}{x}", r"\style{background:red}{x}", r"\class{a}{x}"])
def test_attributes_that_do_more_than_lay_out_are_dropped(tex: str) -> None:
    assert not re.search("href|style=|class=|javascript", mathml(tex).replace('class="tex"', ""))


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from([*"ab{}\\<>&\"'= $_^!-[]/", "\\text", "\\frac", "<b onx=1>", "]]>"])).map("".join))
def test_whatever_the_tex_only_formulas_or_code_come_out(tex: str) -> None:
    root = ElementTree.fromstring(mathml(tex))  # noqa: S314 - our own output
    assert root.tag in ("math", "code")
    if root.tag == "code":
        assert len(root) == 0
    assert all("on" not in name for element in root.iter() for name in element.attrib if name != "columnspacing")


def test_a_formula_in_an_attribute_becomes_its_tex() -> None:
    formulas = Formulas()
    word = formulas.take_out('$a"b$')
    body = formulas.put_back(f'<img alt="{word}"><p id="{word}">{word}</p>')
    soup = BeautifulSoup(body, "html.parser")
    assert soup.img is not None
    assert soup.img["alt"] == 'a"b'
    assert len(soup.select("p math")) == 1


def test_a_notebook_cannot_guess_a_placeholder() -> None:
    assert Formulas().take_out("$a$") != Formulas().take_out("$a$")
