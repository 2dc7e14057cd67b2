r"""Formulas as MathML that browsers draw by themselves, and that can do nothing else.

TeX is taken out of Markdown before nbconvert sees it and replaced by placeholders, which nbconvert leaves alone; the
finished page gets the formulas back. latex2mathml escapes nothing: ``\text{<script>}`` comes out alive. So what it
made is parsed as XML and kept only if every element is one of MathML's, with the few attributes that lay out formulas;
anything else is shown as the TeX that it was.
"""

from __future__ import annotations

import re
import secrets
from xml.etree import ElementTree

from bs4 import BeautifulSoup
from markupsafe import escape

__all__ = ["Formulas", "mathml"]

_ELEMENTS = frozenset(
    {
        "math",
        "mrow",
        "mi",
        "mn",
        "mo",
        "mtext",
        "mspace",
        "ms",
        "mfrac",
        "msqrt",
        "mroot",
        "mstyle",
        "merror",
        "mpadded",
        "mphantom",
        "mfenced",
        "menclose",
        "msub",
        "msup",
        "msubsup",
        "munder",
        "mover",
        "munderover",
        "mmultiscripts",
        "mprescripts",
        "none",
        "mtable",
        "mtr",
        "mtd",
        "mlabeledtr",
        "semantics",
    }
)
_ATTRIBUTES = frozenset(
    {
        "display",
        "mathvariant",
        "stretchy",
        "symmetric",
        "fence",
        "form",
        "separator",
        "lspace",
        "rspace",
        "minsize",
        "maxsize",
        "movablelimits",
        "accent",
        "accentunder",
        "linethickness",
        "displaystyle",
        "scriptlevel",
        "columnalign",
        "columnlines",
        "columnspacing",
        "rowlines",
        "rowspacing",
        "rowspan",
        "columnspan",
        "width",
        "height",
        "depth",
        "open",
        "close",
        "separators",
        "notation",
    }
)
_VALUE = re.compile(r"[\w .%+|()\[\]{}-]{0,40}")
#: Longer ones are shown as TeX: nobody reads them as a formula, and parsing them takes long.
_MOST_CHARACTERS = 2000
# Code first, so that a dollar inside it is left alone; then display and inline formulas by their delimiters. A single
# dollar opens only before, and closes only after, something that is no space, and never before a digit ("$5 and $6").
_CODE_OR_FORMULA = re.compile(
    r"(?P<code>^(?P<fence>```+|~~~+)[\s\S]*?(?:^(?P=fence)|\Z)|(?P<ticks>`+)[\s\S]*?(?<!`)(?P=ticks)(?!`)|\\\$)"
    r"|\$\$(?P<display>[\s\S]+?)\$\$"
    r"|\\\[(?P<bracket>[\s\S]+?)\\\]"
    r"|(?P<environment>\\begin\{(?P<name>equation|align|gather|multline|eqnarray)(?P<star>\*?)\}"
    r"[\s\S]+?\\end\{(?P=name)(?P=star)\})"
    r"|\\\((?P<paren>[\s\S]+?)\\\)"
    r"|(?<![\\\w$])\$(?P<inline>(?=[^\s`])[^$`\n]*?(?:\n(?!\n)[^$`\n]*?)*[^\s\\$`])\$(?![\d$])",
    re.MULTILINE,
)


def mathml(tex: str, *, display: bool = False) -> str:
    """``tex`` (without its delimiters) as MathML, or as escaped TeX in a ``code`` element where that is not safe."""
    drawn = _safe_mathml(tex.strip(), display) if len(tex) <= _MOST_CHARACTERS else None
    return drawn or f'<code class="tex">{escape(tex.strip())}</code>'


class Formulas:
    """The formulas of one notebook: ``take_out`` replaces them by placeholders, ``put_back`` fills those in again."""

    def __init__(self) -> None:
        # Random, so that no notebook can hold a placeholder of its own.
        self._mark = f"RXMATH{secrets.token_hex(8)}N"
        self._found: list[tuple[str, bool]] = []

    def take_out(self, markdown: str) -> str:
        """``markdown`` with each formula outside code replaced by a word."""
        return _CODE_OR_FORMULA.sub(self._replaced, markdown)

    def take_whole(self, latex: str) -> str:
        """An output of MIME type text/latex: all its formulas replaced, the rest kept as text."""
        replaced = self.take_out(latex)
        return replaced if self._mark in replaced else self._word(latex.strip().strip("$"), True)

    def put_back(self, body: str) -> str:
        """``body`` (HTML) with the formulas in its text drawn; in an attribute they become their TeX."""
        if not self._found:
            return body
        word = re.compile(f"{self._mark}(\\d+)E")
        soup = BeautifulSoup(body, "html.parser")
        for element in soup.find_all(True):
            for name, value in element.attrs.items():
                if isinstance(value, str) and self._mark in value:
                    element.attrs[name] = word.sub(lambda match: self._found[int(match.group(1))][0], value)
        return word.sub(self._drawn, str(soup))

    def _drawn(self, match: re.Match[str]) -> str:
        tex, display = self._found[int(match.group(1))]
        return mathml(tex, display=display)

    def _replaced(self, match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        inline = match["inline"] or match["paren"]
        return self._word(inline or match["display"] or match["bracket"] or match["environment"], not inline)

    def _word(self, tex: str, display: bool) -> str:
        self._found.append((tex, display))
        return f"{self._mark}{len(self._found) - 1}E"


def _safe_mathml(tex: str, display: bool) -> str | None:
    # Loaded when there is a formula to draw: its tables of symbols take a while.
    from latex2mathml.converter import convert

    try:
        made = convert(tex, display="block" if display else "inline")
        if "<!" in made or "<?" in made:
            return None  # no declarations: they are what makes parsing XML dangerous
        root = ElementTree.fromstring(made)  # noqa: S314 - without a declaration there is no entity to expand
    except Exception:  # noqa: BLE001 - its errors have no common base, and bad TeX is shown as TeX
        return None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        if element.tag not in _ELEMENTS:
            return None
        for name, value in list(element.attrib.items()):
            if name not in _ATTRIBUTES or not _VALUE.fullmatch(value):
                del element.attrib[name]
    # Without a namespace: HTML gives <math> its own, and a page shall hold no address of another host.
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)
