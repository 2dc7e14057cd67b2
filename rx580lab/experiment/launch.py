"""What a launch costs the host: arguments bound once by a plan, beside arguments set anew at each call."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rx580lab import ops, reference
from rx580lab.compile import load_kernel
from rx580lab.device import Array, Device, sensors
from rx580lab.measure import checked, environment
from rx580lab.ops.sizing import plain_sizes
from rx580lab.reference.copy import ORACLE, copy, copy_tolerance
from rx580lab.results.records import Check, Metric, Point, Series
from rx580lab.results.statistics import median_interval, ratio_interval

__all__ = ["bench_launch"]

# Little work, so that the device keeps up with the host; unit: fp32 elements.
N_ELEMENTS = 64
_LABELS = {
    "bound": "a plan's launch: arguments bound once",
    "unbound": "arguments set anew at each launch",
    "pipelined": "a plan's launch, until the device has done all of them",
}
_QUEUED = "the host's time from the first enqueue to the last return, nothing waits"
_DONE = "the host's time until the queue is empty"


def bench_launch(
    *,
    device: Device,
    n_samples: int = 40,
    n_launches: int = 500,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
) -> Point:
    """Host time of one launch of a small kernel (copy of 64 floats).

    A sample is ``n_launches`` launches in a row, per launch; ``bound`` and ``unbound`` take turns, in random order.
    What the kernel wrote during the last sample is compared with the oracle.
    """
    before = sensors(device)
    x = np.random.default_rng(seed).standard_normal(N_ELEMENTS, dtype=np.float32)
    blank = reference.poison(x.shape, x.dtype)
    source, out = device.upload(x), device.upload(blank)
    launch = ops.spec("copy").plan(device, source, out=out, template="plain").launches[0]
    sides = {"bound": launch.enqueue, "unbound": _unbound(device, source, out)}
    times: dict[str, list[float]] = {name: [] for name in _LABELS}
    order: dict[str, list[int]] = {name: [] for name in _LABELS}
    rng = np.random.default_rng(seed)
    outcomes: dict[str, reference.Outcome] = {}
    for turn in range(n_samples + 1):
        for place in rng.permutation(len(sides)):
            name = list(sides)[place]
            out.write(blank)
            host_ns, all_ns = _sample(device, sides[name], n_launches)
            if turn == 0:  # warm-up
                continue
            found = {"bound": host_ns, "pipelined": all_ns} if name == "bound" else {name: host_ns}
            if turn == n_samples:
                outcomes |= dict.fromkeys(found, reference.compare(out.download(), copy(x), copy_tolerance(x)))
            for kept, value in found.items():
                order[kept].append(sum(map(len, times.values())))
                times[kept].append(value)
    return Point(
        title=f"launches on {device.selector}",
        params=dict(params or {}),
        op="copy",
        shape={"N": N_ELEMENTS},
        series=[_series(name, times[name], order[name], n_launches) for name in _LABELS],
        checks=[_check(name, outcomes[name]) for name in _LABELS],
        metrics=_metrics(times),
        notes=[f"{n_launches} launches a sample: {launch!r}"],
        sensors_before=before,
        sensors_after=sensors(device),
        environment=environment(device),
    )


def _check(name: str, outcome: reference.Outcome) -> Check:
    return checked(name, ORACLE, outcome, "none: bit for bit")


def _unbound(device: Device, x: Array, out: Array) -> Callable[[], object]:
    kernel = load_kernel(device, "copy", "copy_plain", ops.spec("copy").template("plain").default)
    sizes = plain_sizes(device, x.size)
    return lambda: kernel.launch(*sizes, x, out, np.uint32(x.size))


def _sample(device: Device, launch: Callable[[], object], n_launches: int) -> tuple[float, float]:
    """Ns per launch: until the last one is queued, and until the last one is done."""
    device.finish()
    began = time.perf_counter_ns()
    for _ in range(n_launches):
        launch()
    queued = time.perf_counter_ns()
    device.finish()
    return (queued - began) / n_launches, (time.perf_counter_ns() - began) / n_launches


def _series(name: str, times: list[float], order: list[int], n_launches: int) -> Series:
    return Series(
        contestant=name,
        label=_LABELS[name],
        role="control" if name == "unbound" else "lab",
        clock="wall",
        clock_reason=_DONE if name == "pipelined" else _QUEUED,
        samples_ns=times,
        order=order,
        warmup_ns=[],
        warmup_settled=True,
        median_ns=median_interval(times),
        inner=n_launches,
    )


def _metrics(times: Mapping[str, list[float]]) -> dict[str, Metric]:
    found = {}
    for name, samples in times.items():
        median = median_interval(samples)
        found[f"launch/{name}/time/median_us"] = Metric(
            value=median.value / 1e3, low=median.low / 1e3, high=median.high / 1e3, unit="us", higher_is_better=False
        )
    ratio = ratio_interval(times["unbound"], times["bound"])
    found["launch/bound/vs/unbound/speed_ratio"] = Metric(
        value=ratio.value, low=ratio.low, high=ratio.high, unit="1", higher_is_better=True
    )
    return found
