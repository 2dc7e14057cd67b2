"""A part of each axis, in steps of either sign. Kernels: ``kernels/slice.cl``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from rx580lab.device import Array, Device
from rx580lab.errors import InputError
from rx580lab.ops.plan import OpSpec, Params, Plan, apart, given_back, output
from rx580lab.ops.walk import Walk, axis_of, bits_of, movable, moved_cost, row_major, walk_plan, walk_templates

__all__ = ["SPEC", "plan", "slice"]

AnyArray = npt.NDArray[Any]


def slice(  # noqa: A001 - the op's name in ONNX
    device: Device,
    x: Array | AnyArray,
    *,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``x[starts[k]:ends[k]:steps[k]]`` along ``axes[k]``, as ONNX Slice.

    ``x``: up to 8 axes, bools, integers or floats of 1, 2, 4 or 8 bytes, moved bit for bit. Negative starts and ends
    count from an axis's end, and those beyond it stop there, so that ends of -2**63 and 2**63 - 1 mean all there is.
    ``axes``: the first ones by default; ``steps``: 1, not 0, backwards where negative. numpy in gives numpy out; an
    Array in gives an Array out. ``out`` must be apart from ``x``. Raises DtypeError for other elements, ShapeError
    for too many axes or elements or when ``out`` does not fit, InputError for lists that do not fit each other.
    """
    planned = plan(
        device, x, starts=starts, ends=ends, axes=axes, steps=steps, out=out, template=template, params=params
    )
    return given_back(planned, x)


def plan(
    device: Device,
    x: Array | AnyArray,
    *,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launch that ``slice`` runs, bound once, for running many times."""
    walk = _walk(x, starts, ends, axes, steps)
    source = movable(device, "slice", "x", x)
    target = output(device, "slice", out, walk.lengths, source.dtype)
    apart("slice", target, x=source)
    return walk_plan(device, SPEC, [(walk, source)], target, template, params)


def _walk(
    x: Array | AnyArray,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None,
    steps: Sequence[int] | None,
) -> Walk:
    item_bytes, strides = bits_of("slice", "x", x), row_major(x.shape)
    along = list(range(len(starts))) if axes is None else list(axes)
    by = [1] * len(starts) if steps is None else list(steps)
    if not len(starts) == len(ends) == len(along) == len(by):
        counts = f"{len(starts)} starts, {len(ends)} ends, {len(along)} axes, {len(by)} steps"
        raise InputError("slice", f"expected as many starts as ends, axes and steps, got {counts}")
    along = [axis_of("slice", axis, x.ndim) for axis in along]
    if len(set(along)) != len(along):
        raise InputError("slice", f"expected each axis at most once, got {list(axes or ())}")
    lengths, sources, first = list(x.shape), list(strides), 0
    for axis, start, end, step in zip(along, starts, ends, by, strict=True):
        begin, lengths[axis] = _range(int(start), int(end), int(step), x.shape[axis])
        sources[axis] = int(step) * strides[axis]
        first += begin * strides[axis]
    return Walk(tuple(lengths), tuple(sources), row_major(lengths), item_bytes, source_start=first)


def _range(start: int, end: int, step: int, n: int) -> tuple[int, int]:
    """Where the range begins in an axis of length n, and how long it is."""
    if step == 0:
        raise InputError("slice", "expected steps other than 0, got 0")
    begin, stop = (value + n if value < 0 else value for value in (start, end))
    before, last = (0, n) if step > 0 else (-1, n - 1)
    begin, stop = min(max(begin, 0), last), min(max(stop, before), last)
    return begin, max(0, -((begin - stop) // step))


def _shape(
    x: Array | AnyArray,
    *,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
) -> dict[str, int]:
    walk = _walk(x, starts, ends, axes, steps)
    return {"N": walk.count, "M": walk.count, "ITEM": walk.item_bytes}


SPEC = OpSpec(
    name="slice",
    summary="a part of each axis, in steps of either sign, bit for bit: 1 read + 1 write of N elements",
    templates=walk_templates("slice"),
    cost=moved_cost,
    plan=plan,
    shape=_shape,
)
