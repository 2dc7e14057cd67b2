"""What load is asked for, within which caps, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rx580lab.errors import InputError
from rx580lab.loadgen.wire import Answer

__all__ = ["Caps", "Check", "Closed", "Open", "Outcome"]

# From the number of the request among those that were given and its answer to what is wrong; None for a right one.
Check = Callable[[int, Answer], str | None]
# Below this share of the intended rate the generator itself was the bottleneck: tails would be its own.
LEAST_ACHIEVED = 0.99


@dataclass(frozen=True)
class Caps:
    """What no load exceeds unless its caller says so: a slip of a digit must not flatten a machine."""

    seconds: float = 600.0
    connections: int = 1000
    rate: float = 5000.0
    requests: int = 2_000_000


@dataclass(frozen=True)
class Closed:
    """``connections`` that each send the next request when they have the last answer, until either bound is met."""

    connections: int = 8
    seconds: float = 10.0
    requests: int | None = None
    timeout_s: float = 30.0

    def check(self, caps: Caps) -> None:
        """InputError for what is beyond the caps."""
        _within("connections", self.connections, caps.connections)
        _within("seconds", self.seconds, caps.seconds)
        _within("requests", 1 if self.requests is None else self.requests, caps.requests)


@dataclass(frozen=True)
class Open:
    """Requests at fixed times, over as many connections as it takes.

    Attributes:
        arrivals: seconds from the start, ascending; ``constant`` and ``poisson`` make them.
        connections: at most so many; a request that finds none free is sent later, and its wait counts.
        timeout_s: from the intended start; then the request is lost.
        late_s: a request that left later than this after its intended start is counted as late.
    """

    arrivals: Sequence[float]
    connections: int = 500
    timeout_s: float = 30.0
    late_s: float = 0.05

    def check(self, caps: Caps) -> None:
        """InputError for what is beyond the caps."""
        _within("arrivals", len(self.arrivals), caps.requests)
        _within("connections", self.connections, caps.connections)
        _within("seconds", self.arrivals[-1] or math.ulp(0), caps.seconds)
        _within("rate", self.rate, caps.rate)
        if any(late < early for early, late in zip(self.arrivals, self.arrivals[1:], strict=False)):
            raise InputError("loadgen", "expected arrivals in order of time, got others")

    @property
    def rate(self) -> float:
        """Intended requests a second, on average."""
        n, span = len(self.arrivals), self.arrivals[-1]
        return n / (span * n / (n - 1)) if n > 1 and span > 0 else 1.0


def _within(what: str, value: float, most: float) -> None:
    if not 0 < value <= most:
        raise InputError("loadgen", f"expected {what} above 0 and up to {most:g}, got {value:g}; pass other caps")


@dataclass
class Outcome:
    """What came of a load. Every request that was intended is answered, lost or, in an open loop, unsent.

    Attributes:
        intended: requests that should have been sent; in a closed loop, those that were.
        latencies_s: of each answer of status 2xx, in order of arrival; from the intended start in an open loop.
        statuses: status -> answers. lost: why -> requests that got no answer.
        late: requests that left after ``Open.late_s``.
        n_checked, n_wrong: answers that were looked at; ``wrong``: the first reasons.
        seconds: from the start to the last answer. cpu_s: processor time of the generator.
        intended_rate, achieved_rate: requests a second; both None in a closed loop.
    """

    intended: int = 0
    latencies_s: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    late: int = 0
    n_checked: int = 0
    n_wrong: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cpu_s: float = 0.0
    intended_rate: float | None = None
    achieved_rate: float | None = None

    @property
    def answered(self) -> int:
        """Requests that got an answer of any status."""
        return sum(self.statuses.values())

    @property
    def n_lost(self) -> int:
        """Requests that got none."""
        return sum(self.lost.values())

    @property
    def on_schedule(self) -> bool:
        """Whether the generator kept its intended rate, so that tails are the server's."""
        if self.intended_rate is None or self.achieved_rate is None:
            return True
        return self.achieved_rate >= LEAST_ACHIEVED * self.intended_rate

    def quantile(self, q: float) -> float | None:
        """Latency that a share ``q`` of the answers stays within, s; None without answers or off schedule."""
        if not self.latencies_s or not self.on_schedule:
            return None
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, max(0, math.ceil(q * len(ordered)) - 1))]
