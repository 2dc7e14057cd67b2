"""The table of routes: the sum of the tables of this folder's modules."""

from __future__ import annotations

from rx580lab.serve.routes import documents, model_repository, open_inference, people
from rx580lab.serve.routing import Route
from rx580lab.serve.settings import Settings

__all__ = ["routes"]


def routes(settings: Settings) -> tuple[Route, ...]:
    """All routes of a server with these settings."""
    return (*people.ROUTES, *open_inference.ROUTES, *model_repository.ROUTES, *documents.routes(settings))
