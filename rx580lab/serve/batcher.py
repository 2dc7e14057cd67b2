"""A bounded queue for one model: requests that came while the device was busy share a launch.

There is no thread of its own. Of the threads that wait for an answer, one leads: it takes a turn at the device, runs
what waits by then, its own request and others', and hands the lead to one that still waits. An idle model thus costs
no change of threads at all, a busy one no more than waking those whose answers are there.
"""

from __future__ import annotations

import copy
import heapq
import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from rx580lab.errors import InputError, LabError, ServeError, ShapeError
from rx580lab.serve.inference import Inference, Result, Tensor, rows_of
from rx580lab.serve.launches import Launches, Ran
from rx580lab.serve.metrics import Metrics
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.tallies import Tallies
from rx580lab.serve.turns import Turns

__all__ = ["Batcher", "Closed", "Policy"]

# Requests of other shapes that are looked past while company is sought for a launch.
MOST_LOOKED_PAST = 64


@dataclass(frozen=True)
class Policy:
    """How requests wait. ``queue``: how many may; ``max_bytes``: of inputs in one launch."""

    queue: int = 256
    max_bytes: int = 64 << 20
    max_delay_s: float = 0.0
    request_s: float = 30.0


class Closed(Refusal):
    """The model was unloaded, or loaded again, before the request could wait in its queue."""

    def __init__(self, name: str) -> None:
        super().__init__(503, name, "the model is being unloaded", retry_after_s=1)


class _State(Enum):
    WAITING = "waiting"
    TAKEN = "taken"
    DONE = "done"


class _Item:
    __slots__ = ("arrived", "deadline", "error", "gate", "inference", "key", "leads", "n_bytes", "order", "result",
                 "rows", "state")  # fmt: skip

    def __init__(self, inference: Inference, arrived: float, request_s: float, *, batches: bool) -> None:
        inputs = inference.inputs
        self.inference = inference
        self.arrived = arrived
        self.deadline = arrived + request_s
        if inference.deadline is not None:
            self.deadline = min(self.deadline, inference.deadline)
        self.order = inference.priority or 1 << 62
        self.rows = rows_of(inputs) if inputs else 1
        self.n_bytes = sum(one.nbytes for one in inputs.values())
        # What may share a launch. Requests without a key never do.
        self.key = tuple((name, one.dtype, one.shape[1:]) for name, one in inputs.items()) if batches else None
        self.state = _State.WAITING
        self.leads = False
        self.gate: threading.Lock | None = None
        self.result: Result | None = None
        self.error: BaseException | None = None

    def finish(self, result: Result | None = None, error: BaseException | None = None) -> None:
        self.result, self.error, self.state = result, error, _State.DONE
        if self.gate is not None and not self.leads:
            self.gate.release()


