"""The stopwatch: contestants in, samples out. Interleaved rounds in random order, warmed up, on one clock.

Sources: Hoefler and Belli, SC15 (rules for reporting); Barrett et al., OOPSLA 2017 (warm-up is observed, not assumed);
NVBench (set-up, launch and timing are three functions).
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from rx580lab.device.sysfs import shader_clock_reader
from rx580lab.errors import MeasureError
from rx580lab.measure.clocks import Timers, choose_clock, resolution_ns
from rx580lab.measure.contestant import Contestant, Protocol, Stamped
from rx580lab.results.records import Clock, Series
from rx580lab.results.statistics import median_interval, outliers

if TYPE_CHECKING:
    from rx580lab.device import Device

__all__ = ["LEAST_SAMPLE_S", "race"]

# A sample lasts at least this many steps of its clock, so that a step is a thousandth of it.
_STEPS_PER_SAMPLE = 1000
# Every queued call holds an event and a slot in the driver's queue.
_MAX_INNER = 1000
# How long a sample lasts. CPU time: long, since being interrupted costs nothing and some kernels charge it in steps.
# Wall time: longer than the host's overhead, but short beside a scheduler's time slice (3 ms and more on Linux), so
# that on a busy machine most samples are not interrupted. Device events leave the host's overhead out.
LEAST_SAMPLE_S: dict[Clock, float] = {"cpu": 0.01, "wall": 0.001, "device_event": 0.001}
# Who sleeps a moment wakes up with a whole time slice. Measured with two busy processes per core: ratios of A/A races
# by wall time were off by up to 50 % without this pause and by 0.6 % with it.
_PAUSE_S = 0.001
_CALIBRATION_READINGS = 3
# One reading this many times as long as a sample must be leaves no doubt, and may be one of many seconds.
_CERTAINLY_LONG = 20
# Contestants whose calls last as long as each other's within this factor get the same number of calls in a sample:
# what a sample costs once (waking up, cold caches, the wait at its end) then weighs the same on both.
_ALIKE = 2.0
# A clock below this share of the race's highest is a lowered one.
_FULL_CLOCK_SHARE = 0.95


@dataclass
class _Lane:
    """One contestant's state in a race."""

    contestant: Contestant
    first_wall_ns: int
    gives_events: bool
    inner: int = 1
    warmup: list[float] = field(default_factory=list)
    samples: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    clock_mhz: list[float | None] = field(default_factory=list)

    def settled(self, protocol: Protocol) -> bool:
        """Whether the medians of the last two windows of warm-up samples agree."""
        window = protocol.warmup_window
        if len(self.warmup) < 2 * window:
            return False
        before, last = median(self.warmup[-2 * window : -window]), median(self.warmup[-window:])
        return abs(last - before) <= protocol.warmup_rel * before


@dataclass(frozen=True)
class _Sampler:
    clock: Clock
    timers: Timers

    def read(self, lane: _Lane) -> tuple[float, int, int]:
        """``lane.inner`` calls: their ns by the race's clock, CPU ns and wall ns, as the clocks gave them."""
        run, sync = lane.contestant.run, lane.contestant.sync
        answers: list[Sequence[Stamped] | None] = [None] * lane.inner
        wall, cpu = self.timers.wall_ns, self.timers.cpu_ns
        wall_began, cpu_began = wall(), cpu()
        for index in range(lane.inner):
            answers[index] = run()
        sync()
        cpu_ns, wall_ns = cpu() - cpu_began, wall() - wall_began
        if self.clock == "device_event":
            return float(sum(_device_ns(answer, lane.contestant.name) for answer in answers)), cpu_ns, wall_ns
        return float(cpu_ns if self.clock == "cpu" else wall_ns), cpu_ns, wall_ns

    def take(self, lane: _Lane) -> tuple[float, float]:
        """One sample: ns per call by the race's clock, and CPU ns per call."""
        total, cpu_ns, _ = self.read(lane)
        if total <= 0:
            raise MeasureError(
                lane.contestant.name, f"{lane.inner} calls took {total:.0f} ns by the {self.clock} clock; raise inner"
            )
        return total / lane.inner, cpu_ns / lane.inner


