"""An application in this process, without a model and without a socket: for what happens before a handler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from flask import Flask
from flask.testing import FlaskClient

from rx580lab.serve import Settings, create_app
from rx580lab.serve.audit import Audit
from rx580lab.serve.key_file import add
from rx580lab.serve.keys import make_key
from rx580lab.serve.pepper import make_pepper
from rx580lab.serve.roles import Role
from rx580lab.serve.service import EXTENSION, Service

UNLIMITED = {
    "public": 1_000_000, "readonly": 1_000_000, "user": 1_000_000, "admin": 1_000_000, "routes": {},
}  # fmt: skip


class Recorded(Audit):
    """An audit log in memory."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.events: list[dict[str, Any]] = []

    def event(self, event: str, **fields: Any) -> None:
        self.events.append({"event": event, **fields})

    def close(self) -> None:
        self.events = []


@dataclass
class Application:
    """``keys``: role -> key, and what ``extra`` asked for under its own name."""

    app: Flask
    client: FlaskClient
    folder: Path
    keys: dict[str, str]

    @property
    def serving(self) -> Service:
        found: Service = self.app.extensions[EXTENSION]
        return found

    def get(self, path: str, role: str | None = None, **headers: str) -> Any:
        """One GET with the key of ``role``; ``X_API_Key="..."`` is a header."""
        own = {"X-API-Key": self.keys[role]} if role else {}
        return self.client.get(path, headers={**own, **{name.replace("_", "-"): one for name, one in headers.items()}})

    def events(self) -> list[dict[str, Any]]:
        """The audit log so far."""
        assert isinstance(self.serving.audit, Recorded)
        return self.serving.audit.events

    def metric(self, line: str) -> float:
        """The value of one sample."""
        text = self.serving.metrics.text().decode()
        return sum(float(one.rpartition(" ")[2]) for one in text.splitlines() if one.startswith(line + " "))


def store_keys(folder: Path, **extra: dict[str, Any]) -> dict[str, str]:
    """``keys.jsonl`` and ``pepper`` in a folder, with a key of each role, and more: name -> options of ``make_key``."""
    pepper = make_pepper(folder / "pepper")
    wanted: dict[str, dict[str, Any]] = {one.label: {"role": one} for one in (Role.READONLY, Role.USER, Role.ADMIN)}
    made = {name: make_key(pepper, **options) for name, options in {**wanted, **extra}.items()}
    for _, record in made.values():
        add(folder / "keys.jsonl", record)
    return {name: key for name, (key, _) in made.items()}


@contextmanager
def application(
    folder: Path, extra: dict[str, dict[str, Any]] | None = None, *, make_keys: bool = True, **options: Any
) -> Iterator[Application]:
    """One with keys of each role and limits that nobody reaches; ``options`` are settings."""
    (folder / "models").mkdir(exist_ok=True)
    keys = store_keys(folder, **(extra or {})) if make_keys else {}
    given = {
        "models": folder / "models", "keys": folder / "keys.jsonl", "pepper_file": folder / "pepper", "load": False,
        "limits": UNLIMITED, **options,
    }  # fmt: skip
    with patch("rx580lab.serve.app.Audit", Recorded):
        app = create_app(Settings(**given))
    yield Application(app, app.test_client(), folder, keys)