class Batcher:
    """``submit`` blocks its thread until the answer is there.

    ``turns``: of the device, which all its models share. ``observe_wait`` is told how long each request waited, in
    seconds. Of all public methods, threads may call any at any time.
    """

    def __init__(
        self,
        name: str,
        launches: Launches,
        policy: Policy,
        metrics: Metrics,
        *,
        version: str = "",
        turns: Turns | None = None,
        tallies: Tallies | None = None,
        observe_wait: Callable[[float], None] | None = None,
    ) -> None:
        self.name = name
        self.version = version
        self.policy = policy
        self.tallies = tallies or Tallies()
        self._launches = launches
        self._turns = turns or Turns()
        self._observe_wait = observe_wait
        self._mutex = threading.Lock()
        self._company = threading.Condition(self._mutex)
        self._idle = threading.Condition(self._mutex)
        self._heap: list[tuple[int, int, _Item]] = []
        self._numbers = itertools.count()
        self._n_waiting = self._rows_waiting = 0
        self._led = self._gathering = self._closed = False
        self._rejected = metrics.rejected
        self._depth = metrics.queue_depth.labels(name)
        self._capacity = metrics.queue_capacity.labels(name)
        self._queue_seconds = metrics.queue_seconds.labels(name)
        self._compute_seconds = metrics.compute_seconds.labels(name)
        self._batch_rows = metrics.batch_rows.labels(name)
        self._capacity.inc(policy.queue)

    def submit(self, inference: Inference) -> Result:
        """The result.

        Raises:
            Refusal: 503 when the queue is full (``Closed`` after ``close``), 504 when the deadline passed before the
                launch or the client is gone.
            LabError: of the model: InputError for what does not fit it, DeviceError.
        """
        item = _Item(inference, time.monotonic(), self.policy.request_s, batches=self._launches.batches)
        if self._launches.batches:
            self._check_rows(inference)
        if self._enter(item) or self._wait(item):
            self._lead(item)
        if item.error is not None:
            raise item.error
        if item.result is None:
            raise ServeError(self.name, "expected an answer or an error of the launch, got neither")
        return item.result

    def close(self) -> None:
        """Takes nothing any more; returns when all that waits is served."""
        self._close()
        with self._mutex:
            self._company.notify_all()
            self._idle.wait_for(lambda: not self._led)

    def retire(self) -> bool:
        """Closes it if nothing waits or runs; False, and nothing happens, if something does."""
        return self._close(only_idle=True)

    @property
    def waiting(self) -> int:
        """Requests in the queue; those of a launch at work are not."""
        return self._n_waiting

    def _close(self, *, only_idle: bool = False) -> bool:
        with self._mutex:
            if only_idle and self._led:
                return False
            if not self._closed:
                self._closed = True
                self._capacity.dec(self.policy.queue)
            return True

    def _check_rows(self, inference: Inference) -> None:
        """Rows of different requests are put together: what an input lacks must not come from the next request."""
        counts = {name: one.shape[0] if one.ndim else 0 for name, one in inference.inputs.items()}
        if not counts or 0 in counts.values() or len(set(counts.values())) > 1:
            raise ShapeError(self.name, f"expected inputs of as many rows each, one or more, got {counts}")

    def _enter(self, item: _Item) -> bool:
        """Puts it into the queue; whether its thread leads."""
        with self._mutex:
            if self._closed:
                raise Closed(self.name)
            full = self._n_waiting >= self.policy.queue
            if not full:
                if self._led:
                    item.gate = threading.Lock()
                    item.gate.acquire()
                else:
                    self._led = item.leads = True
                if len(self._heap) > 2 * self.policy.queue + MOST_LOOKED_PAST:
                    self._forget_gone()
                heapq.heappush(self._heap, (item.order, next(self._numbers), item))
                self._n_waiting += 1
                self._rows_waiting += item.rows
                if self._gathering:
                    self._company.notify_all()
        if full:
            self._rejected.labels(self.name, "queue full").inc()
            raise Refusal(503, self.name, "the queue of this model is full", retry_after_s=1)
        self._depth.inc()
        return item.leads

    def _forget_gone(self) -> None:
        """Drops what left at its deadline and no launch has come to since, as behind a stream of higher priority."""
        self._heap = [entry for entry in self._heap if entry[2].state is _State.WAITING]
        heapq.heapify(self._heap)

    def _wait(self, item: _Item) -> bool:
        """Until it is answered or has to lead: whether it has to."""
        gate = item.gate
        if gate is None or gate.acquire(timeout=max(0.0, item.deadline - time.monotonic())):
            return item.leads
        with self._mutex:
            if item.state is _State.WAITING and not item.leads:
                self._leave(item)
                self._late(item)
                return False
        gate.acquire()
        return item.leads

    def _lead(self, own: _Item) -> None:
        try:
            while own.state is _State.WAITING:
                self._gather()
                if not self._turns.acquire(max(0.0, own.deadline - time.monotonic())):
                    with self._mutex:
                        self._leave(own)
                    self._late(own)
                    return
                try:
                    self._launch(self._take(own))
                finally:
                    self._turns.release()
        finally:
            self._hand_over()

    def _gather(self) -> None:
        """Waits for company, where the policy says so."""
        if self.policy.max_delay_s <= 0:
            return
        with self._mutex:
            self._gathering = True
            oldest = min((item.arrived for _, _, item in self._heap if item.state is _State.WAITING), default=0.0)
            end = oldest + self.policy.max_delay_s
            while self._rows_waiting < self._launches.gather and not self._closed:
                left = end - time.monotonic()
                if left <= 0:
                    break
                self._company.wait(left)
            self._gathering = False

    def _take(self, own: _Item) -> list[_Item]:
        """What runs next: the first by priority and arrival, and what may share its launch."""
        taken: list[_Item] = []
        passed: list[tuple[int, int, _Item]] = []
        rows = n_bytes = 0
        now = time.monotonic()
        gather = self._launches.gather_next()
        with self._mutex:
            while self._heap and own.state is not _State.DONE:
                if taken and (rows >= gather or len(passed) >= MOST_LOOKED_PAST):
                    break
                entry = heapq.heappop(self._heap)
                item = entry[2]
                if item.state is not _State.WAITING:
                    continue
                if taken and item.key != taken[0].key:
                    passed.append(entry)
                    continue
                rows, n_bytes = rows + item.rows, n_bytes + item.n_bytes
                if taken and (rows > self._launches.most or n_bytes > self.policy.max_bytes):
                    passed.append(entry)
                    break
                self._leave(item)
                if self._may_run(item, now):
                    item.state = _State.TAKEN
                    taken.append(item)
                else:
                    rows, n_bytes = rows - item.rows, n_bytes - item.n_bytes
            for entry in passed:
                heapq.heappush(self._heap, entry)
        return taken

    def _leave(self, item: _Item) -> None:
        """Counts it out of the queue, under the mutex; what the heap still holds of it is passed over."""
        item.state = _State.TAKEN
        self._n_waiting -= 1
        self._rows_waiting -= item.rows
        self._depth.dec()

    def _may_run(self, item: _Item, now: float) -> bool:
        try:
            gone = item.inference.abandoned()
        except Exception as error:  # noqa: BLE001 - raised again in the thread of the request that it belongs to
            item.finish(error=error)
            return False
        if now > item.deadline:
            self._late(item)
        elif gone:
            self._rejected.labels(self.name, "abandoned").inc()
            item.finish(error=Refusal(504, self.name, "the client is gone"))
        return item.state is not _State.DONE

    def _late(self, item: _Item) -> None:
        self._rejected.labels(self.name, "deadline").inc()
        waited = time.monotonic() - item.arrived
        self._waited(waited)
        self.tallies.failed(int(waited * 1e9))
        item.finish(error=Refusal(504, self.name, "the deadline passed before the launch"))

    def _launch(self, items: list[_Item]) -> None:
        """Runs them together; whatever happens, each of them is finished after it."""
        if not items:
            return
        began = time.monotonic()
        wanted: set[str] | None = set()
        for item in items:
            names = item.inference.outputs
            wanted = None if names is None or wanted is None else wanted.union(names)
        parts = [item.inference.inputs for item in items]
        try:
            ran = self._launches.run(parts, None if wanted is None else tuple(sorted(wanted)), self._turns.pass_on)
            self._deliver(items, ran, began)
        except InputError as error:
            if len(items) == 1:
                self._fail(items, error, began)
            else:
                for item in items:
                    self._launch([item])
        except BaseException as error:  # noqa: BLE001 - raised again in the thread of each request of this launch
            self._fail(items, error, began)

    def _deliver(self, items: list[_Item], ran: Ran, began: float) -> None:
        waits = [began - item.arrived for item in items]
        compute_ns = ran.input_ns + ran.infer_ns + ran.output_ns
        at = 0
        for item, waited in zip(items, waits, strict=True):
            own = _own(ran.outputs, item, at if len(items) > 1 else None)
            at += item.rows
            item.finish(Result(own, self.version, int(waited * 1e9), compute_ns, item.rows))
            self._waited(waited)
        self.tallies.served(ran, at, [int(waited * 1e9) for waited in waits])
        self._batch_rows.observe(at)
        self._compute_seconds.observe(ran.infer_ns / 1e9)

    def _fail(self, items: list[_Item], error: BaseException, began: float) -> None:
        for item in items:
            if item.state is not _State.DONE:
                self.tallies.failed(int((time.monotonic() - item.arrived) * 1e9))
                self._waited(began - item.arrived)
                # Each thread raises one of its own: they would write into each other's traceback.
                item.finish(error=copy.copy(error) if isinstance(error, LabError) else error)

    def _waited(self, seconds: float) -> None:
        self._queue_seconds.observe(seconds)
        if self._observe_wait is not None:
            self._observe_wait(seconds)

    def _hand_over(self) -> None:
        """Makes the next one that waits lead, or nobody."""
        with self._mutex:
            while self._heap:
                item = self._heap[0][2]
                if item.state is _State.WAITING and item.gate is not None:
                    item.leads = True
                    item.gate.release()
                    return
                heapq.heappop(self._heap)
            self._led = False
            self._idle.notify_all()


def _own(outputs: Mapping[str, Tensor], item: _Item, at: int | None) -> dict[str, Tensor]:
    """Those outputs that the request asked for, and of these its own rows."""
    names = item.inference.outputs
    found = {name: one for name, one in outputs.items() if names is None or name in names}
    return found if at is None else {name: one[at : at + item.rows] for name, one in found.items()}
