"""The parts that a request may touch, made once at the start and handed to nobody but handlers and the pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import orjson
from flask import current_app

from rx580lab.serve.audit import Audit
from rx580lab.serve.cors import Cors
from rx580lab.serve.keys import Keys
from rx580lab.serve.lifecycle import Lifecycle
from rx580lab.serve.limits import Limiter
from rx580lab.serve.metrics import Metrics
from rx580lab.serve.openapi import document
from rx580lab.serve.repository import Repository
from rx580lab.serve.routing import Route
from rx580lab.serve.settings import Settings

__all__ = ["EXTENSION", "Service", "service"]

EXTENSION = "rx580lab"


@dataclass
class Service:
    """``keys`` is None where the server is open (loopback only, and asked for)."""

    settings: Settings
    repository: Repository
    keys: Keys | None
    limiter: Limiter | None
    audit: Audit | None
    metrics: Metrics
    lifecycle: Lifecycle
    cors: Cors
    routes: dict[str, Route] = field(default_factory=dict)

    @cached_property
    def document(self) -> bytes:
        """The OpenAPI document, as JSON."""
        return orjson.dumps(document(self.settings, self.routes.values()))

    def why_not_ready(self) -> str:
        """Why it takes no inference now, for anybody to read; empty where it does."""
        if self.lifecycle.draining:
            return "the server is stopping"
        if self.keys is not None and self.keys.closed:
            return "the file of keys cannot be read"
        return "" if self.repository.ready() else "a required model is not loaded"


def service() -> Service:
    """That of the application at work."""
    found: Service = current_app.extensions[EXTENSION]
    return found
