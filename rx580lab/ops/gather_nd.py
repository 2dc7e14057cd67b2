"""Slices of an array by their indices along its first axes. Kernels: ``kernels/gather_nd.cl``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import InputError, ShapeError
from rx580lab.ops.indices import indexed_cost, indices_on, widened_row
from rx580lab.ops.plan import OpSpec, Params, Plan, apart, choose, given_back, output
from rx580lab.ops.sizing import ceil_div, checked_count, plain_sizes
from rx580lab.ops.walk import bits_of, int8, movable, rows_per_item, streams, walk_templates

__all__ = ["SPEC", "gather_nd", "plan"]

AnyArray = npt.NDArray[Any]


def gather_nd(
    device: Device,
    x: Array | AnyArray,
    indices: Array | AnyArray,
    *,
    batch_dims: int = 0,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``x[b, indices[b, i]]`` for each b of the first ``batch_dims`` axes and each i of the next, as ONNX GatherND.

    ``x``: 1 to 8 axes, bools, integers or floats of 1, 2, 4 or 8 bytes, moved bit for bit. ``indices``: int32 or int64;
    its first ``batch_dims`` axes are x's, and its last holds one index for each of as many of x's axes after those.
    Negative ones count from an axis's end. One outside is refused by InputError if ``indices`` is a numpy array; on the
    device it gives zeros, and nothing is read. numpy in gives numpy out; an Array in gives an Array out. ``out`` must
    be apart from both. Raises DtypeError for other elements or indices, ShapeError for shapes that do not fit each
    other, too many axes or elements, or when ``out`` does not fit, InputError for a wrong ``batch_dims``.
    """
    planned = plan(device, x, indices, batch_dims=batch_dims, out=out, template=template, params=params)
    return given_back(planned, x, indices)


def plan(
    device: Device,
    x: Array | AnyArray,
    indices: Array | AnyArray,
    *,
    batch_dims: int = 0,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launch that ``gather_nd`` runs, bound once, for running many times."""
    letters = _shape(x, indices, batch_dims=batch_dims)
    depth = indices.shape[-1]
    named = x.shape[batch_dims : batch_dims + depth]
    source = movable(device, "gather_nd", "x", x)
    places = indices_on(device, "gather_nd", "indices", indices, named)
    lengths = (*places.shape[:-1], *x.shape[batch_dims + depth :])
    target = output(device, "gather_nd", out, lengths, source.dtype)
    apart("gather_nd", target, x=source, indices=places)
    chosen, merged = choose(device, SPEC, letters, template, params)
    if target.size == 0:
        return Plan("gather_nd", chosen.name, merged, (), target)
    if source.size == 0:  # every index names nothing: x is not read, but a buffer must be there
        source = target
    n_columns, item_bytes = widened_row(letters["C"], source.dtype.itemsize)
    n_rows = target.size // letters["C"]
    macros = {"ITEM_BYTES": item_bytes, "INDEX_BYTES": places.dtype.itemsize}
    kernel = load_kernel(device, chosen.source, f"gather_nd_{chosen.name}", macros)
    per_batch = math.prod(places.shape[batch_dims:-1])
    sizes = (*map(np.uint32, (n_rows, n_columns, per_batch, depth)), int8(named))
    if chosen.name == "plain":
        launch = kernel.bind(*plain_sizes(device, n_rows * n_columns), source, places, target, *sizes)
    else:
        per_item, width = rows_per_item(device, n_columns, item_bytes)
        groups = (ceil_div(n_columns, width), ceil_div(n_rows, per_item)), (1, 1)
        shares = (np.uint32(per_item), np.uint32(width), np.int32(streams(target)))
        launch = kernel.bind(*groups, source, places, target, *sizes, *shares)
    return Plan("gather_nd", chosen.name, merged, (launch,), target)


def _shape(x: Array | AnyArray, indices: Array | AnyArray, *, batch_dims: int = 0) -> dict[str, int]:
    item_bytes = bits_of("gather_nd", "x", x)
    if x.ndim == 0 or indices.ndim == 0:
        raise ShapeError("gather_nd", f"expected x and indices of 1 or more axes, got {x.shape} and {indices.shape}")
    if isinstance(batch_dims, bool) or not 0 <= batch_dims < min(x.ndim, indices.ndim):
        raise InputError(
            "gather_nd", f"expected batch_dims from 0 to {min(x.ndim, indices.ndim) - 1}, got {batch_dims!r}"
        )
    depth = indices.shape[-1]
    if x.shape[:batch_dims] != indices.shape[:batch_dims] or not 1 <= depth <= x.ndim - batch_dims:
        raise ShapeError(
            "gather_nd",
            f"expected indices of shape ({', '.join(map(str, x.shape[:batch_dims]))} .., 1 to {x.ndim - batch_dims}), "
            f"got {indices.shape}",
        )
    inner = math.prod(x.shape[batch_dims + depth :])
    n = checked_count("gather_nd", math.prod(indices.shape[:-1]) * inner)
    return {"N": n, "I": indices.size, "C": inner, "ITEM": item_bytes}


SPEC = OpSpec(
    name="gather_nd",
    summary="slices by their indices along the first axes, bit for bit: 1 read + 1 write of N elements",
    templates=walk_templates("gather_nd"),
    cost=indexed_cost,
    plan=plan,
    shape=_shape,
)
