"""The application: its parts made, its routes registered, or a refusal to start."""

from __future__ import annotations

import socket
from typing import Any

from flask import Flask

from rx580lab.errors import ServeError
from rx580lab.serve import pipeline
from rx580lab.serve.addresses import trust
from rx580lab.serve.audit import Audit
from rx580lab.serve.cors import Cors
from rx580lab.serve.credentials import WithoutCredentials
from rx580lab.serve.keys import Keys, cure
from rx580lab.serve.lifecycle import Lifecycle
from rx580lab.serve.limits import Limiter
from rx580lab.serve.metrics import Metrics
from rx580lab.serve.pepper import read_pepper
from rx580lab.serve.places import default_keys_file
from rx580lab.serve.repository import Repository
from rx580lab.serve.routes import routes
from rx580lab.serve.routing import converters, register
from rx580lab.serve.service import EXTENSION, Service
from rx580lab.serve.settings import Settings, is_loopback

__all__ = ["create_app"]


def create_app(settings: Settings) -> Flask:
    """The application. Models load in the background; ``GET /ready`` tells when they serve.

    ServeError rather than an open server: without keys it is made on loopback only, and only where that is asked for.
    """
    _refuse_to_be_open(settings)
    app = Flask("rx580lab", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.caps.body_bytes
    metrics = Metrics()
    open_to_all = settings.bare or settings.insecure_no_auth
    audit = None if settings.bare else Audit(settings.audit_file, metrics.audit_dropped)
    limiter = None if audit is None else Limiter(settings.limits, metrics, audit.event)
    observe_wait = None if limiter is None else limiter.observe_wait
    serving = Service(
        settings=settings,
        repository=Repository(settings, metrics, audit=audit, observe_wait=observe_wait),
        keys=None if open_to_all else _keys(settings, audit, metrics),
        limiter=limiter,
        audit=audit,
        metrics=metrics,
        lifecycle=Lifecycle(settings.places),
        cors=Cors(settings.cors_origins),
    )
    app.extensions[EXTENSION] = serving
    metrics.in_flight.set_function(lambda: serving.lifecycle.in_flight)
    metrics.is_model = serving.repository.knows
    trust(app, settings)
    converters(app)
    pipeline.install(app)
    serving.routes = register(app, routes(settings))
    app.wsgi_app = WithoutCredentials(app.wsgi_app)  # type: ignore[method-assign]
    serving.repository.load_in_background()
    return app


def _keys(settings: Settings, audit: Audit | None, metrics: Metrics) -> Keys:
    path = settings.keys or default_keys_file()

    def report(event: str, **fields: Any) -> None:
        metrics.key_file_fault.set(event == "key file unreadable")
        if audit is not None:
            audit.event(event, **fields)

    if not path.exists():
        raise ServeError(str(path), f"expected a file of keys, got none; {cure(path)}")
    return Keys(path, read_pepper(settings.pepper_file), report)


def _refuse_to_be_open(settings: Settings) -> None:
    for name in ("insecure_no_auth", "bare"):
        if getattr(settings, name) and not _only_here(settings.host):
            raise ServeError("serve", f"expected a loopback host with {name}, got {settings.host}")


def _only_here(host: str) -> bool:
    """Whether all that a host's name stands for is reached from this machine only; of names only localhost is taken."""
    if not is_loopback(host):
        return False
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return all(is_loopback(str(address[0])) for *_, address in found)
