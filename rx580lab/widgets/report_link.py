"""The link "Open report", which JupyterLab opens as a document of its own."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import ipywidgets
from markupsafe import Markup

__all__ = ["report_link"]

REPORT_FILE = "report.html"


def report_link(run: Path) -> ipywidgets.Widget:
    """A link to the page of the run folder ``run``, or the reason why there is none.

    The link is an output with a path relative to the notebook: JupyterLab resolves it against the notebook's folder
    and opens the page in its own viewer, so neither the server's root nor its token has to be known here.
    """
    page = run / REPORT_FILE
    if not page.is_file():
        return ipywidgets.HTML(
            Markup(
                '<p class="rx-note">No report yet: <code>{}</code> is missing; rx580lab report draws it.</p>'
            ).format(str(page))
        )
    target = quote(os.path.relpath(page.resolve(), Path.cwd()))
    link = Markup('<a href="{}" target="_blank">Open report</a> <span>{}</span>').format(target, run.name)
    output = {"output_type": "display_data", "metadata": {}, "data": {"text/html": str(link), "text/plain": str(page)}}
    return ipywidgets.Output(outputs=(output,)).add_class("rx-report-link")
