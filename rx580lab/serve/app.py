"""The application: its parts made, its routes registered, or a refusal to start."""

from __future__ import annotations

from pathlib import Path

from flask import Flask

from rx580lab.errors import ServeError
from rx580lab.serve import pipeline
from rx580lab.serve.audit import Audit
from rx580lab.serve.keys import Keys
from rx580lab.serve.lifecycle import Lifecycle
from rx580lab.serve.limits import Limiter
from rx580lab.serve.metrics import Metrics
from rx580lab.serve.pepper import read_pepper
from rx580lab.serve.repository import Repository
from rx580lab.serve.routes import routes
from rx580lab.serve.routing import converters, register
from rx580lab.serve.service import EXTENSION, Service
from rx580lab.serve.settings import Settings

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
    serving = Service(
        settings=settings,
        repository=Repository(settings, metrics),
        keys=None if open_to_all else Keys(_keys_file(settings), read_pepper(settings.pepper_file)),
        limiter=None if settings.bare else Limiter(settings.limits),
        audit=None if settings.bare else Audit(settings.audit_file),
        metrics=metrics,
        lifecycle=Lifecycle(),
    )
    app.extensions[EXTENSION] = serving
    metrics.in_flight.set_function(lambda: serving.lifecycle.in_flight)
    metrics.is_model = lambda name: any(one.name == name for one in serving.repository.index())
    converters(app)
    pipeline.install(app)
    serving.routes = register(app, routes(settings))
    if settings.load:
        serving.repository.load_in_background()
    return app


def _keys_file(settings: Settings) -> Path:
    if settings.keys is None:
        raise ServeError("serve", "expected --keys FILE; rx580lab keys create makes one")
    return settings.keys


def _refuse_to_be_open(settings: Settings) -> None:
    for name in ("insecure_no_auth", "bare"):
        if getattr(settings, name) and not settings.loopback:
            raise ServeError("serve", f"expected a loopback host with {name}, got {settings.host}")
