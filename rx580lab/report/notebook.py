"""An executed notebook as one self-contained page in the report's own dress, each cell's code folded away.

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
from nbconvert import HTMLExporter

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


def render_notebook(source: Path, target: Path, title: str) -> str | None:
    """Write ``target`` from the notebook ``source``, unless it is newer already. None, or why there is no page.

    A notebook that was cut off or cannot be read is a reason, not an error: the report must come out all the same.
    """
    try:
        if target.is_file() and target.stat().st_mtime_ns > source.stat().st_mtime_ns:
            return None
        notebook = nbformat.read(source, as_version=4)
        page = notebook_page(notebook, title)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, TemplateError, nbformat.ValidationError) as error:
        return f"{source.name} cannot be shown ({type(error).__name__}: {str(error)[:200]})"
    atomic_write(target, page)
    return None


def notebook_page(notebook: Any, title: str) -> str:
    """The page as text, from a notebook node of nbformat 4."""
    exporter = HTMLExporter(template_name="basic", log=_QUIET)
    body, _ = exporter.from_notebook_node(_presentable(notebook))
    return templates().get_template("notebook.html.j2").render(title=title, body=Markup(clean(body)))  # noqa: S704


def clean(body: str) -> str:
    """``body`` without what loads or runs anything; code inputs folded, wide outputs scrollable."""
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
    for element in soup.select("div.code_cell > div.input"):
        fold = soup.new_tag("details", attrs={"class": "code"})
        summary = soup.new_tag("summary")
        summary.string = "Code"
        element.wrap(fold)
        fold.insert(0, summary)
    for element in soup.select("div.output_subarea"):
        element.attrs.update({"tabindex": "0", "role": "group", "aria-label": "cell output"})
    return str(soup)


def _is_plain_link(href: str) -> bool:
    address = "".join(href.split()).lower()
    return address.startswith(("#", "http:", "https:")) or ":" not in address.split("/")[0]


def _presentable(notebook: Any) -> Any:
    """A copy with only the kinds of output that a page can show, and words for pictures that have none."""
    copy = nbformat.from_dict(notebook)
    copy.metadata.pop("widgets", None)
    for number, cell in enumerate(copy.cells, start=1):
        if cell.cell_type != "code":
            continue
        for output in cell.outputs:
            if output.output_type not in ("display_data", "execute_result"):
                continue
            kinds = list(output.data)
            for kind in kinds:
                if kind not in _SHOWN_MIME:
                    del output.data[kind]
            if not output.data:
                output.data["text/plain"] = f"[{', '.join(kinds)}: not shown on a page]"
            for kind in ("image/png", "image/jpeg"):
                if kind in output.data:
                    output.metadata.setdefault(kind, {}).setdefault("alt", f"picture made by cell {number}")
    return copy
