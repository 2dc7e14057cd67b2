"""From the credentials of a request to who asks."""

from __future__ import annotations

from flask import Request

from rx580lab.serve.call import ANONYMOUS, Principal
from rx580lab.serve.keys import Keys
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.roles import Role

__all__ = ["authenticate"]


def authenticate(request: Request, keys: Keys | None) -> Principal:
    """Who asks: anonymous without a key. Refusal 401 for a key that does not hold, 400 for two different ones.

    ``keys`` None: an open server, where everybody may do everything.
    """
    if keys is None:
        return Principal(Role.ADMIN)
    header = request.headers.get("X-API-Key")
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        bearer = ""
    if header and bearer and header != bearer:
        raise Refusal(400, "keys", "expected one key, got two different ones in one request")
    presented = header or bearer.strip()
    if not presented:
        return ANONYMOUS
    record = keys.verify(presented)
    if record is None:
        raise unauthenticated("expected a key that is known, in force and not revoked")
    models = None if record.models is None else frozenset(record.models)
    return Principal(Role[record.role.upper()], record.id, "header" if header else "bearer", models)


def unauthenticated(message: str) -> Refusal:
    """A 401 as RFC 9110 wants it."""
    return Refusal(401, "keys", message, headers={"WWW-Authenticate": 'Bearer realm="rx580lab"'})
