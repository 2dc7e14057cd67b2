"""A small Flask module that serves models, and that may face a network.

::

    from rx580lab.serve import Settings, create_app

    app = create_app(Settings(models="models", keys="keys.jsonl"))

``rx580lab serve`` runs it; whoever embeds it gets a Flask application like any other. A request passes the steps of
``pipeline.py`` in their order before a handler sees it; the routes, with the role each asks for, are one table
(``routes/``), and what is not in it is refused.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rx580lab.serve.app import create_app
    from rx580lab.serve.settings import Settings

__all__ = ["Settings", "create_app"]

_MODULES = {"Settings": "settings", "create_app": "app"}


def __getattr__(name: str) -> Any:
    # Tools that only need a part, such as the commands for keys, load no Flask.
    if name not in _MODULES:
        raise AttributeError(f"module 'rx580lab.serve' has no attribute {name!r}")
    return getattr(import_module(f"rx580lab.serve.{_MODULES[name]}"), name)
