"""An executed notebook as two self-contained pages in the report's own dress: its results, and these with the code.

nbconvert's ``basic`` template gives the cells without scripts or styles of its own (its ``lab`` template loads
require.js, MathJax and mermaid from other hosts). What a cell's output may smuggle in is then taken out: the content
policy would stop it anyway, but a page should not trip over its own policy.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import nbformat
from bs4 import BeautifulSoup
from jinja2 import TemplateError
from markupsafe import Markup

from rx580lab.report.mathml import Formulas
from rx580lab.report.style import templates
from rx580lab.results.files import atomic_write

#: Elements that load, run or submit something, or that change how the rest of the page is read.
_FORBIDDEN = (
    "script",
    "iframe",
    "object",
    "embed",
    "link",
    "meta",
    "base",
    "form",
    "frame",
    "frameset",
    "applet",
    "noscript",
)
_SHOWN_MIME = ("text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/latex", "text/plain")
_QUIET = logging.getLogger("rx580lab.report.notebook")
_QUIET.setLevel(logging.ERROR)


def code_page(target: Path) -> Path:
    """Where the page with the code lies, beside ``target``, the one without."""
    return target.with_name(f"{target.stem}-code{target.suffix}")


def render_notebook(source: Path, target: Path, title: str) -> str | None:
    """Write ``target`` and its twin with the code from the notebook ``source``, unless both are newer already.

    None, or why there is no page: a notebook that was cut off or cannot be read is a reason, not an error; the report
    must come out all the same.
    """
    pages = (target, code_page(target))
    try:
        made = source.stat().st_mtime_ns
        if all(page.is_file() and page.stat().st_mtime_ns > made for page in pages):
            return None
        texts = notebook_pages(nbformat.read(source, as_version=4), title, (target.name, pages[1].name))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, TemplateError, nbformat.ValidationError) as error:
        return f"{source.name} cannot be shown ({type(error).__name__}: {str(error)[:200]})"
    for page, text in zip(pages, texts, strict=True):
        atomic_write(page, text)
    return None


def notebook_pages(notebook: Any, title: str, names: tuple[str, str]) -> tuple[str, str]:
    """(page without code, page with code) as texts, from a notebook node of nbformat 4; ``names`` are their files."""
    # Loaded when there is a notebook to draw: it takes longer than all else here.
    from nbconvert import HTMLExporter

    formulas = Formulas()
    exporter = HTMLExporter(template_name="basic", log=_QUIET)
    exported, _ = exporter.from_notebook_node(_presentable(notebook, formulas))
    template = templates().get_template("notebook.html.j2")
    results, code = (
        template.render(
            title=title,
            body=Markup(formulas.put_back(clean(exported, code=with_code))),  # noqa: S704 - cleaned
            with_code=with_code,
            names=names,
        )
        for with_code in (False, True)
    )
    return results, code


def clean(body: str, *, code: bool = True) -> str:
    """``body`` without what loads or runs anything, and without its code unless asked for; wide outputs scroll."""
    soup = BeautifulSoup(body, "html.parser")
    for element in soup.find_all(_FORBIDDEN):
        element.decompose()
    for element in soup.find_all(True):
        for name in list(element.attrs):
            if name.lower().startswith("on") or name.lower() in (
                "border",
                "srcdoc",
                "ping",
                "formaction",
                "srcset",
                "background",
            ):
                del element.attrs[name]
        for name in ("src", "poster", "data"):
            if name in element.attrs and not str(element.attrs[name]).lstrip().lower().startswith("data:image/"):
                element.insert_after(f"[not embedded: {element.attrs[name]}]")
                del element.attrs[name]
        for name in ("href", "xlink:href"):
            if name in element.attrs and not _is_plain_link(str(element.attrs[name])):
                del element.attrs[name]
    for element in soup.select("pre span[style]"):
        # A terminal's own colours, of 256, take no account of what they stand on; the classes of the other 16 do.
        del element.attrs["style"]
    for element in [] if code else soup.select("div.code_cell > div.input"):
        element.decompose()
    for element in soup.select("div.output_subarea"):
        element.attrs.update({"tabindex": "0", "role": "group", "aria-label": "cell output"})
    return str(soup)


def _is_plain_link(href: str) -> bool:
    address = "".join(href.split()).lower()
    return address.startswith(("#", "http:", "https:")) or ":" not in address.split("/")[0]


def _presentable(notebook: Any, formulas: Formulas) -> Any:
    """A copy with only the kinds of output that a page can show, words for pictures that have none, and formulas
    taken out of its text.
    """
    copy = nbformat.from_dict(notebook)
    copy.metadata.pop("widgets", None)
    for number, cell in enumerate(copy.cells, start=1):
        if cell.cell_type == "markdown":
            cell.source = formulas.take_out(cell.source)
        elif cell.cell_type == "code":
            for output in cell.outputs:
                if output.output_type in ("display_data", "execute_result"):
                    _present(output, number, formulas)
    return copy


def _present(output: Any, number: int, formulas: Formulas) -> None:
    kinds = list(output.data)
    for kind in kinds:
        if kind not in _SHOWN_MIME:
            del output.data[kind]
    for kind, taken in (("text/markdown", formulas.take_out), ("text/latex", formulas.take_whole)):
        if kind in output.data:
            output.data[kind] = taken(output.data[kind])
    if not output.data:
        output.data["text/plain"] = f"[{', '.join(kinds)}: not shown on a page]"
    for kind in ("image/png", "image/jpeg"):
        if kind in output.data:
            output.metadata.setdefault(kind, {}).setdefault("alt", f"picture made by cell {number}")
