"""Runs and their reports inside JupyterLab: pages of ``/rx580lab/reports/`` on the Jupyter server.

Only who is logged in to that server gets them. The pages keep their own content policy, as a header this time: they
load nothing and run nothing, wherever their text came from.
"""

from __future__ import annotations

import asyncio
import html
import re
from http.client import responses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

from rx580lab.jupyter.frame import PAGE
from rx580lab.report.index import INDEX_FILE, index_page
from rx580lab.report.style import POLICY
from rx580lab.results import reports_root

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

__all__ = ["ReportsHandler"]

#: Ends of file names that a run holds -> how they are sent. The first that fits counts.
_KINDS = (
    (".html", "text/html; charset=utf-8", False),
    (".ipynb", "application/x-ipynb+json", True),
    (".json", "application/json; charset=utf-8", False),
    (".jsonl", "text/plain; charset=utf-8", False),
    (".log", "text/plain; charset=utf-8", False),
    (".txt", "text/plain; charset=utf-8", False),
    (".csv.gz", "application/gzip", True),
)
# No hidden files, no "..", no separators of any system.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class ReportsHandler(JupyterHandler):
    """One page, file or folder below the folder of runs."""

    def initialize(self, root: Path) -> None:
        """``root`` is the folder of runs; it need not exist yet."""
        self.root = root

    @property
    def content_security_policy(self) -> str:
        """The report's own policy; only pages of this server may frame it."""
        return f"{POLICY}; frame-ancestors 'self'"

    @web.authenticated
    async def get(self, path: str = "") -> None:
        """The list of runs for an empty path. 404 for whatever is not a plain file or folder below the root."""
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        if path in ("", INDEX_FILE):
            self.finish(await asyncio.to_thread(index_page, self.root))
            return
        place = below(self.root, path)
        if place is not None and place.is_dir():
            if not path.endswith("/"):
                self.redirect(f"{self.request.path}/")
                return
            self.finish(_folder_page(place))
            return
        kind = next((kind for kind in _KINDS if path.endswith(kind[0])), None)
        if place is None or kind is None or not place.is_file():
            raise web.HTTPError(404)
        _, mime, is_download = kind
        self.set_header("Content-Type", mime)
        if is_download:
            self.set_header("Content-Disposition", f'attachment; filename="{place.name}"')
        self.finish(await asyncio.to_thread(place.read_bytes))

    def write_error(self, status_code: int, **_: Any) -> None:
        """A few plain words: the server's own page of an error loads what the policy refuses."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}: {responses.get(status_code, 'error')}\n")


def below(root: Path, path: str) -> Path | None:
    """The place that ``path`` names below ``root``; None for one that is not there or whose links lead outside."""
    parts = path.removesuffix("/").split("/")
    if not all(_NAME.fullmatch(part) for part in parts):
        return None
    try:
        place = root.joinpath(*parts).resolve(strict=True)
        whole = root.resolve(strict=True)
    except OSError:
        return None
    return place if place.is_relative_to(whole) else None


def _folder_page(folder: Path) -> str:
    names = sorted(f"{one.name}/" if one.is_dir() else one.name for one in folder.iterdir())
    links = "".join(f'<li><a href="{html.escape(name)}">{html.escape(name)}</a></li>' for name in ["../", *names])
    title = html.escape(folder.name)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f"<title>{title}</title></head><body><h1>{title}</h1><ul>{links}</ul></body></html>"
    )


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": "rx580lab.jupyter.server"}]


def _load_jupyter_server_extension(app: ServerApp) -> None:
    root = reports_root().resolve()
    address = url_path_join(app.web_app.settings["base_url"], PAGE)
    app.web_app.add_handlers(
        ".*$",
        [
            (address.rstrip("/"), web.RedirectHandler, {"url": address, "permanent": False}),
            (f"{re.escape(address)}(.*)", ReportsHandler, {"root": root}),
        ],
    )
    app.log.info("rx580lab: reports below %s are at %s", root, address)
