"""The table of routes: each with the role it asks for, the limit it counts against and what it answers.

Everything that must agree is made from this table: Flask's rules, who may pass, limits, the OpenAPI document, and the
page of the documentation. A rule that is not in it cannot be reached (``register`` refuses to make the application).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from flask import Flask, Response
from pydantic import BaseModel
from werkzeug.routing import BaseConverter

from rx580lab.errors import ServeError
from rx580lab.serve.roles import Role

__all__ = ["PATTERNS", "Content", "Route", "converters", "register"]

Method = Literal["GET", "POST", "DELETE"]


@dataclass(frozen=True)
class Content:
    """An answer or a body that is not (only) one JSON model.

    Attributes:
        media: media type -> model, or None for bytes and text.
        required: whether a body has to be there; an answer always is.
        headers: those that come with it, whole numbers all, name -> what it says.
    """

    media: Mapping[str, type[BaseModel] | None]
    description: str = ""
    required: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """One operation.

    Attributes:
        rule: as Flask writes it; ``<model:model>`` and ``<version:version>`` are the only kinds of variable.
        name: the operation's id, and Flask's endpoint.
        role: the least that a key must have; 401 and 403 follow from it and from the rule.
        limit: a class in ``Settings.limits.routes``; one that is not listed there has the role's limit only.
        handler: takes the rule's variables by name and returns an answer, or raises ``Refusal``.
        body: what a POST takes; None for no body.
        examples: bodies that can be sent to a model ``demo`` of one input ``x``, float32 [batch, 4], and one output
            ``y``, by what they show; a test sends them.
        headers: of the request, whole numbers all, name -> what it says; beside credentials and those of HTTP itself.
        replies: status -> what is answered where the request is served.
        failures: statuses of refusals that only this route has; ``openapi.statuses`` adds those of its kind.
        queues: whether it may wait for the device; such routes are bounded so that the others always find a thread.
    """

    method: Method
    rule: str
    name: str
    role: Role
    limit: str
    handler: Callable[..., Response]
    summary: str
    tag: str
    description: str = ""
    body: type[BaseModel] | Content | None = None
    examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    replies: Mapping[int, type[BaseModel] | Content] = field(default_factory=dict)
    failures: tuple[int, ...] = ()
    queues: bool = False


# What a path may hold for each kind of variable: Flask's converters and the document's patterns. A name is neither "."
# nor "..", which a path would take for folders.
PATTERNS: Mapping[str, str] = {"model": r"(?!\.{1,2}(?:/|$))[A-Za-z0-9_.-]{1,64}", "version": r"[0-9]{1,9}"}


class _Model(BaseConverter):
    regex = PATTERNS["model"]


class _Version(BaseConverter):
    regex = PATTERNS["version"]


def converters(app: Flask) -> None:
    """Teaches Flask what a model's name and version look like; anything else is no such path (404)."""
    app.url_map.converters.update({"model": _Model, "version": _Version})
    # No redirects: what is not written exactly is not found.
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False


def register(app: Flask, routes: Iterable[Route]) -> dict[str, Route]:
    """Adds the routes and returns them by endpoint. ServeError if the application has a rule that is not among them."""
    table: dict[str, Route] = {}
    for route in routes:
        if route.name in table:
            raise ServeError("serve", f"expected one route named {route.name}, got two")
        if not isinstance(route.role, Role):
            raise ServeError("serve", f"expected a role for {route.method} {route.rule}, got none")
        table[route.name] = route
        # OPTIONS is no method of its own here: the pipeline answers what a browser asks ahead of a call.
        app.add_url_rule(route.rule, route.name, route.handler, methods=[route.method], provide_automatic_options=False)
    unknown = sorted(rule.rule for rule in app.url_map.iter_rules() if rule.endpoint not in table)
    if unknown:
        raise ServeError("serve", f"expected only routes of the table, got {', '.join(unknown)}; give each a role")
    return table