def _device_ns(events: Sequence[Stamped] | None, name: str) -> int:
    if not events:
        raise MeasureError(name, "expected each run to return its events, got none; the device clock needs them")
    # From the first kernel's begin to the last one's end: what lies between the kernels of one call is its cost too.
    return max(event.end_ns for event in events) - min(event.start_ns for event in events)


def race(
    contestants: Sequence[Contestant],
    protocol: Protocol,
    device: Device | None = None,
    *,
    timers: Timers | None = None,
    shader_clock: Callable[[], float | None] | None = None,
) -> list[Series]:
    """Measure ``contestants`` in interleaved rounds of random order; one series each, samples in ns per call.

    Each first dispatch is kept apart (``first_ns``, wall time), the warm-up too. Sample i of all series comes from the
    same round, so that they can be compared in pairs. ``device`` decides on the clock; None means that all work runs
    on the host. ``shader_clock`` (MHz, or None where it cannot be read) is asked after each sample, outside its time,
    to mark those that ran at a lowered clock; by default the device's own, where it has one.

    Raises MeasureError for no contestants, two of one name, or a clock that cannot serve.
    """
    timers = timers or Timers()
    names = [contestant.name for contestant in contestants]
    if not names or len(set(names)) != len(names):
        raise MeasureError("race", f"expected contestants with names of their own, got {', '.join(names) or 'none'}")
    lanes = [_first_dispatch(contestant, timers) for contestant in contestants]
    # From here on: a first dispatch may build kernels for a minute, which is nobody's measurement.
    began = timers.wall_ns()
    clock, reason = choose_clock(protocol.clock, device, [lane.gives_events for lane in lanes])
    sampler = _Sampler(clock, timers)
    shader_clock = shader_clock or shader_clock_reader(device)
    with _no_garbage_collection():
        gap_s = protocol.gap_s
        if clock == "wall" and (device is None or device.device_class == "cpu"):
            gap_s = max(gap_s, _PAUSE_S)
        round_ns = _set_inner(lanes, sampler, protocol) + len(lanes) * gap_s * 1e9
        session = _Session(lanes, sampler, protocol, gap_s, np.random.default_rng(protocol.seed), shader_clock)
        session.warm_up(round_ns)
        shortfall = session.measure(began + protocol.max_s * 1e9)
    full_mhz = max((mhz for lane in lanes for mhz in lane.clock_mhz if mhz is not None), default=0.0)
    return [
        Series(
            contestant=lane.contestant.name,
            label=lane.contestant.label,
            role=lane.contestant.role,
            clock=clock,
            clock_reason=reason,
            samples_ns=lane.samples,
            order=lane.order,
            warmup_ns=lane.warmup,
            warmup_settled=lane.settled(protocol),
            outliers=outliers(lane.samples),
            throttled=[
                i for i, mhz in enumerate(lane.clock_mhz) if mhz is not None and mhz < _FULL_CLOCK_SHARE * full_mhz
            ],
            median_ns=median_interval(lane.samples, seed=protocol.seed),
            cpu_ns=None if clock == "cpu" else median_interval(lane.cpu, seed=protocol.seed),
            inner=lane.inner,
            first_ns=float(lane.first_wall_ns),
            shortfall=shortfall,
        )
        for lane in lanes
    ]


def _first_dispatch(contestant: Contestant, timers: Timers) -> _Lane:
    """Run once, which builds, allocates and binds whatever comes late; its time is no sample."""
    began = timers.wall_ns()
    events = contestant.run()
    contestant.sync()
    return _Lane(contestant, timers.wall_ns() - began, events is not None and len(events) > 0)


