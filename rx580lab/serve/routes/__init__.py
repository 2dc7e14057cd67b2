"""The table of routes: the sum of the tables of this folder's modules."""

from __future__ import annotations

from rx580lab.serve.routes import open_inference, people
from rx580lab.serve.routing import Route

__all__ = ["ROUTES"]

ROUTES: tuple[Route, ...] = (*people.ROUTES, *open_inference.ROUTES)
