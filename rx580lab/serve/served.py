"""One version of a model as requests see it: its state, what it takes and gives, and the way into its queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rx580lab.graph.model import Model, TensorInfo
from rx580lab.serve.batcher import Batcher, Closed
from rx580lab.serve.inference import Inference, Result
from rx580lab.serve.launches import Launches
from rx580lab.serve.model_settings import ModelSettings
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.tallies import Tallies
from rx580lab.serve.tensors import datatype
from rx580lab.serve.turns import Turns

__all__ = ["EVICTED", "Running", "Served", "State"]

State = Literal["UNAVAILABLE", "LOADING", "READY", "UNLOADING"]
EVICTED = "evicted"
# What is loaded on demand may be waited for by so many requests at once; each holds a thread of the server.
MOST_ON_DEMAND = 16


@dataclass(frozen=True)
class Running:
    """A loaded model at work. ``unbatched``: why requests never share a launch; "" where they do."""

    path: Path
    model: Model
    launches: Launches
    batcher: Batcher
    settings: ModelSettings
    max_rows: int
    unbatched: str

    def free(self, turns: Turns) -> None:
        """Gives the device's memory back, between two runs."""
        with turns:
            self.model.release()
            self.model.device.trim()


class Served:
    """One version of a model. Threads may share it.

    Attributes:
        name, version: as in the folder of models. path: its file. chosen: whether the version policy has it loaded.
        state: READY while it answers, through a reload too. reason: why it is not ready; "" where it is.
        on_demand: whether a request for it has it loaded: it was evicted, or nothing is loaded at the start.
        tallies: what it has done. last_used: in seconds of ``time.monotonic()``.

    ``demand`` has it loaded and gives an event for the end of that; requests wait for it for ``wait_s`` at most.
    """

    def __init__(
        self, name: str, version: str, path: Path, demand: Callable[[Served], threading.Event], wait_s: float = 30.0
    ) -> None:
        self.name = name
        self.version = version
        self.path = path
        self.state: State = "UNAVAILABLE"
        self.reason = "not loaded"
        self.on_demand = False
        self.chosen = True
        self.tallies = Tallies()
        self.last_used = 0.0
        self._demand = demand
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._running: Running | None = None
        self._inputs: Mapping[str, TensorInfo] = {}
        self._outputs: Mapping[str, TensorInfo] = {}
        self._on_demand = threading.BoundedSemaphore(MOST_ON_DEMAND)
        self._labels: tuple[str, ...] = ()

    @property
    def running(self) -> Running | None:
        """What serves it now."""
        return self._running

    @property
    def model(self) -> Model | None:
        """The model that answers now."""
        running = self._running
        return running.model if running else None

    @property
    def inputs(self) -> Mapping[str, TensorInfo]:
        """By name; none before it loaded for the first time."""
        return self._inputs

    @property
    def outputs(self) -> Mapping[str, TensorInfo]:
        """By name; none before it loaded for the first time."""
        return self._outputs

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of its classes, from ``labels.txt`` beside it; none where there is no such file."""
        return self._labels

    @property
    def max_rows(self) -> int:
        """Rows that one launch takes; 0 where requests never share one."""
        return self._running.max_rows if self._running else 0

    def infer(self, inference: Inference) -> Result:
        """The answer, through a reload too.

        One that is loaded on demand is waited for until the deadline of the request. Refusal 503 with Retry-After
        while it is not ready; else as ``Batcher.submit``.
        """
        running = self._running or self._obtained(inference)
        while True:
            try:
                result = running.batcher.submit(inference)
            except Closed:
                # It was unloaded, evicted or replaced between two lines: the request was in no queue yet.
                running = self._obtained(inference)
                continue
            self.last_used = time.monotonic()
            return result

    def prepare(self, deadline: float | None = None) -> None:
        """Returns when ``inputs`` and ``outputs`` are known, which takes a load for what is loaded on demand.

        ``deadline`` as that of an inference. Refusal 503 while it is not ready.
        """
        if not self._outputs:
            self._obtained(Inference({}, deadline=deadline))

    def begin(self) -> None:
        """A load begins; what serves goes on."""
        with self._lock:
            if self._running is None:
                self.state, self.reason = "LOADING", "loading"

    def replace(self, fresh: Running, labels: tuple[str, ...]) -> Running | None:
        """From now on ``fresh`` serves; what served before, for the caller to close."""
        with self._lock:
            before, self._running = self._running, fresh
            self.state, self.reason, self.on_demand = "READY", "", False
            self.path, self._labels = fresh.path, labels
            self._inputs, self._outputs = fresh.model.inputs, fresh.model.outputs
            self.last_used = time.monotonic()
            return before

    def failed(self, reason: str, *, on_demand: bool = False) -> None:
        """A load failed; what served before goes on."""
        with self._lock:
            if self._running is None:
                self.state, self.reason, self.on_demand = "UNAVAILABLE", reason, on_demand

    def unload(self, reason: str, turns: Turns) -> bool:
        """Serves what waits, then gives the memory back; whether it served at all."""
        with self._lock:
            before = self._running
            self.on_demand = False
            if before is None:
                self.state, self.reason = "UNAVAILABLE", reason
                return False
            self._running = None
            self.state, self.reason = "UNLOADING", "unloading"
        before.batcher.close()
        before.free(turns)
        with self._lock:
            if self._running is None:
                self.state, self.reason = "UNAVAILABLE", reason
        return True

    def evict(self, turns: Turns) -> bool:
        """Gives the memory back at once, if nothing waits for it or runs; whether it did."""
        with self._lock:
            before = self._running
            if before is None or not before.batcher.retire():
                return False
            self._running = None
            self.state, self.reason, self.on_demand = "UNAVAILABLE", EVICTED, True
        before.free(turns)
        return True

    def config(self) -> dict[str, Any]:
        """The model's configuration as the V2 protocol's extension for it writes it."""
        running = self._running
        batched = self.max_rows > 0
        found: dict[str, Any] = {
            "name": self.name,
            "platform": "onnx",
            "backend": "rx580lab",
            "version_policy": _policy(running.settings.version_policy if running else "all"),
            "max_batch_size": self.max_rows,
            "input": [_described(one, batched=batched) for one in self._inputs.values()],
            "output": [
                {**_described(one, batched=batched), **({"label_filename": "labels.txt"} if self._labels else {})}
                for one in self._outputs.values()
            ],
            "default_model_filename": "model.onnx",
        }
        if running and batched:
            found["dynamic_batching"] = {
                "preferred_batch_size": list(running.launches.costs),
                "max_queue_delay_microseconds": round(running.batcher.policy.max_delay_s * 1e6),
                "default_queue_policy": {"max_queue_size": running.batcher.policy.queue},
            }
        elif running:
            found["parameters"] = {"unbatched": {"string_value": running.unbatched}}
        return found

    def statistics(self) -> dict[str, Any]:
        """One entry of ``model_stats`` of the V2 protocol's extension for statistics."""
        return {"name": self.name, "version": self.version, **self.tallies.as_dict()}

    def _obtained(self, inference: Inference) -> Running:
        with self._lock:
            if self._running is not None:
                return self._running
            if not self.chosen:
                raise Refusal(404, self.name, f"version {self.version} is not served: {self.reason}")
            if not self.on_demand:
                raise self._not_ready(1)
        if not self._on_demand.acquire(blocking=False):
            raise self._not_ready(5)
        try:
            ended = self._demand(self)
            now = time.monotonic()
            ended.wait(max(0.0, min(inference.deadline or now + self._wait_s, now + self._wait_s) - now))
        finally:
            self._on_demand.release()
        running = self._running
        if running is None:
            raise self._not_ready(5)
        return running

    def _not_ready(self, retry_after_s: float) -> Refusal:
        return Refusal(
            503, self.name, f"version {self.version} is not ready: {self.reason}", retry_after_s=retry_after_s
        )


def _described(info: TensorInfo, *, batched: bool) -> dict[str, Any]:
    kind = datatype(info.dtype)
    dims = [n if isinstance(n, int) else -1 for n in info.shape or ()]
    return {
        "name": info.name,
        "data_type": "TYPE_STRING" if kind == "BYTES" else f"TYPE_{kind}",
        "dims": dims[1:] if batched else dims,
    }


def _policy(policy: Any) -> dict[str, Any]:
    if policy == "all":
        return {"all": {}}
    if hasattr(policy, "latest"):
        return {"latest": {"num_versions": policy.latest}}
    return {"specific": {"versions": list(policy.specific)}}
