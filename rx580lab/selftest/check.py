"""One case on one template: guarded buffers, the launch, the comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.device import Array, Device
from rx580lab.ops import Plan, spec
from rx580lab.ops.plan import Params
from rx580lab.reference import Outcome, Sentinels, compare, poison
from rx580lab.selftest.case import Case, Prepared, prepare

__all__ = ["GUARD_BYTES", "Standing", "check_case", "does_not_fit", "stand_up"]

# Before and after every array: wider than one stray tile row or vector of any kernel here.
GUARD_BYTES = 16384

AnyArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Guarded:
    """An array in device memory between two regions of sentinels, or exactly as large as its data (``width`` 0)."""

    array: Array
    region: Array
    filled: AnyArray
    width: int

    @property
    def sentinels(self) -> Sentinels | None:
        """The regions as they are now; None where there are none."""
        if self.width == 0:
            return None
        now = self.region.download()
        return Sentinels(now[: self.width], now[now.size - self.width :])

    def renew(self) -> None:
        """Fills everything with what it held at first."""
        self.region.write(self.filled)

    def change(self) -> str | None:
        """How many elements differ from what was filled in, in words; None when none does."""
        now, then = (a.view(np.uint8).reshape(a.size, -1) for a in (self.region.download(), self.filled))
        changed = np.flatnonzero((now != then).any(axis=1)) - self.width
        return None if changed.size == 0 else f"{changed.size} elements, the first at {changed[0]} of {self.array.size}"


def _guarded(device: Device, data: AnyArray, guard: bool, neighbours: Callable[..., AnyArray]) -> Guarded:
    step = max(device.base_align_bytes, data.itemsize)
    width = -(-GUARD_BYTES // step) * step // data.itemsize if guard else 0
    filled = neighbours(data.size + 2 * width, data.dtype)
    filled[width : width + data.size].view(np.uint8)[:] = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
    region = device.upload(filled)
    return Guarded(region.view_from(width, data.shape), region, filled, width)


def _unlike_sentinel(n: int, dtype: np.dtype[Any]) -> AnyArray:
    """What surrounds an input: NaN, but not the sentinel's, lest a copy of it past the output's end go unseen."""
    return np.full(n, np.nan, dtype) if dtype.kind == "f" else np.full(n * dtype.itemsize, 0x5A, np.uint8).view(dtype)


@dataclass(frozen=True)
class Standing:
    """A case with its buffers and launches in place, ready to run again and again."""

    prepared: Prepared
    inputs: tuple[Guarded | None, ...]
    out: Guarded
    plan: Plan

    def run(self) -> AnyArray:
        """Poisons the outputs, runs, and returns what is then in the first."""
        self.out.renew()
        for array in self.plan.more:
            array.write(poison(array.shape, array.dtype))
        self.plan.run()
        return self.out.array.download()

    def judge(self) -> Outcome:
        """Runs, and compares: finite, sentinels, dtype and shape, error; then that no input was changed.

        Of several outputs the outcome is the first one's, unless a later one is wrong.
        """
        got = self.run()
        outcome = compare(
            got,
            self.prepared.expected,
            self.prepared.tolerance,
            sentinels=self.out.sentinels,
            dtype=self.prepared.dtype,
        )
        wrong = self._fault_elsewhere() if outcome.ok else None
        return outcome if wrong is None else replace(outcome, ok=False, reason=wrong)

    def _fault_elsewhere(self) -> str | None:
        for place, (array, (expected, tolerance)) in enumerate(
            zip(self.plan.more, self.prepared.more, strict=True), start=1
        ):
            dtype = self.prepared.dtype if expected.dtype == np.float64 else expected.dtype
            outcome = compare(array.download(), expected, tolerance, dtype=dtype)
            if not outcome.ok:
                return f"output {place}: {outcome.reason}"
        for index, given in enumerate(self.inputs):
            changed = given.change() if given is not None else None
            if changed is not None:
                return f"changed its input {index}: {changed}"
        return None


def stand_up(
    device: Device, template: str, prepared: Prepared, *, params: Params | None = None, guard: bool = True
) -> Standing:
    """Buffers, inputs and launches of a case. With ``guard`` false, buffers are exact: for a bounds checker.

    The neighbours of every input are NaN, so that a read past its edge shows when it reaches the result.
    """
    inputs = tuple(
        None if array is None else _guarded(device, array, guard, _unlike_sentinel) for array in prepared.arrays
    )
    out = _guarded(device, poison(prepared.expected.shape, prepared.dtype), guard, poison)
    plan = spec(prepared.op).plan(
        device,
        *(None if one is None else one.array for one in inputs),
        out=out.array,
        template=template,
        params=params,
        **prepared.case.keywords,
    )
    return Standing(prepared, inputs, out, plan)


def check_case(
    device: Device, op: str, template: str, case: Case, *, params: Params | None = None, guard: bool = True
) -> Outcome:
    """Runs ``op`` by ``template`` on the inputs of ``case`` and compares with the oracle.

    Raises what the op raises: LabError when it cannot be built or launched.
    """
    return stand_up(device, template, prepare(op, case), params=params, guard=guard).judge()


def does_not_fit(device: Device, prepared: Prepared) -> str | None:
    """None, or why the case is too large for the device's memory."""
    given = [a.nbytes for a in prepared.arrays if a is not None]
    largest = max(given, default=0) + 2 * GUARD_BYTES
    total = prepared.nbytes + 2 * GUARD_BYTES * (len(given) + 1)
    limits = device.limits
    if limits.allocation_bytes is not None and largest > limits.allocation_bytes:
        return f"needs one allocation of {largest:,} bytes, the device allows {limits.allocation_bytes:,}"
    if limits.memory_bytes is not None and total + device.bytes_in_use > limits.memory_bytes:
        return f"needs {total:,} bytes, the device has {limits.memory_bytes - device.bytes_in_use:,} left"
    return None
