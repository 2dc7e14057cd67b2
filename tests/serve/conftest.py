"""What the server's tests share: a folder of models, and one running server for all that only read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rx580lab.models import export
from rx580lab.serve.settings import Limits
from tests.serve import protocol_models
from tests.serve.demo import write_demo
from tests.serve.running import Running, start
from tests.serve.stored_keys import Clock

# Limits that no test reaches.
UNLIMITED = {
    **{f"RX580LAB_SERVE_LIMITS__{role}": "1000000" for role in ("PUBLIC", "READONLY", "USER", "ADMIN")},
    "RX580LAB_SERVE_LIMITS__ROUTES": json.dumps(dict.fromkeys(Limits().routes, 1_000_000)),
}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of our own small CNN: image float32 [batch, 1, 28, 28] to logits [batch, 10]."""
    folder = tmp_path_factory.mktemp("models")
    for version in (1, 2):
        export("fashion-mnist", folder, version=version)
    return folder


@pytest.fixture(scope="session")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that no test changes: with keys of every role, and limits that no test reaches."""
    folder = tmp_path_factory.mktemp("server")
    running = start(models, folder, variables=UNLIMITED)
    running.wait_ready()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def demo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of the model that the examples of the documents speak of; no test changes it."""
    models = tmp_path_factory.mktemp("demo-models")
    write_demo(models)
    running = start(models, tmp_path_factory.mktemp("demo-server"), variables=UNLIMITED)
    running.wait_ready()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def protocol_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of the small models of ``protocol_models``; tests may load and unload ``pair`` and ``text`` alone."""
    folder = tmp_path_factory.mktemp("protocol")
    named = {"RX580LAB_SERVE_REQUIRED": '["echo", "pair", "scores", "fixed"]'}
    models = protocol_models.write_all(folder / "models")
    running = start(models, folder, variables={**UNLIMITED, **named})
    running.wait_ready()
    yield running
    running.stop()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of keys: it passes when it is told to."""
    clock = Clock()
    monkeypatch.setattr("rx580lab.serve.keys.time", clock)
    return clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test keeps its keys."""
    return tmp_path / "keys.jsonl"
