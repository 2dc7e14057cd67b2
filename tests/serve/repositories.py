"""Repositories over a folder of small models, with an audit log that remembers; unloaded at the end of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rx580lab.serve.metrics import Metrics
from rx580lab.serve.repository import Repository
from rx580lab.serve.settings import Settings

Make = Callable[..., Repository]


class Log:
    """An audit log that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def event(self, event: str, **fields: Any) -> None:
        self.events.append((event, fields["model"], fields["version"]))


@contextmanager
def repositories(folder: Path) -> Iterator[Make]:
    """Makes repositories over ``folder``, by settings."""
    made: list[Repository] = []

    def repository(**more: Any) -> Repository:
        log: Any = Log()
        made.append(Repository(Settings(models=folder, device="pocl", **more), Metrics(), audit=log))
        return made[-1]

    yield repository
    for one in made:
        for served in one.index():
            served.unload("the end of the test", one._loader.turns)


def events(repository: Repository) -> list[tuple[str, str, str]]:
    """What its audit log remembers."""
    audit = repository._audit
    assert isinstance(audit, Log)
    return audit.events


def loaded(repository: Repository) -> Repository:
    repository.load_all()
    return repository
