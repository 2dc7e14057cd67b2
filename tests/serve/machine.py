"""A model that is none, to be held and broken, and requests in threads of their own: for tests of its queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rx580lab.serve.batcher import Batcher, Policy
from rx580lab.serve.inference import Inference, Result, Tensor
from rx580lab.serve.launches import Launches
from rx580lab.serve.metrics import Metrics
from rx580lab.serve.tallies import Tallies
from rx580lab.serve.turns import Turns

COSTS = {1: 1.0, 2: 1.1, 4: 1.2, 8: 1.4}
SOON_S = 20.0


@dataclass
class Machine:
    """A fake run, y = 2 x + 1 and z = -x, which can be held and broken. ``seen``: what each launch was given."""

    seen: list[Tensor] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    wanted: list[tuple[str, ...] | None] = field(default_factory=list)
    break_on: Callable[[Tensor], BaseException | None] = lambda _x: None
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self) -> None:
        self.gate.set()

    def run(self, inputs: Mapping[str, Tensor], wanted: tuple[str, ...] | None) -> Mapping[str, Tensor]:
        x = inputs["x"]
        self.seen.append(x.copy())
        self.threads.append(threading.get_ident())
        self.wanted.append(wanted)
        self.entered.release()
        assert self.gate.wait(SOON_S)
        if (error := self.break_on(x)) is not None:
            raise error
        made = {"y": 2 * x + 1, "z": -x}
        return {name: one for name, one in made.items() if wanted is None or name in wanted}

    @contextmanager
    def held(self) -> Iterator[None]:
        self.gate.clear()
        try:
            yield
        finally:
            self.gate.set()


@dataclass
class Asked:
    """A request in a thread of its own."""

    thread: threading.Thread
    outcome: list[Result | BaseException] = field(default_factory=list)

    @property
    def got(self) -> Any:
        self.thread.join(SOON_S)
        assert not self.thread.is_alive(), "the request waits for ever"
        return self.outcome[0]


def ask(batcher: Batcher, *values: float, **more: Any) -> Asked:
    x = np.array(values, np.float32)[:, None]
    return ask_for(batcher, Inference({"x": x}, **more))


def ask_for(batcher: Batcher, inference: Inference) -> Asked:
    outcome: list[Result | BaseException] = []

    def submit() -> None:
        try:
            outcome.append(batcher.submit(inference))
        except BaseException as error:  # noqa: BLE001 - what it is, the test asks
            outcome.append(error)

    thread = threading.Thread(target=submit, daemon=True)
    thread.start()
    return Asked(thread, outcome)


def waits_for(batcher: Batcher, n: int) -> None:
    """Until so many requests are in the queue."""
    end = time.monotonic() + SOON_S
    while batcher.waiting != n:
        assert time.monotonic() < end, f"{batcher.waiting} wait, not {n}"
        time.sleep(0.001)


def queue(batcher: Batcher, *lists: tuple[float, ...], **more: Any) -> list[Asked]:
    """Requests that come one after another and wait."""
    found = []
    for values in lists:
        before = batcher.waiting
        found.append(ask(batcher, *values, **more))
        waits_for(batcher, before + 1)
    return found


def made(
    machine: Machine, costs: Mapping[int, float] = COSTS, *, metrics: Metrics | None = None, turns: Turns | None = None,
    tallies: Tallies | None = None, observe_wait: Callable[[float], None] | None = None, **policy: Any,
) -> Batcher:  # fmt: skip
    chosen = Policy(**policy)
    launches = Launches(machine.run, costs, max_bytes=chosen.max_bytes)
    return Batcher("m", launches, chosen, metrics or Metrics(), turns=turns, tallies=tallies, observe_wait=observe_wait)


def values(result: Any, name: str = "y") -> list[float]:
    assert isinstance(result, Result), result
    return [float(value) for value in result.outputs[name][:, 0]]


@contextmanager
def busy(machine: Machine, batcher: Batcher) -> Iterator[None]:
    """While one launch is at work, of a request that is answered after."""
    with machine.held():
        first = ask(batcher, 100)
        assert machine.entered.acquire(timeout=SOON_S)
        yield
    assert values(first.got) == [201]


def value_of(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0
