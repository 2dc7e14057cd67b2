"""The body of a request at a people's door: JSON of one schema, or a refusal that says what was expected."""

from __future__ import annotations

from typing import TypeVar

from flask import request
from pydantic import ValidationError

from rx580lab.serve.bodies import check_names_differ, parsed, read_body
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.schemas import Asked
from rx580lab.serve.service import service

__all__ = ["asked"]

_Asked = TypeVar("_Asked", bound=Asked)


def asked(kind: type[_Asked]) -> _Asked:
    """The body as ``kind``. Refusal 415 for what is not JSON, 400 for broken JSON and for names that
    come twice, 413 for more than the caps allow, 422 for JSON of another schema.

    No refusal repeats what the client sent.
    """
    # What says no type may come from a page of another origin, which did not have to ask.
    if request.mimetype != "application/json" and (request.mimetype or "Origin" in request.headers):
        raise Refusal(415, "body", "expected Content-Type: application/json, got another")
    caps = service().settings.caps
    body = read_body(caps)
    value = parsed(body, len(body), caps)
    if isinstance(value, dict):
        check_names_differ(body, len(body), len(value) + sum(len(one) for one in value.values() if type(one) is dict))
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise Refusal(422, "body", _told(kind, error)) from None


def _told(kind: type[Asked], error: ValidationError) -> str:
    """The first of what is wrong. A place is told only as far as it is the schema's own word."""
    fields = kind.model_fields
    first = error.errors(include_input=False, include_context=False, include_url=False)[0]
    place = next((str(part) for part in first["loc"] if part in fields), "")
    if first["type"] == "extra_forbidden":
        return f"expected no fields but {', '.join(fields)}, got others"
    said = first["msg"][:1].lower() + first["msg"][1:]
    return f"expected a body of the schema {kind.__name__}, got another{f'; {place}' if place else ''}: {said}"
