"""An array laid beside itself along its axes. Kernels: ``kernels/tile.cl``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from rx580lab.device import Array, Device
from rx580lab.errors import InputError
from rx580lab.ops.plan import OpSpec, Params, Plan, apart, given_back, output
from rx580lab.ops.sizing import checked_count
from rx580lab.ops.walk import Walk, bits_of, movable, moved_cost, row_major, walk_plan, walk_templates

__all__ = ["SPEC", "plan", "tile"]

AnyArray = npt.NDArray[Any]


def tile(
    device: Device,
    x: Array | AnyArray,
    *,
    repeats: Sequence[int],
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``x`` repeated ``repeats[k]`` times along axis k, as ONNX Tile.

    ``x``: up to 8 axes, bools, integers or floats of 1, 2, 4 or 8 bytes, moved bit for bit; ``repeats``: one per axis,
    0 or more. numpy in gives numpy out; an Array in gives an Array out. ``out`` must be apart from ``x``. Raises
    DtypeError for other elements, ShapeError for too many axes or elements or when ``out`` does not fit, InputError
    for other repeats.
    """
    return given_back(plan(device, x, repeats=repeats, out=out, template=template, params=params), x)


def plan(
    device: Device,
    x: Array | AnyArray,
    *,
    repeats: Sequence[int],
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``tile`` runs (one, but for the largest ranks), bound once, for running many times."""
    lengths, walk = _walk(x, repeats)
    source = movable(device, "tile", "x", x)
    target = output(device, "tile", out, lengths, source.dtype)
    apart("tile", target, x=source)
    return walk_plan(device, SPEC, [(walk, source)], target, template, params)


def _walk(x: Array | AnyArray, repeats: Sequence[int]) -> tuple[tuple[int, ...], Walk]:
    """The output's shape, and the walk: two axes for each of x, its repeats and itself."""
    item_bytes = bits_of("tile", "x", x)
    times = tuple(int(n) for n in repeats)
    if len(times) != x.ndim or min(times, default=0) < 0:
        raise InputError("tile", f"expected {x.ndim} repeats of 0 or more, got {list(repeats)}")
    lengths = tuple(n * many for n, many in zip(x.shape, times, strict=True))
    checked_count("tile", math.prod(lengths))
    steps = zip(x.shape, times, row_major(x.shape), row_major(lengths), strict=True)
    axes = [axis for n, many, ours, theirs in steps for axis in ((many, 0, n * theirs), (n, ours, theirs))]
    walked, sources, targets = zip(*(axes or [(1, 1, 1)]), strict=True)
    return lengths, Walk(walked, sources, targets, item_bytes)


def _shape(x: Array | AnyArray, *, repeats: Sequence[int]) -> dict[str, int]:
    _, walk = _walk(x, repeats)
    return {"N": walk.count, "M": min(x.size, walk.count), "ITEM": walk.item_bytes}


SPEC = OpSpec(
    name="tile",
    summary="an array laid beside itself along its axes, bit for bit: 1 read of M + 1 write of N elements",
    templates=walk_templates("tile"),
    cost=moved_cost,
    plan=plan,
    shape=_shape,
)
