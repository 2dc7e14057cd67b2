"""The OpenAPI 3.1 document, made from the table of routes: what it says of an operation is what the pipeline does.

A generator of its own, on purpose: the one of flask-openapi writes OpenAPI 3.2, which few clients read yet, reads JSON
by the standard library, which takes NaN, and cannot refuse what has no role.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

import rx580lab
from rx580lab.serve.refusal import CODES
from rx580lab.serve.roles import Role
from rx580lab.serve.routing import PATTERNS, Content, Route
from rx580lab.serve.schemas import NESTED, Failure
from rx580lab.serve.settings import Settings

__all__ = ["document", "path_of", "statuses"]

_Mode = Literal["validation", "serialization"]
_References = Mapping[Any, dict[str, Any]]  # (model, mode) -> {"$ref": ...}
_REFERENCE = "#/components/schemas/{model}"
_VARIABLE = re.compile(r"<(\w+):(\w+)>")
_ABOUT = """Models served over HTTP: by the Open Inference Protocol V2, and by plain doors for people.

A key goes into `X-API-Key` or `Authorization: Bearer`; `x-required-role` says what each operation asks for, and each
role may do what the ones before it may: public, readonly, user, admin. `HEAD` answers as `GET` does, without a body.

Each failure is JSON of one shape, `Failure`. Beside what an operation lists, any request may be refused before it
reaches one: 400 for what is not HTTP, 404 for a path that is not here, 405 with `Allow` for a method that it does not
take, 408 for one that takes too long to arrive, 413 for a body and 431 for headers that are larger than the
server takes."""
_TAGS = {
    "people": "Plain names and plain JSON, for people and for monitoring.",
    "v2": "The Open Inference Protocol V2, with its binary tensor extension.",
    "repository": "What is loaded: the protocol's repository extension.",
    "documents": "This document, and a page that shows it.",
}
_SAYS = {
    "model": "The model's name: its folder's.",
    "version": "One version; without it the highest that is ready answers.",
}
_EXAMPLES = {"model": "demo", "version": "1"}
_CAUSES: Mapping[int, str] = {
    400: "Malformed: not JSON where JSON is due, sizes that do not agree, two different keys at once.",
    401: "A key is needed and none came, or the one that came is not in force.",
    403: "The key's role, or the models it is held to, do not allow this.",
    404: "No such model or version here.",
    408: "The request took too long to arrive.",
    409: "Something else is under way that this would cross.",
    411: "The request does not say how long its body is.",
    413: "Larger than the server takes: the body, as sent or decompressed, or what it holds.",
    415: "A content type or content encoding that is not taken here.",
    422: "Well-formed, but not what the schema or the model takes.",
    429: "More requests than the key, or the address without one, may send.",
    500: "The server's own fault; its log tells more under the request's id.",
    501: "Part of the protocol that this server does not do.",
    503: "Not now: the server or the model's queue is full, or the model is not ready.",
    504: "The deadline passed before the answer.",
}
_HEADERS: Mapping[str, Mapping[str, Any]] = {
    "X-Request-ID": {
        "description": "The request's name in the server's logs.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    },
    "Retry-After": {
        "description": "Seconds after which it makes sense to come again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "How to say who asks.",
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer "},
    },
}
_WHOLE = {"type": "integer", "minimum": 0, "maximum": 999_999_999_999}
_COMES_WITH = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}


class _Untitled(GenerateJsonSchema):
    """Without a title that repeats each field's name."""

    def field_title_should_be_set(self, _schema: Any) -> bool:
        return False


def statuses(route: Route, settings: Settings) -> tuple[int, ...]:
    """With which a route may refuse, in order: those of its own and those of its kind."""
    keyed = not (settings.bare or settings.insecure_no_auth)
    holds_model = "<model:" in route.rule
    found = {
        400: True,
        401: keyed,
        403: keyed and (route.role > Role.READONLY or (holds_model and route.role > Role.PUBLIC)),
        404: "<" in route.rule,
        413: route.body is not None,
        415: route.body is not None,
        422: isinstance(route.body, type),
        429: not settings.bare,
        500: True,
        503: route.queues or (keyed and route.role > Role.PUBLIC),
        504: route.queues,
    }
    return tuple(sorted({status for status, can_be in found.items() if can_be} | set(route.failures)))


def path_of(route: Route) -> str:
    """The rule as documents write it: ``/models/{model}``."""
    return _VARIABLE.sub(r"{\2}", route.rule)


def document(settings: Settings, routes: Iterable[Route]) -> dict[str, Any]:
    """The document of a server with these settings and routes, as JSON holds it."""
    routes = list(routes)
    references, definitions = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    refusals: set[int] = set()
    for route in routes:
        own = statuses(route, settings)
        refusals.update(own)
        operation = _operation(route, own, settings, references)
        paths.setdefault(path_of(route), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rx580lab",
            "version": rx580lab.__version__,
            "summary": "Inference on OpenCL devices.",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "responses": {CODES[status]: _refusal(status) for status in sorted(refusals)},
            "headers": dict(_HEADERS),
            "securitySchemes": _security_schemes(settings),
        },
    }


