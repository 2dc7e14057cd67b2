"""From the credentials of a request to who asks: X-API-Key, Authorization: Bearer, and ``?api_key=`` where that is on.

Every answer to a wrong key is the same, whether its id exists, it has expired or it was revoked; the audit log knows.
"""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from flask import Request

from rx580lab.serve.call import ANONYMOUS, Principal
from rx580lab.serve.credentials import Found, found_in
from rx580lab.serve.keys import Checked, Keys
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.roles import Role
from rx580lab.serve.settings import Settings, is_loopback

__all__ = ["OF_QUERY_KEYS", "CredentialRefused", "authenticate", "unauthenticated"]

Method = Literal["header", "bearer", "query", "several", "none"]
WRONG = "expected a key that is known, in force and not revoked"
# RFC 9745: keys in a URL are out of favour since this date, 1 November 2026. RFC 9111: what they open is kept nowhere.
OF_QUERY_KEYS = {"Deprecation": "@1793491200", "Cache-Control": "no-store"}
_BEARER = re.compile(r"bearer +([^ ]+) *", re.IGNORECASE)
# Longer ones are no key of ours: refused before they cost a hash.
_LONGEST = 256
_FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_REAL_IP")
_PORT = re.compile(r":\d{1,5}$", re.ASCII)


class CredentialRefused(Refusal):
    """``outcome`` and ``method`` are counted, ``why`` and ``key_id`` (if the secret was right) go to the audit log."""

    def __init__(
        self, status: int, message: str, method: Method, outcome: str, *, why: str = "", key_id: str | None = None
    ) -> None:
        self.method, self.outcome, self.why, self.key_id = method, outcome, why or message, key_id
        super().__init__(status, "keys", message, headers=CHALLENGE if status == 401 else None)


CHALLENGE = {"WWW-Authenticate": 'Bearer realm="rx580lab"'}


def unauthenticated(message: str) -> Refusal:
    """A 401 as RFC 9110 wants it."""
    return Refusal(401, "keys", message, headers=CHALLENGE)


def authenticate(request: Request, keys: Keys | None, settings: Settings) -> Principal:
    """Who asks: anonymous without a key. CredentialRefused 401 for a key that does not hold, 400 for different ones.

    ``keys`` None: an open server on loopback, whose callers may infer; nobody is admin there without a key.
    """
    environ = request.environ
    in_url = found_in(environ)
    if in_url is not None:
        _check_url(in_url, request.method, settings.query_keys)
    if keys is None:
        _refuse_strangers(environ, settings)
        return Principal(Role.USER)
    method, presented = _presented(environ, in_url)
    if method == "none":
        return ANONYMOUS
    if keys.closed:
        return ANONYMOUS  # nothing can be checked: public routes serve, and the others answer 503
    checked = keys.check(presented) if len(presented) <= _LONGEST else Checked(None, "too long")
    record = checked.record
    if record is None:
        raise CredentialRefused(401, WRONG, method, "refused", why=checked.why, key_id=checked.key_id)
    if method == "query" and record.role != Role.READONLY.label:
        message = "expected a readonly key in the URL; send others in X-API-Key or Authorization: Bearer"
        raise CredentialRefused(403, message, method, "refused", key_id=record.id)
    models = None if record.models is None else frozenset(record.models)
    return Principal(Role[record.role.upper()], record.id, method, models)


def _check_url(found: Found, method: str, query_keys: bool) -> None:
    if found.elsewhere or not query_keys:
        message = "expected no key in the URL, where it may be logged; send it in X-API-Key or Authorization: Bearer"
        raise CredentialRefused(400, message, "query", "in_url")
    if method != "GET":
        raise CredentialRefused(400, "expected a key in the URL of a GET only", "query", "in_url")


def _presented(environ: dict[str, Any], in_url: Found | None) -> tuple[Method, str]:
    """How a key came, and the key. A server joins headers that came twice by commas, which no key holds."""
    presented: list[tuple[Method, str]] = []
    if "HTTP_X_API_KEY" in environ:
        presented.extend(("header", one.strip()) for one in environ["HTTP_X_API_KEY"].split(","))
    if "HTTP_AUTHORIZATION" in environ:
        for one in environ["HTTP_AUTHORIZATION"].split(","):
            match = _BEARER.fullmatch(one.strip())
            if match is None:
                message = "expected Authorization: Bearer and a key"
                raise CredentialRefused(401, message, "bearer", "malformed")
            presented.append(("bearer", match[1]))
    if in_url is not None:
        presented.extend(("query", one) for one in in_url.values)
    if not presented:
        return "none", ""
    if len({key for _, key in presented}) > 1:
        raise CredentialRefused(400, "expected one key, got different ones in one request", "several", "malformed")
    return presented[0]


def _refuse_strangers(environ: dict[str, Any], settings: Settings) -> None:
    """An open server answers programs of this machine, not what a proxy or a page in a browser passes on.

    The Host header tells a page whose name was made to point here, the Origin one that posts here from elsewhere.
    """
    if any(name in environ for name in _FORWARDED) or not is_loopback(environ.get("REMOTE_ADDR", "")):
        raise Refusal(403, "keys", "expected a caller on this machine; a server without keys answers no other")
    host = _PORT.sub("", environ.get("HTTP_HOST", "localhost")).strip("[]").lower()
    if not is_loopback(host):
        raise Refusal(403, "keys", "expected a Host of this machine; a server without keys answers to no other")
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and origin not in settings.cors_origins and not _of_this_machine(origin):
        raise Refusal(403, "keys", "expected a page of this machine; a server without keys answers no other")


def _of_this_machine(origin: str) -> bool:
    try:
        return is_loopback(urlsplit(origin).hostname or "")
    except ValueError:
        return False
