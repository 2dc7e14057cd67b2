"""The OpenAPI document, and a page that shows it: Swagger UI from a package's files, without a foreign request.

Only what is listed here is served, each file by a rule of its own: there is no folder to climb out of.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version
from importlib.resources import files

from flask import Response

import rx580lab
from rx580lab.serve.pipeline import json_response
from rx580lab.serve.roles import Role
from rx580lab.serve.routing import Content, Route
from rx580lab.serve.schemas import Answer
from rx580lab.serve.service import service
from rx580lab.serve.settings import Settings

__all__ = ["routes"]

_PACKAGE = "flask_openapi_swagger"
# In the path, so that a browser may keep the files: another version has other addresses.
_FOLDER = f"/docs/{rx580lab.__version__}-{version(_PACKAGE)}"
_FILES = {
    "swagger-ui.css": ("swagger/css/swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": ("swagger/js/swagger-ui-bundle.js", "text/javascript"),
    "swagger.svg": ("swagger/images/swagger.svg", "image/svg+xml"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>rx580lab: the doors of this server</title>
<link rel="icon" href="{_FOLDER}/swagger.svg">
<link rel="stylesheet" href="{_FOLDER}/swagger-ui.css">
</head>
<body>
<div id="doors"></div>
<script src="{_FOLDER}/swagger-ui-bundle.js"></script>
<script src="{_FOLDER}/page.js"></script>
</body>
</html>
"""
# No validator: it would be a foreign one. Keys are not kept: they are gone with the page.
_SCRIPT = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#doors",
  presets: [SwaggerUIBundle.presets.apis],
  deepLinking: true,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: false,
  queryConfigEnabled: false,
  showExtensions: true,
  validatorUrl: null,
});
"""


class Start(Answer):
    """Where to go from here."""

    name: str
    version: str
    docs: str
    openapi: str
    health: str
    v2: str


def start() -> Response:
    """Where to go from here."""
    return json_response(
        {
            "name": "rx580lab", "version": rx580lab.__version__, "docs": "/docs", "openapi": "/openapi.json",
            "health": "/health", "v2": "/v2",
        }
    )  # fmt: skip


def openapi() -> Response:
    """All operations, with what they take and answer."""
    return Response(service().document, mimetype="application/json")


def page() -> Response:
    """Swagger UI over the document."""
    response = Response(_PAGE, mimetype="text/html")
    response.headers["Content-Security-Policy"] = _POLICY
    return response


def asset(content: Callable[[], bytes], media: str, kept: str) -> Response:
    """One file of the page."""
    response = Response(content(), mimetype=media)
    response.headers["Cache-Control"] = f"{kept}, max-age=31536000, immutable"
    return response


@cache
def _bytes(name: str) -> bytes:
    return (files(_PACKAGE) / "templates" / name).read_bytes()


def routes(settings: Settings) -> tuple[Route, ...]:
    """Those of the document: for everybody where only this machine reaches the server, else for those who may look."""
    # A proxy in front brings others here, whatever the address that is bound.
    public = settings.loopback and not settings.trusted_proxies
    role = Role.PUBLIC if public else Role.READONLY
    kept = "public" if public else "private"
    contents: dict[str, tuple[Callable[[], bytes], str]] = {
        name: (partial(_bytes, path), media) for name, (path, media) in _FILES.items()
    }
    contents["page.js"] = (_SCRIPT.encode, "text/javascript")
    return (
        Route("GET", "/", "start", role, "documents", start, "Where to go from here", "documents",
              replies={200: Start}),
        Route("GET", "/openapi.json", "openapi", role, "documents", openapi, "This document", "documents",
              replies={200: Content({"application/json": None}, "OpenAPI 3.1.")}),
        Route("GET", "/docs", "docs", role, "documents", page, "A page that shows this document", "documents",
              replies={200: Content({"text/html": None}, "Swagger UI.")}),
        *(
            Route("GET", f"{_FOLDER}/{name}", f"docs_{name}", role, "documents",
                  partial(asset, content, media, kept), f"A file of the page: {name}", "documents",
                  replies={200: Content({media: None}, name)},
                  description="To be kept: another version of the page has other addresses.")
            for name, (content, media) in contents.items()
        ),
    )  # fmt: skip
