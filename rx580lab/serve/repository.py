"""The folder of models, ``<name>/<version>/model.onnx``: what is there, what is loaded, what answers."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rx580lab.device import Device, open_device
from rx580lab.errors import LabError
from rx580lab.graph.model import Model, TensorInfo, load
from rx580lab.serve.batcher import Batcher
from rx580lab.serve.inference import Inference, Result
from rx580lab.serve.metrics import Metrics
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.settings import Settings

__all__ = ["Repository", "Served", "State"]

State = Literal["UNAVAILABLE", "LOADING", "READY", "UNLOADING"]
NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,64}")
VERSION = re.compile(r"\d{1,9}")


@dataclass
class Served:
    """One version of a model. ``reason`` says why it is not ready; empty where it is."""

    name: str
    version: str
    path: Path
    state: State = "UNAVAILABLE"
    reason: str = "not loaded"
    model: Model | None = None
    batcher: Batcher | None = None

    @property
    def inputs(self) -> Mapping[str, TensorInfo]:
        """By name; none before it loaded for the first time."""
        return self.model.inputs if self.model else {}

    @property
    def outputs(self) -> Mapping[str, TensorInfo]:
        """By name; none before it loaded for the first time."""
        return self.model.outputs if self.model else {}

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of its classes, from ``labels.txt`` beside it; none where there is no such file."""
        path = self.path.with_name("labels.txt")
        return tuple(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()

    @property
    def max_rows(self) -> int:
        """Rows that one launch takes; 0 where requests never share one."""
        return 0

    def config(self) -> dict[str, Any]:
        """The model's configuration as the V2 protocol's extension for it writes it."""
        return {"name": self.name, "platform": "onnx", "backend": "rx580lab", "max_batch_size": self.max_rows}

    def statistics(self) -> dict[str, Any]:
        """One entry of ``model_stats`` of the V2 protocol's extension for statistics."""
        return {"name": self.name, "version": self.version}

    def infer(self, inference: Inference) -> Result:
        """The answer; Refusal 503 while it is not ready."""
        if self.batcher is None or self.state != "READY":
            raise Refusal(503, self.name, f"version {self.version} is not ready: {self.reason}", retry_after_s=1)
        return self.batcher.submit(inference)


class Repository:
    """Threads may share it. Loads and unloads of one model wait for each other; inference waits for neither."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._lock = threading.RLock()
        self._device: Device | None = None
        self._served: dict[tuple[str, str], Served] = {}
        self.scan()

    @property
    def device(self) -> Device:
        """The one that all models share."""
        with self._lock:
            if self._device is None:
                self._device = open_device(self._settings.device)
                self._metrics.watch(self._device)
            return self._device

    def scan(self) -> None:
        """Looks into the folder again; what is there for the first time is known, but not loaded."""
        for path in sorted(self._settings.models.glob("*/*/model.onnx")):
            name, version = path.parts[-3:-1]
            if NAME.fullmatch(name) and VERSION.fullmatch(version):
                self._served.setdefault((name, version), Served(name, version, path))

    def index(self) -> list[Served]:
        """All versions of all models, by name and number."""
        return sorted(self._served.values(), key=lambda one: (one.name, int(one.version)))

    def find(self, name: str, version: str | None = None) -> Served:
        """That version, or the highest that is ready. Refusal 404 if there is none."""
        found = [one for one in self.index() if one.name == name and version in (None, one.version)]
        if not found:
            asked = f"version {version} of {name}" if version else name
            raise Refusal(404, "models", f"expected a model of this server, got {asked}")
        return next((one for one in reversed(found) if one.state == "READY"), found[-1])

    def load_in_background(self) -> None:
        """Starts ``load_all`` in a thread of its own."""
        threading.Thread(target=self.load_all, name="load", daemon=True).start()

    def load_all(self) -> None:
        """Loads every model; one that fails is reported, and the others serve."""
        for name in sorted({one.name for one in self.index()}):
            self.load(name)

    def load(self, name: str) -> None:
        """Loads all versions of a model. Refusal 404 if there is none of that name."""
        self.find(name)
        for served in [one for one in self.index() if one.name == name and one.state != "READY"]:
            self._load(served)

    def unload(self, name: str) -> None:
        """Serves what waits, then gives the memory back. Refusal 404 if there is none of that name."""
        self.find(name)
        for served in [one for one in self.index() if one.name == name and one.state == "READY"]:
            served.state, served.reason = "UNAVAILABLE", "unloaded"
            if served.batcher is not None:
                served.batcher.close()
            served.batcher = served.model = None
            self._metrics.model_ready.labels(name, served.version).set(0)

    def ready(self) -> bool:
        """Whether every model that is required serves."""
        required = self._settings.required or tuple({one.name for one in self.index()})
        return all(self.find(name).state == "READY" for name in required)

    def _load(self, served: Served) -> None:
        with self._lock:
            served.state, served.reason = "LOADING", ""
            try:
                served.model = load(served.path, self.device)
            except LabError as error:
                served.state, served.reason = "UNAVAILABLE", error.message
                self._metrics.load_failures.labels(served.name).inc()
                return
            batches = all(one.shape and not isinstance(one.shape[0], int) for one in served.model.inputs.values())
            served.batcher = Batcher(
                served.name, served.model.run, self._settings.batching, self._metrics, batches=batches
            )
            served.state, served.reason = "READY", ""
            self._metrics.model_ready.labels(served.name, served.version).set(1)
