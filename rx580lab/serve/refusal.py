"""A request that is not served, with the status that says so. The one JSON shape of every failure is made here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from rx580lab.errors import InputError, LabError, LimitExceeded, ServeError

__all__ = ["CODES", "Refusal", "body_of", "refusal_of", "without_paths"]

# Absolute or relative, of two steps or more.
_PATH = re.compile(r"[\w.~-]*(?:/[^/\s:'\"]+){2,}")

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
    505: "http_version_not_supported",
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


def without_paths(message: str) -> str:
    """The message with the last part of each path in it alone: where files of the server lie is nobody's business."""
    return _PATH.sub(lambda found: PurePath(found[0]).name, message)


def refusal_of(error: LabError, status: int) -> Refusal:
    """What a model said, for the client: ``status`` where its input is at fault, 503 without memory, else 500.

    Paths of the server are left out: the model's name stands for its file.
    """
    if isinstance(error, Refusal):
        return error
    where = PurePath(error.where)
    name = where.parts[-3] if where.name == "model.onnx" and len(where.parts) > 2 else where.name
    message = without_paths(error.message)
    if isinstance(error, InputError):
        return Refusal(status, name, message)
    if isinstance(error, LimitExceeded):
        return Refusal(503, name, message, retry_after_s=1)
    return Refusal(500, name, "the model failed on the device; the log of the server tells more")
