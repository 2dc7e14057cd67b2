"""The three clocks of a race, which of them can be believed here, and how finely they tick."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from threadpoolctl import threadpool_info

from rx580lab.errors import MeasureError
from rx580lab.results.records import Clock

if TYPE_CHECKING:
    from rx580lab.device import Device

__all__ = ["Timers", "choose_clock", "resolution_ns", "thread_count"]

# Enough steps for a median; few enough to end in 2 s where a clock ticks every 100 ms.
_STEPS = 20
_MAX_STEP_SEARCH_NS = 2_000_000_000


@dataclass(frozen=True)
class Timers:
    """Where time comes from. Tests put a clock of their own here.

    ``wall_ns`` is monotonic; ``cpu_ns`` is the CPU time of all threads of this process, sleeping not counted.
    ``cpu_resolution_ns`` is its step; None: it is measured.
    """

    wall_ns: Callable[[], int] = time.perf_counter_ns
    cpu_ns: Callable[[], int] = time.process_time_ns
    sleep: Callable[[float], None] = time.sleep
    cpu_resolution_ns: int | None = None


def resolution_ns(read: Callable[[], int]) -> int:
    """The median step of a clock that is read in a loop, ns: its true resolution, or what one reading costs.

    Raises MeasureError if it stands still for 2 s.
    """
    began = time.perf_counter_ns()
    steps: list[int] = []
    last = read()
    while len(steps) < _STEPS:
        found = read()
        if found != last:
            steps.append(found - last)
            last = found
        elif time.perf_counter_ns() - began > _MAX_STEP_SEARCH_NS:
            break
    if not steps:
        raise MeasureError("clock", "a clock stood still for 2 s of work, so nothing can be timed by it")
    return sorted(steps)[len(steps) // 2]


def thread_count(device: Device | None, host_code: bool) -> tuple[int, str]:
    """The most threads that the work of a race may use, and where that is known from.

    A CPU device has one thread per compute unit (PoCL: ``POCL_MAX_PTHREAD_COUNT``). ``host_code`` says that a
    contestant runs in this process without an event, so the loaded BLAS and OpenMP pools count as well.
    """
    counts: dict[str, int] = {}
    if device is not None and device.device_class == "cpu":
        counts[f"{device.selector} has {device.compute_units} compute units"] = device.compute_units
    if host_code:
        for pool in threadpool_info():
            counts[f"{pool['internal_api']} may use {pool['num_threads']} threads"] = int(pool["num_threads"])
    if not counts:
        return 1, "nothing here starts threads"
    most = max(counts.values())
    return most, "; ".join(reason for reason, count in counts.items() if count == most)


def choose_clock(
    asked: Literal["auto", "device_event", "cpu", "wall"], device: Device | None, gives_events: Sequence[bool]
) -> tuple[Clock, str]:
    """The one clock for all contestants of a race, and the reason in words.

    ``gives_events`` says for each contestant whether its runs return device events. Process CPU time comes first where
    all work is done by one thread of this process, since other processes cannot disturb it; then device events, if
    they can be trusted and all contestants have them; then wall time. Raises MeasureError if the clock that was asked
    for cannot serve.
    """
    on_gpu = device is not None and device.device_class != "cpu"
    if asked == "device_event":
        refusal = _why_no_events(device, gives_events)
        if refusal:
            raise MeasureError("clock", f"device_event was asked for, but {refusal}; ask for auto")
        return "device_event", "asked for"
    if asked == "cpu" and on_gpu:
        raise MeasureError("clock", "cpu was asked for, but a GPU may do the work, whose time it does not count")
    if asked != "auto":
        return asked, "asked for"
    if not on_gpu:
        # A contestant without events may still work on the device, as a C library on its queue does.
        threads, known_from = thread_count(device, not all(gives_events))
        if threads == 1:
            return "cpu", "all work is done by one thread of this process: CPU time leaves other processes out"
        why_no_cpu = f"more than one thread works ({known_from})"
    else:
        why_no_cpu = "a GPU may do the work"
    refusal = _why_no_events(device, gives_events)
    if refusal is None:
        assert device is not None  # noqa: S101 - for the type checker; _why_no_events refuses None
        return "device_event", f"{why_no_cpu}; {device.event_clock_reason}"
    return "wall", f"{why_no_cpu}; {refusal}"


def _why_no_events(device: Device | None, gives_events: Sequence[bool]) -> str | None:
    if device is None:
        return "no OpenCL device takes part"
    if not device.event_clock:
        return f"device timestamps cannot be trusted ({device.event_clock_reason})"
    if not all(gives_events):
        return "a contestant has no device events, and a race has one clock"
    return None
