"""Axes of length 1 repeated, as broadcasting has them. Kernels: ``kernels/expand.cl``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from rx580lab.device import Array, Device
from rx580lab.errors import ShapeError
from rx580lab.ops.plan import OpSpec, Params, Plan, apart, given_back, output
from rx580lab.ops.sizing import checked_count
from rx580lab.ops.walk import MOST_AXES, Walk, bits_of, movable, moved_cost, row_major, walk_plan, walk_templates

__all__ = ["SPEC", "expand", "plan"]

AnyArray = npt.NDArray[Any]


def expand(
    device: Device,
    x: Array | AnyArray,
    *,
    shape: Sequence[int],
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``x`` broadcast against ``shape``, as ONNX Expand: where one has length 1 (or no axis) the other's length holds.

    ``x``: bools, integers or floats of 1, 2, 4 or 8 bytes, moved bit for bit; both of up to 8 axes. numpy in gives
    numpy out; an Array in gives an Array out. ``out`` must be apart from ``x``. Raises DtypeError for other elements,
    ShapeError for lengths that do not broadcast, too many axes or elements, or when ``out`` does not fit.
    """
    return given_back(plan(device, x, shape=shape, out=out, template=template, params=params), x)


def plan(
    device: Device,
    x: Array | AnyArray,
    *,
    shape: Sequence[int],
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launch that ``expand`` runs, bound once, for running many times."""
    walk = _walk(x, shape)
    source = movable(device, "expand", "x", x)
    target = output(device, "expand", out, walk.lengths, source.dtype)
    apart("expand", target, x=source)
    return walk_plan(device, SPEC, [(walk, source)], target, template, params)


def _walk(x: Array | AnyArray, shape: Sequence[int]) -> Walk:
    item_bytes = bits_of("expand", "x", x)
    wanted = tuple(int(n) for n in shape)
    rank = max(x.ndim, len(wanted))
    ours, theirs = ((1,) * (rank - len(side)) + tuple(side) for side in (x.shape, wanted))
    if (
        rank > MOST_AXES
        or min(theirs, default=0) < 0
        or any(a != b and 1 not in (a, b) for a, b in zip(ours, theirs, strict=True))
    ):
        raise ShapeError(
            "expand", f"expected a shape of up to {MOST_AXES} axes that {x.shape} broadcasts to, got {wanted}"
        )
    lengths = tuple(b if a == 1 else a for a, b in zip(ours, theirs, strict=True))
    checked_count("expand", math.prod(lengths))
    sources = tuple(step if n > 1 else 0 for n, step in zip(ours, row_major(ours), strict=True))
    return Walk(lengths, sources, row_major(lengths), item_bytes)


def _shape(x: Array | AnyArray, *, shape: Sequence[int]) -> dict[str, int]:
    walk = _walk(x, shape)
    return {"N": walk.count, "M": min(x.size, walk.count), "ITEM": walk.item_bytes}


SPEC = OpSpec(
    name="expand",
    summary="axes of length 1 repeated, bit for bit: 1 read of M + 1 write of N elements",
    templates=walk_templates("expand"),
    cost=moved_cost,
    plan=plan,
    shape=_shape,
)
