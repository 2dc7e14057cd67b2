"""A request that is not served, with the status that says so. The one JSON shape of every failure is made here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rx580lab.errors import ServeError

__all__ = ["CODES", "Refusal", "body_of"]

# Status -> the word that programs may branch on, in each answer's "code". What is not here is never answered.
CODES: Mapping[int, str] = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    411: "length_required",
    413: "too_large",
    415: "unsupported_media_type",
    422: "unprocessable",
    429: "rate_limited",
    431: "headers_too_large",
    500: "internal_error",
    501: "not_implemented",
    503: "unavailable",
    504: "deadline_exceeded",
}


class Refusal(ServeError):
    """Raised anywhere below a handler; becomes an answer of ``status`` with ``headers``.

    ``retry_after_s``: when it makes sense to come again (429 and 503 always say so), at least 1 on the wire.
    The message is for the client: it never holds a credential, a path of the server or a traceback.
    """

    def __init__(
        self,
        status: int,
        where: str,
        message: str,
        *,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.retry_after_s = retry_after_s
        self.headers = dict(headers or {})
        if retry_after_s is None and status in (429, 503):
            retry_after_s = 1.0
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(max(1, round(retry_after_s + 0.5)))
        super().__init__(where, message)


def body_of(status: int, message: str, request_id: str | None) -> dict[str, Any]:
    """What every failure answers as JSON; ``error`` is a string since clients of the V2 protocol show it."""
    return {"error": message, "code": CODES.get(status, "error"), "status": status, "request_id": request_id}