def _schemas(routes: list[Route]) -> tuple[_References, dict[str, Any]]:
    """Schemas by model, and the components they lie in. What is read and what is written are kept apart."""
    read: list[type[BaseModel]] = [model for route in routes for model in _models(route.body)]
    written: list[type[BaseModel]] = [
        model for route in routes for reply in route.replies.values() for model in _models(reply)
    ]
    asked: list[tuple[type[BaseModel], _Mode]] = [(model, "validation") for model in dict.fromkeys(read)]
    written.append(Failure)
    asked += [(model, "serialization") for model in dict.fromkeys(written)]
    references, found = models_json_schema(asked, ref_template=_REFERENCE, schema_generator=_Untitled)
    return references, dict(sorted({**found["$defs"], **NESTED}.items()))


def _models(what: type[BaseModel] | Content | None) -> list[type[BaseModel]]:
    if what is None:
        return []
    if isinstance(what, Content):
        return [model for model in what.media.values() if model is not None]
    return [what]


def _operation(route: Route, refusals: tuple[int, ...], settings: Settings, references: _References) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "description": route.description or (route.handler.__doc__ or route.summary).strip(),
        "tags": [route.tag],
        "x-required-role": route.role.label,
        "security": _security(route, settings),
    }
    parameters = [*_path_parameters(route.rule), *_header_parameters(route)]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = _body(route, route.body, references)
    operation["responses"] = {
        **{str(status): _reply(status, reply, references) for status, reply in sorted(route.replies.items())},
        **{str(status): {"$ref": f"#/components/responses/{CODES[status]}"} for status in refusals
           if status not in route.replies},
    }  # fmt: skip
    return operation


def _path_parameters(rule: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _SAYS[kind],
            "schema": {"type": "string", "pattern": f"^{PATTERNS[kind].replace('(?:/|$)', '$')}$"},
            "example": _EXAMPLES[kind],
        }
        for kind, name in _VARIABLE.findall(rule)
    ]


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    found = [
        {"name": name, "in": "header", "required": False, "description": says, "schema": _WHOLE}
        for name, says in route.headers.items()
    ]
    if route.body is not None:
        found.append(
            {
                "name": "Content-Encoding",
                "in": "header",
                "required": False,
                "description": "How the body is compressed, if it is.",
                "schema": {"type": "string", "enum": ["identity", "gzip", "deflate"]},
            }
        )
    return found


def _body(route: Route, body: type[BaseModel] | Content, references: _References) -> dict[str, Any]:
    content = body if isinstance(body, Content) else Content({"application/json": body})
    media = {name: _media(name, model, "validation", references) for name, model in content.media.items()}
    if route.examples:
        media["application/json"]["examples"] = {
            name: {"summary": name, "value": value} for name, value in route.examples.items()
        }
    return {"description": content.description or "JSON.", "required": content.required, "content": media}


def _reply(status: int, reply: type[BaseModel] | Content, references: _References) -> dict[str, Any]:
    content = (
        reply if isinstance(reply, Content) else Content({"application/json": reply}, (reply.__doc__ or "").strip())
    )
    headers: dict[str, Any] = {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}
    for name, says in content.headers.items():
        headers[name] = {"description": says, "schema": _WHOLE}
    return {
        "description": content.description or HTTPStatus(status).phrase,
        "headers": headers,
        "content": {name: _media(name, model, "serialization", references) for name, model in content.media.items()},
    }


def _media(
    name: str,
    model: type[BaseModel] | None,
    mode: _Mode,
    references: _References,
) -> dict[str, Any]:
    if model is not None:
        return {"schema": references[model, mode]}
    # Bytes have no schema in OpenAPI 3.1.
    return {"schema": {"type": "string"}} if name.startswith("text/") else {}


def _refusal(status: int) -> dict[str, Any]:
    names = ("X-Request-ID", *_COMES_WITH.get(status, ()))
    return {
        "description": _CAUSES[status],
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {"application/json": {"schema": {"$ref": _REFERENCE.format(model=Failure.__name__)}}},
    }


def _security(route: Route, settings: Settings) -> list[dict[str, list[str]]]:
    if route.role is Role.PUBLIC or settings.bare or settings.insecure_no_auth:
        return []
    ways = ["header", "bearer"]
    if settings.query_keys and route.method == "GET" and route.role <= Role.READONLY:
        ways.append("query")
    return [{way: []} for way in ways]


def _security_schemes(settings: Settings) -> dict[str, Any]:
    schemes: dict[str, Any] = {
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key of this server."},
        "bearer": {"type": "http", "scheme": "bearer", "description": "The same key."},
    }
    if settings.query_keys:
        schemes["query"] = {
            "type": "apiKey", "in": "query", "name": "api_key",
            "description": "A readonly key, for GET alone; addresses end up in logs, so prefer the header.",
        }  # fmt: skip
    return schemes
