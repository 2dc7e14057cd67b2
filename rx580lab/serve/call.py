"""One request on its way through the server: what the steps of the pipeline found out about it."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field

from flask import g

from rx580lab.serve.roles import Role
from rx580lab.serve.routing import Route

__all__ = ["ANONYMOUS", "Call", "Principal", "current", "may_use"]


@dataclass(frozen=True)
class Principal:
    """Who asks, as far as that is verified.

    Attributes:
        key_id: of the verified key, or None without one. method: how it came: "header", "bearer", "query", "none".
        models: names of models that the key is held to; None for all.
    """

    role: Role
    key_id: str | None = None
    method: str = "none"
    models: frozenset[str] | None = None

    def may_use(self, model: str) -> bool:
        """Whether the key reaches this model."""
        return self.models is None or model in self.models


ANONYMOUS = Principal(Role.PUBLIC)


@dataclass
class Call:
    """``address``: of the client, behind as many proxies as are trusted; ``id``: 16 hex digits, in answers and logs.

    ``quota``: requests a minute, and how many of them are left; None before anything is counted.
    """

    address: str
    route: Route | None
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    started: float = field(default_factory=time.perf_counter)
    principal: Principal = ANONYMOUS
    model: str | None = None
    quota: tuple[int, int] | None = None


def may_use(model: str) -> bool:
    """Whether the caller of this request reaches a model: what listings show."""
    call = current()
    return call is not None and call.principal.may_use(model)


def current() -> Call | None:
    """The call of this request; None before the pipeline has begun."""
    found: Call | None = g.get("call")
    return found
