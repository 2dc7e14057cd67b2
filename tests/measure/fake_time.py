"""A clock that only moves when a contestant works, and contestants whose every duration is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from types import SimpleNamespace
from typing import Any, Literal, cast

import numpy as np

from rx580lab.device import Device
from rx580lab.measure import Contestant, Timers


@dataclass
class FakeTime:
    """Wall and CPU time in ns. ``cpu_tick_ns`` makes the CPU clock as coarse as a kernel that counts in ticks."""

    wall_ns: float = 0.0
    cpu_ns: float = 0.0
    cpu_tick_ns: int = 1
    slept: list[float] = field(default_factory=list)

    def timers(self) -> Timers:
        return Timers(
            wall_ns=lambda: int(self.wall_ns),
            cpu_ns=lambda: int(self.cpu_ns) // self.cpu_tick_ns * self.cpu_tick_ns,
            sleep=self.sleep,
            cpu_resolution_ns=self.cpu_tick_ns,
        )

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.wall_ns += seconds * 1e9

    def work(self, cpu_ns: float, lost_ns: float = 0.0) -> None:
        """Work for ``cpu_ns``, and be kept from working for ``lost_ns`` more."""
        self.cpu_ns += cpu_ns
        self.wall_ns += cpu_ns + lost_ns


def contestant(
    clock: FakeTime,
    name: str,
    durations: Iterator[float] | float,
    *,
    calls: list[str] | None = None,
    role: Literal["lab", "peer", "control"] = "lab",
) -> Contestant:
    """Each run takes the next of ``durations`` (ns), or always the same."""
    following = repeat(durations) if isinstance(durations, (int, float)) else durations

    def run() -> None:
        if calls is not None:
            calls.append(name)
        clock.work(next(following))

    return Contestant(name, f"{name}, imitated", role, run, lambda: None)


def fake_device(
    device_class: str = "cpu",
    compute_units: int = 2,
    event_clock: bool = True,
    pci_address: str | None = None,
    **more: Any,
) -> Device:
    """What the stopwatch asks of a device, and nothing else."""
    return cast(
        Device,
        SimpleNamespace(
            selector="fake/device",
            device_class=device_class,
            compute_units=compute_units,
            event_clock=event_clock,
            event_clock_reason="timestamps increase" if event_clock else "timestamps are always 1",
            fingerprint={"device": "fake", "pci_address": pci_address},
            **more,
        ),
    )


def noise(seed: int, kind: str) -> Callable[[float], tuple[float, float]]:
    """Disturbances of a work of ``ns``: (CPU time, time lost to others). They go with time, not with calls.

    ``drift``: the speed wanders by 2 % in 10 ms, and about 20 % in all. ``tails``: Student's t with 2 degrees of
    freedom, upwards. ``bursts``: phases, a fifth of a second long on average, in which the work takes up to twice as
    long, as beside a greedy neighbour. All hit whoever runs at that moment; a noise of 2 % is everyone's own.
    """
    generator = np.random.default_rng(seed)
    state = {"drift": 0.0, "burst": 1.0}

    def disturbed(ns: float) -> tuple[float, float]:
        steps = ns / 10e6
        factor = float(np.exp(generator.normal(0, 0.02)))
        if kind in ("drift", "all"):
            state["drift"] = 0.995**steps * state["drift"] + generator.normal(0, 0.02 * steps**0.5)
            factor *= float(np.exp(state["drift"]))
        if kind in ("tails", "all"):
            factor *= 1 + 0.02 * abs(float(generator.standard_t(2)))
        if kind in ("bursts", "all"):
            if generator.random() < 0.05 * steps:
                state["burst"] = 1.0 if state["burst"] > 1 else 1 + float(generator.random())
            factor *= state["burst"]
        return ns * factor, ns * float(generator.exponential(0.3))

    return disturbed
