"""Headers of every answer, failures included."""

from __future__ import annotations

from flask import Request, Response

__all__ = ["ALWAYS", "secure", "tell_quota"]

ALWAYS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
# A year, and only where the request came by TLS: a browser that is told so over http would ignore it.
_TLS = {"Strict-Transport-Security": "max-age=31536000"}
_LISTS = {https: list({**ALWAYS, **(_TLS if https else {})}.items()) for https in (False, True)}
_SET = frozenset(name.lower() for name in ALWAYS)


def secure(response: Response, request: Request) -> None:
    """Adds what is missing; a handler may have set a policy of its own (the pages of the documentation do)."""
    headers = response.headers
    missing = _LISTS[request.is_secure]
    present = {name.lower() for name, _ in headers}
    if not present.isdisjoint(_SET):
        missing = [one for one in missing if one[0].lower() not in present]
    for name, value in missing:
        headers.add(name, value)


def tell_quota(response: Response, per_minute: int, left: int) -> None:
    """What the client may ask in a minute and what of it is left, by the limit that is nearest.

    Source: draft-ietf-httpapi-ratelimit-headers, fields RateLimit-Policy and RateLimit.
    """
    again = response.headers.get("Retry-After") if response.status_code == 429 else None
    response.headers.add("RateLimit-Policy", f'"minute";q={per_minute};w=60')
    response.headers.add("RateLimit", f'"minute";r={left}' + (f";t={again}" if again else ""))
