"""Headers of every answer, failures included."""

from __future__ import annotations

from flask import Request, Response

from rx580lab.serve.settings import Settings

__all__ = ["ALWAYS", "secure"]

ALWAYS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


def secure(response: Response, request: Request, _settings: Settings) -> None:
    """Adds what is missing; a handler may have set a policy of its own (the pages of the documentation do)."""
    for name, value in ALWAYS.items():
        response.headers.setdefault(name, value)
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
