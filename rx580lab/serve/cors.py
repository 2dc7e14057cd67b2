"""Which web pages of other origins may call: those that are listed, exactly, and none by default.

Own lines rather than flask-cors: that package reads origins as patterns, and answers for routes only, while errors and
preflights must be answered before any key is looked at.
"""

from __future__ import annotations

from flask import Request, Response
from flask.globals import request_ctx

__all__ = ["Cors"]

_ALLOWED = "X-API-Key, Authorization, Content-Type, Content-Encoding, Inference-Header-Content-Length"
_EXPOSED = "Inference-Header-Content-Length, Retry-After, X-Request-ID, RateLimit, RateLimit-Policy"
_PREFLIGHT = "Access-Control-Request-Method"


class Cors:
    """``origins``: as browsers write them, scheme, host and port. No answer allows cookies, nor ``*``."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = frozenset(origins)

    def preflight(self, request: Request) -> Response | None:
        """The answer to a browser that asks whether it may; None for every other request, and for unknown origins.

        Browsers send no key with it, so none is needed. A path that is not there is none to ask for (404 follows).
        """
        if request.method != "OPTIONS" or not self._knows(request) or _PREFLIGHT not in request.headers:
            return None
        adapter = request_ctx.url_adapter
        methods = [] if adapter is None else sorted({*adapter.allowed_methods()} - {"OPTIONS", "HEAD"})
        if not methods:
            return None
        response = Response(status=204)
        response.headers.update(
            {
                "Access-Control-Allow-Methods": ", ".join(methods),
                "Access-Control-Allow-Headers": _ALLOWED,
                "Access-Control-Max-Age": "600",
            }
        )
        return response

    def mark(self, request: Request, response: Response) -> None:
        """Adds what lets a listed page read the answer. Caches learn that answers differ by origin."""
        if not self._origins:
            return
        response.headers.add("Vary", "Origin")
        if self._knows(request):
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED

    def _knows(self, request: Request) -> bool:
        return bool(self._origins) and request.environ.get("HTTP_ORIGIN") in self._origins