def _set_inner(lanes: Sequence[_Lane], sampler: _Sampler, protocol: Protocol) -> float:
    """Decide how many calls make a sample of each lane; returns the expected wall time of a round, ns."""
    if protocol.inner != "auto":
        for lane in lanes:
            lane.inner = protocol.inner
        return float(sum(sampler.read(lane)[2] for lane in lanes))
    asked_s = protocol.min_sample_s
    least = 1e9 * (LEAST_SAMPLE_S[sampler.clock] if asked_s is None else asked_s)
    if sampler.clock == "cpu":
        step = sampler.timers.cpu_resolution_ns or resolution_ns(sampler.timers.cpu_ns)
        least = max(least, float(_STEPS_PER_SAMPLE * step))
    per_call = {lane.contestant.name: _time_per_call(lane, sampler, least) for lane in lanes}
    quickest = 0.0
    inner = 1
    for lane in sorted(lanes, key=lambda lane: per_call[lane.contestant.name][0]):
        time_ns = per_call[lane.contestant.name][0]
        if time_ns > _ALIKE * quickest:
            quickest = time_ns
            inner = max(1, min(_MAX_INNER, math.ceil(least / time_ns)))
        lane.inner = inner
    return sum(per_call[lane.contestant.name][1] * lane.inner for lane in lanes)


def _time_per_call(lane: _Lane, sampler: _Sampler, least: float) -> tuple[float, float]:
    """Estimates of a call's time, ns: by the race's clock, and by the wall. Leaves lane.inner to be set."""
    lane.inner = 1
    # The first dispatch tells nothing: it may have built the kernel.
    total, _, wall_ns = sampler.read(lane)
    if total >= _CERTAINLY_LONG * least:
        return total, float(wall_ns)
    # More calls until a sample is long enough to be judged by: a coarse clock may not move at all in a short one.
    while True:
        total, _, wall_ns = min(sampler.read(lane) for _ in range(_CALIBRATION_READINGS))
        if total >= least / 4 or lane.inner >= _MAX_INNER:
            return max(total, 1.0) / lane.inner, wall_ns / lane.inner
        lane.inner = min(_MAX_INNER, lane.inner * 4)


@dataclass
class _Session:
    """Rounds of all lanes in random order."""

    lanes: Sequence[_Lane]
    sampler: _Sampler
    protocol: Protocol
    gap_s: float
    generator: np.random.Generator
    shader_clock: Callable[[], float | None] | None

    def round(self) -> Iterator[_Lane]:
        """The lanes in this round's order, each after its gap."""
        for index in self.generator.permutation(len(self.lanes)):
            if self.gap_s:
                self.sampler.timers.sleep(self.gap_s)
            yield self.lanes[index]

    def warm_up(self, round_ns: float) -> None:
        """Rounds until all contestants are steady at once, or the time is up."""
        wall_ns = self.sampler.timers.wall_ns
        deadline = wall_ns() + self.protocol.warmup_max_s * 1e9
        while wall_ns() + round_ns <= deadline:
            for lane in self.round():
                lane.warmup.append(self.sampler.take(lane)[0])
            if all(lane.settled(self.protocol) for lane in self.lanes):
                break

    def measure(self, deadline: float) -> str | None:
        """The rounds that count. At least one, then as many as the budget holds; returns why some are lacking."""
        wall_ns = self.sampler.timers.wall_ns
        position = longest = 0
        for n_done in range(self.protocol.n_samples):
            round_began = wall_ns()
            if n_done and round_began + longest > deadline:
                return (
                    f"the budget of {self.protocol.max_s:g} s ended after {n_done} of {self.protocol.n_samples} rounds"
                )
            for lane in self.round():
                value, cpu = self.sampler.take(lane)
                lane.samples.append(value)
                lane.cpu.append(cpu)
                lane.order.append(position)
                lane.clock_mhz.append(self.shader_clock() if self.shader_clock else None)
                position += 1
            longest = max(longest, wall_ns() - round_began)
        return None


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A collection in the middle of a sample would be charged to whoever runs then."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
