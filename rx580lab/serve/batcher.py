"""A bounded queue and one thread for a model: requests that came meanwhile share a launch."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from rx580lab.errors import InputError, LabError
from rx580lab.serve.inference import Inference, Result, Tensor, rows_of
from rx580lab.serve.metrics import Metrics
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.settings import Batching

__all__ = ["Batcher"]

Run = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


@dataclass
class _Item:
    inference: Inference
    arrived: float
    done: threading.Event = field(default_factory=threading.Event)
    result: Result | None = None
    error: Exception | None = None


class Batcher:
    """``submit`` blocks its thread until the answer is there. ``run``: inputs with a batch axis to outputs with one.

    ``batches``: whether rows of different requests may share a launch at all.
    """

    def __init__(self, name: str, run: Run, policy: Batching, metrics: Metrics, *, batches: bool) -> None:
        self.name = name
        self._run = run
        self._policy = policy
        self._metrics = metrics
        self._batches = batches
        self._waiting: queue.Queue[_Item | None] = queue.Queue(policy.queue)
        metrics.queue_capacity.labels(name).set(policy.queue)
        self._thread = threading.Thread(target=self._work, name=f"model-{name}", daemon=True)
        self._thread.start()

    def submit(self, inference: Inference) -> Result:
        """The result. Refusal 503 when the queue is full, 504 when the deadline passed; the model's own errors."""
        item = _Item(inference, time.monotonic())
        try:
            self._waiting.put_nowait(item)
        except queue.Full:
            self._metrics.rejected.labels(self.name, "queue full").inc()
            raise Refusal(503, self.name, "the queue of this model is full", retry_after_s=1) from None
        item.done.wait()
        if item.error is not None:
            raise item.error
        assert item.result is not None  # noqa: S101 - the worker sets one of the two
        return item.result

    def close(self) -> None:
        """Serves what waits, then ends the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            for items in self._shared([first, *self._company()]):
                self._launch(items)

    def _company(self) -> list[_Item]:
        found: list[_Item] = []
        while self._batches and len(found) + 1 < self._policy.max_rows:
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self._waiting.put(None)
                break
            found.append(item)
        return found

    def _shared(self, items: list[_Item]) -> list[list[_Item]]:
        groups: dict[object, list[_Item]] = {}
        for item in items:
            key = tuple((name, one.dtype.str, one.shape[1:]) for name, one in sorted(item.inference.inputs.items()))
            groups.setdefault(key, []).append(item)
        return list(groups.values())

    def _launch(self, items: list[_Item]) -> None:
        now = time.monotonic()
        live = [item for item in items if not self._expired(item, now)]
        if not live:
            return
        names = list(live[0].inference.inputs)
        inputs = {name: np.concatenate([item.inference.inputs[name] for item in live]) for name in names}
        started = time.perf_counter_ns()
        try:
            outputs = self._run(inputs)
        except LabError as error:
            if len(live) > 1 and isinstance(error, InputError):
                for item in live:
                    self._launch([item])
                return
            for item in live:
                item.error = error
                item.done.set()
            return
        compute_ns = time.perf_counter_ns() - started
        place = 0
        for item in live:
            rows = rows_of(item.inference.inputs)
            own = {name: one[place : place + rows] for name, one in outputs.items()}
            item.result = Result(own, queue_ns=int((now - item.arrived) * 1e9), compute_ns=compute_ns, rows=rows)
            place += rows
            item.done.set()
        self._metrics.batch_rows.labels(self.name).observe(place)
        self._metrics.compute_seconds.labels(self.name).observe(compute_ns / 1e9)

    def _expired(self, item: _Item, now: float) -> bool:
        wait = now - item.arrived
        self._metrics.queue_seconds.labels(self.name).observe(wait)
        late = item.inference.deadline is not None and now > item.inference.deadline
        if late or item.inference.abandoned():
            item.error = Refusal(504, self.name, "the deadline passed before the launch")
            item.done.set()
        return item.done.is_set()
