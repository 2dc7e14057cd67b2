"""Slices of an array by their indices along an axis. Kernels: ``kernels/gather.cl``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import ShapeError
from rx580lab.ops.indices import indexed_cost, indices_on, widened_row
from rx580lab.ops.plan import OpSpec, Params, Plan, apart, choose, given_back, output
from rx580lab.ops.sizing import ceil_div, checked_count, plain_sizes
from rx580lab.ops.walk import axis_of, bits_of, movable, rows_per_item, streams, walk_templates

__all__ = ["SPEC", "gather", "plan"]

AnyArray = npt.NDArray[Any]


def gather(
    device: Device,
    x: Array | AnyArray,
    indices: Array | AnyArray,
    *,
    axis: int = 0,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``x[.., indices, ..]`` along ``axis``, as ONNX Gather: the axes of ``indices`` stand in the place of ``axis``.

    ``x``: 1 to 8 axes, bools, integers or floats of 1, 2, 4 or 8 bytes, moved bit for bit. ``indices``: int32 or int64
    of any shape; negative ones count from the axis's end. One outside is refused by InputError if ``indices`` is a
    numpy array; on the device it gives zeros, and nothing is read. numpy in gives numpy out; an Array in gives an Array
    out. ``out`` must be apart from both. Raises DtypeError for other elements or indices, ShapeError for a scalar
    ``x``, too many axes or elements, or when ``out`` does not fit.
    """
    return given_back(plan(device, x, indices, axis=axis, out=out, template=template, params=params), x, indices)


def plan(
    device: Device,
    x: Array | AnyArray,
    indices: Array | AnyArray,
    *,
    axis: int = 0,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launch that ``gather`` runs, bound once, for running many times."""
    letters, k = _shape(x, indices, axis=axis), axis_of("gather", axis, x.ndim)
    source = movable(device, "gather", "x", x)
    places = indices_on(device, "gather", "indices", indices, (x.shape[k],))
    lengths = (*x.shape[:k], *places.shape, *x.shape[k + 1 :])
    target = output(device, "gather", out, lengths, source.dtype)
    apart("gather", target, x=source, indices=places)
    chosen, merged = choose(device, SPEC, letters, template, params)
    if target.size == 0:
        return Plan("gather", chosen.name, merged, (), target)
    if source.size == 0:  # every index names nothing: x is not read, but a buffer must be there
        source = target
    n_columns, item_bytes = widened_row(letters["C"], source.dtype.itemsize)
    n_rows = target.size // letters["C"]
    macros = {"ITEM_BYTES": item_bytes, "INDEX_BYTES": places.dtype.itemsize}
    kernel = load_kernel(device, chosen.source, f"gather_{chosen.name}", macros)
    sizes = tuple(map(np.uint32, (n_rows, n_columns, x.shape[k], places.size)))
    if chosen.name == "plain":
        launch = kernel.bind(*plain_sizes(device, n_rows * n_columns), source, places, target, *sizes)
    else:
        per_item, width = rows_per_item(device, n_columns, item_bytes)
        groups = (ceil_div(n_columns, width), ceil_div(n_rows, per_item)), (1, 1)
        shares = (np.uint32(per_item), np.uint32(width), np.int32(streams(target)))
        launch = kernel.bind(*groups, source, places, target, *sizes, *shares)
    return Plan("gather", chosen.name, merged, (launch,), target)


def _shape(x: Array | AnyArray, indices: Array | AnyArray, *, axis: int = 0) -> dict[str, int]:
    item_bytes = bits_of("gather", "x", x)
    if x.ndim == 0:
        raise ShapeError("gather", "expected x of 1 or more axes, got a scalar")
    k = axis_of("gather", axis, x.ndim)
    outer, inner = math.prod(x.shape[:k]), math.prod(x.shape[k + 1 :])
    n = checked_count("gather", outer * indices.size * inner)
    return {"N": n, "I": indices.size, "C": inner, "ITEM": item_bytes}


SPEC = OpSpec(
    name="gather",
    summary="slices by their indices along an axis, bit for bit: 1 read + 1 write of N elements, 1 read of I indices",
    templates=walk_templates("gather"),
    cost=indexed_cost,
    plan=plan,
    shape=_shape,
)
