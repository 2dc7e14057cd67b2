"""Who is measured, and by what rules: a contestant is three callables, a protocol is a page of settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from typing import Protocol as Shape

import numpy.typing as npt

from rx580lab.errors import MeasureError

__all__ = ["Contestant", "Protocol", "Stamped", "repeated"]


class Stamped(Shape):
    """What the stopwatch needs of an event: when the device began and ended it, in ns (``device.Event`` has both)."""

    @property
    def start_ns(self) -> int:
        """When it began."""

    @property
    def end_ns(self) -> int:
        """When it ended."""


@dataclass(frozen=True)
class Contestant:
    """One way to do the work of a race.

    Attributes:
        name: unique in a race. label: for people. role: ours, a rival, or a control such as A/A.
        run: does the work once, or queues it; returns the events of what it queued, None if it queued nothing.
        sync: waits until everything that ``run`` queued is done.
        output: the result of the last run, for the oracle; None if nobody asks.
    """

    name: str
    label: str
    role: Literal["lab", "peer", "control"]
    run: Callable[[], Sequence[Stamped] | None]
    sync: Callable[[], None]
    output: Callable[[], npt.NDArray[Any]] | None = None


@dataclass(frozen=True)
class Protocol:
    """How a race is run. Times in seconds, effects as shares (0.02 is 2 %).

    Attributes:
        n_samples: interleaved rounds; each gives one sample per contestant.
        warmup_window, warmup_rel, warmup_max_s: warm-up ends when every contestant's medians of its last two windows
            agree within warmup_rel, or after warmup_max_s of the race.
        min_effect: the smallest relative difference that matters.
        confidence: of the intervals of ratios, on which verdicts stand. At 0.99 a disturbance that ordinary medians
            cannot cope with is mistaken for an effect in at most one race of a hundred.
        gap_s: idle time before each sample, so that spinning threads of the one before fall asleep.
        clock: "auto" chooses and says why.
        inner: calls in one sample; "auto" makes a sample last ``min_sample_s``.
        min_sample_s: None takes what suits the clock (``stopwatch.LEAST_SAMPLE_S``).
        seed: of the random order and of the bootstrap.
        max_s: budget of the race after the first dispatches; rounds beyond it are left out, and the series says so.
    """

    n_samples: int = 30
    warmup_window: int = 8
    warmup_rel: float = 0.02
    warmup_max_s: float = 2.0
    min_effect: float = 0.02
    confidence: float = 0.99
    gap_s: float = 0.0
    clock: Literal["auto", "device_event", "cpu", "wall"] = "auto"
    inner: Literal["auto"] | int = "auto"
    seed: int = 0
    max_s: float = 60.0
    min_sample_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("n_samples", "warmup_window"):
            if getattr(self, name) < 1:
                raise MeasureError("protocol", f"expected {name} of at least 1, got {getattr(self, name)}")
        for name in ("warmup_rel", "warmup_max_s", "min_effect", "gap_s", "max_s", "min_sample_s"):
            if getattr(self, name) is not None and not getattr(self, name) >= 0:
                raise MeasureError("protocol", f"expected {name} of at least 0, got {getattr(self, name)}")
        if not 0 < self.confidence < 1:
            raise MeasureError("protocol", f"expected a confidence between 0 and 1, got {self.confidence}")
        if self.inner != "auto" and self.inner < 1:
            raise MeasureError("protocol", f'expected inner of "auto" or at least 1, got {self.inner}')
        if self.clock not in ("auto", "device_event", "cpu", "wall"):
            raise MeasureError("protocol", f"expected a clock of auto, device_event, cpu or wall, got {self.clock!r}")


def repeated(contestant: Contestant, times: int, name: str | None = None) -> Contestant:
    """A contestant whose one run is ``times`` runs of the given one: 11 against 10 is exactly 10 % more work."""
    if times < 1:
        raise MeasureError("repeated", f"expected at least one run, got {times}")

    def run() -> list[Stamped] | None:
        events: list[Stamped] = []
        queued = False
        for _ in range(times):
            answer = contestant.run()
            if answer is not None:
                queued = True
                events.extend(answer)
        return events if queued else None

    return replace(
        contestant, name=name or f"{contestant.name}-x{times}", label=f"{contestant.label}, {times} times", run=run
    )
