"""The device's measured ceilings: bandwidth by copy and triad, arithmetic by fma_peak, each checked by its oracle.

Sources: McCalpin's STREAM (arrays well beyond the caches, best counted by what the program moves); Williams, Waterman
and Patterson, CACM 2009 (roofline).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rx580lab.device import Array, Device
from rx580lab.device.sysfs import SYS
from rx580lab.errors import MeasureError
from rx580lab.measure.clocks import Timers
from rx580lab.measure.contestant import Contestant, Protocol
from rx580lab.measure.stopwatch import race
from rx580lab.measure.verdicts import rate
from rx580lab.ops import Cost, Plan, spec
from rx580lab.reference import Outcome, compare, poison
from rx580lab.results.records import Check, Roof, Series

__all__ = ["ROOF_OPS", "measure_roofs", "stream_bytes"]

ROOF_OPS = ("copy", "triad", "fma_peak")

MIB = 1 << 20
_LEAST_ARRAY_BYTES = 64 * MIB
_LARGEST_ARRAY_BYTES = 256 * MIB
# Whole blocks of both templates (96 and 4096 values), so that one launch does all: 73,728 work-items of 16 values are
# eight wavefronts on each SIMD of a 36-CU card.
_ARITHMETIC_ELEMENTS = 3 * 96 * 4096
# Element-wise ops are compared in pieces, so that float64 copies of whole arrays never exist.
_CHECK_ELEMENTS = 1 << 20

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Subject:
    op: str
    inputs: tuple[_Floats, ...]
    plan: Plan
    cost: Cost

    @property
    def bounded_by_memory(self) -> bool:
        return self.op != "fma_peak"


def stream_bytes(device: Device, sys: Path = SYS) -> int:
    """Bytes of each array of copy and triad: together they hold at least four times the last-level cache.

    64 to 256 MiB, less where the device's limits (its own or emulated ones) ask for it. A multiple of 4 KiB.
    """
    wanted = max(_LEAST_ARRAY_BYTES, 2 * _last_level_cache_bytes(sys) if device.device_class == "cpu" else 0)
    memory = (device.limits.memory_bytes or wanted * 4) - device.bytes_in_use
    largest = device.limits.allocation_bytes or wanted
    # Three arrays, and a quarter to spare for the driver.
    fitting = min(wanted, _LARGEST_ARRAY_BYTES, largest, memory // 4) // 4096 * 4096
    if fitting < 4096:
        raise MeasureError("roofs", f"expected room for arrays of 4 KiB, got limits of {device.limits}")
    return fitting


def measure_roofs(
    device: Device, protocol: Protocol, *, array_bytes: int | None = None, timers: Timers | None = None
) -> list[Roof]:
    """Bandwidth (GB/s, by copy and by triad) and arithmetic (GFLOP/s, by fma_peak) of ``device``, in one race.

    Each op runs the template and parameters that it would choose by itself: tuned ones if there are any.
    ``array_bytes`` is for tests and smoke runs: a smaller array measures a cache, and ``detail`` says the size.
    After the race each output is poisoned, computed once more and compared with its oracle; a roof whose check failed
    is returned with ``check.ok`` False, for the caller to refuse.
    """
    n_bytes = array_bytes or stream_bytes(device)
    generator = np.random.default_rng(protocol.seed)
    n = n_bytes // 4
    first, second = (generator.random(n, dtype=np.float32) - np.float32(0.5) for _ in range(2))
    few = min(n, _ARITHMETIC_ELEMENTS)
    x, y, out = device.upload(first), device.upload(second), device.empty(n)
    # All share one output: each is computed once more before it is checked.
    subjects = [
        _subject("copy", device, (first,), (x,), out),
        _subject("triad", device, (first, second), (x, y), out),
        _subject("fma_peak", device, (first[:few],), (x.view_from(0, few),), out.view_from(0, few)),
    ]
    contestants = [
        Contestant(subject.op, subject.op, "control", _enqueue(subject.plan), device.finish) for subject in subjects
    ]
    series = race(contestants, protocol, device, timers=timers)
    return [_roof(subject, one, n_bytes) for subject, one in zip(subjects, series, strict=True)]


def _enqueue(plan: Plan) -> Callable[[], list[Any]]:
    return plan.enqueue


def _subject(op: str, device: Device, host: tuple[_Floats, ...], inputs: tuple[Array, ...], out: Array) -> _Subject:
    found = spec(op)
    return _Subject(op, host, found.plan(device, *inputs, out=out), found.cost({"N": out.size}))


def _roof(subject: _Subject, series: Series, n_bytes: int) -> Roof:
    kind: Literal["bandwidth", "arithmetic"] = "bandwidth" if subject.bounded_by_memory else "arithmetic"
    amount = subject.cost.bytes if subject.bounded_by_memory else subject.cost.flop
    size = f"arrays of {n_bytes / MIB:g} MiB" if subject.bounded_by_memory else f"{subject.inputs[0].size:,} values"
    parameters = ", ".join(f"{name}={value}" for name, value in subject.plan.params.items())
    template = f"template {subject.plan.template}" + (f" ({parameters})" if parameters else "")
    return Roof(
        name=subject.op,
        kind=kind,
        unit="GB/s" if subject.bounded_by_memory else "GFLOP/s",
        rate=rate(amount, series.median_ns),
        detail=f"{size}, {template}, {series.clock} clock, {series.median_ns.n} samples of {series.inner} calls",
        check=_checked(subject),
    )


def _checked(subject: _Subject) -> Check:
    """Compute once more into a poisoned output, and compare every value with the oracle."""
    oracle = import_module(f"rx580lab.reference.{subject.op}")
    expected_of = getattr(oracle, subject.op)
    tolerance_of = getattr(oracle, f"{subject.op}_tolerance")
    out = subject.plan.out
    out.write(poison(out.shape, out.dtype))
    got = subject.plan.run().download()
    pieces: list[tuple[int, Outcome]] = []
    for start in range(0, got.size, _CHECK_ELEMENTS):
        part = slice(start, start + _CHECK_ELEMENTS)
        inputs = [host[part] for host in subject.inputs]
        pieces.append((start, compare(got[part], expected_of(*inputs), tolerance_of(*inputs))))
    failed = next(((start, outcome) for start, outcome in pieces if not outcome.ok), None)
    outcomes = [outcome for _, outcome in pieces]
    return Check(
        contestant=subject.op,
        oracle=oracle.ORACLE,
        ok=failed is None,
        reason=None if failed is None else f"from element {failed[0]:,}: {failed[1].reason}",
        max_abs_error=_largest([outcome.max_abs_error for outcome in outcomes]),
        max_rel_error=_largest([outcome.max_rel_error for outcome in outcomes]),
        worst_share=_largest([outcome.worst_share for outcome in outcomes]),
        tolerance=" ".join((tolerance_of.__doc__ or "").split()),
        n_values=got.size,
    )


def _largest(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None


def _last_level_cache_bytes(sys: Path) -> int:
    """The largest cache that the first core sees; 0 where sysfs does not tell."""
    sizes = [0]
    for path in (sys / "devices/system/cpu/cpu0/cache").glob("index*/size"):
        found = re.fullmatch(r"(\d+)([KM])", path.read_text(encoding="ascii").strip())
        if found:
            sizes.append(int(found.group(1)) << (10 if found.group(2) == "K" else 20))
    return max(sizes)
