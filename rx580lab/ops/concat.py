"""Arrays one after the other along an axis. Kernels: ``kernels/concat.cl``."""

from __future__ import annotations

import math
from typing import Any

import numpy.typing as npt

from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.plan import OpSpec, Params, Plan, apart, given_back, output
from rx580lab.ops.sizing import checked_count
from rx580lab.ops.walk import Walk, axis_of, bits_of, movable, moved_cost, walk_plan, walk_templates

__all__ = ["SPEC", "concat", "plan"]

AnyArray = npt.NDArray[Any]


def concat(
    device: Device,
    *arrays: Array | AnyArray,
    axis: int,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """All ``arrays`` one after the other along ``axis``, as ONNX Concat.

    ``arrays``: one or more of the same element type (bools, integers or floats of 1, 2, 4 or 8 bytes, moved bit for
    bit) and the same shape but along ``axis``, with 1 to 8 axes. numpy in gives numpy out; an Array in gives an Array
    out. ``out`` must be apart from all of them. Raises DtypeError for other or mixed elements, ShapeError for shapes
    that do not fit each other, too many axes or elements, or when ``out`` does not fit, InputError for a wrong axis or
    no array.
    """
    return given_back(plan(device, *arrays, axis=axis, out=out, template=template, params=params), *arrays)


def plan(
    device: Device,
    *arrays: Array | AnyArray,
    axis: int,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``concat`` runs, one for each array that is not empty, bound once, for running many times."""
    lengths, walks = _walks(arrays, axis)
    sources = [movable(device, "concat", f"array {k}", one) for k, one in enumerate(arrays)]
    target = output(device, "concat", out, lengths, sources[0].dtype)
    apart("concat", target, **{f"array {k}": one for k, one in enumerate(sources)})
    return walk_plan(device, SPEC, list(zip(walks, sources, strict=True)), target, template, params)


def _walks(arrays: tuple[Array | AnyArray, ...], axis: int) -> tuple[tuple[int, ...], list[Walk]]:
    """The output's shape, and each array's walk: one row of it for each index of the axes before ``axis``."""
    if not arrays:
        raise InputError("concat", "expected one array or more, got none")
    first = arrays[0]
    item_bytes = bits_of("concat", "array 0", first)
    if first.ndim == 0:
        raise ShapeError("concat", "expected arrays of 1 or more axes, got a scalar")
    k = axis_of("concat", axis, first.ndim)
    for place, one in enumerate(arrays):
        if one.dtype != first.dtype:
            raise DtypeError("concat", f"expected array {place} of {first.dtype} as array 0, got {one.dtype}")
        if one.ndim != first.ndim or (*one.shape[:k], *one.shape[k + 1 :]) != (*first.shape[:k], *first.shape[k + 1 :]):
            wanted = "x".join("any" if place == k else str(n) for place, n in enumerate(first.shape))
            raise ShapeError("concat", f"expected array {place} of shape {wanted} as array 0, got {one.shape}")
    total = sum(one.shape[k] for one in arrays)
    lengths = (*first.shape[:k], total, *first.shape[k + 1 :])
    checked_count("concat", math.prod(lengths))
    outer, inner = math.prod(first.shape[:k]), math.prod(first.shape[k + 1 :])
    walks, at = [], 0
    for one in arrays:
        row = one.shape[k] * inner
        walks.append(Walk((outer, row), (row, 1), (total * inner, 1), item_bytes, target_start=at))
        at += row
    return lengths, walks


def _shape(*arrays: Array | AnyArray, axis: int) -> dict[str, int]:
    _, walks = _walks(arrays, axis)
    n = sum(walk.count for walk in walks)
    return {"N": n, "M": n, "ITEM": walks[0].item_bytes}


SPEC = OpSpec(
    name="concat",
    summary="arrays one after the other along an axis, bit for bit: 1 read + 1 write of N elements",
    templates=walk_templates("concat"),
    cost=moved_cost,
    plan=plan,
    shape=_shape,
)
