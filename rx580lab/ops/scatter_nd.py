"""An array with slices replaced, by their indices along its first axes. Kernels: ``kernels/scatter_nd.cl``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, ShapeError
from rx580lab.ops.indices import indexed_cost, indices_on, widened_row
from rx580lab.ops.plan import OpSpec, Params, Plan, Template, apart, choose, given_back, output
from rx580lab.ops.sizing import ceil_div, plain_sizes
from rx580lab.ops.walk import (
    Walk,
    bits_of,
    canonical,
    int8,
    movable,
    rows_per_item,
    walk_launch,
    walk_templates,
)

__all__ = ["SPEC", "plan", "scatter_nd"]

AnyArray = npt.NDArray[Any]


def scatter_nd(
    device: Device,
    x: Array | AnyArray,
    indices: Array | AnyArray,
    updates: Array | AnyArray,
    *,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``x``, but ``out[indices[i]] = updates[i]`` for every i, as ONNX ScatterND without a reduction.

    ``x``: 1 to 8 axes, bools, integers or floats of 1, 2, 4 or 8 bytes, moved bit for bit; ``updates``: the same
    elements, of shape ``indices.shape[:-1] + x.shape[indices.shape[-1]:]``. ``indices``: int32 or int64, the last axis
    holding one index for each of as many of x's first axes; negative ones count from an axis's end. One outside is
    refused by InputError if ``indices`` is a numpy array; on the device it writes nothing. Of several indices that name
    the same slice, any may win. numpy in gives numpy out; an Array in gives an Array out. ``out`` may be ``x`` itself,
    which saves a copy, and must be apart from the others. Raises DtypeError for other elements or indices, ShapeError
    for shapes that do not fit each other, too many axes or elements, or when ``out`` does not fit.
    """
    planned = plan(device, x, indices, updates, out=out, template=template, params=params)
    return given_back(planned, x, indices, updates)


def plan(
    device: Device,
    x: Array | AnyArray,
    indices: Array | AnyArray,
    updates: Array | AnyArray,
    *,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``scatter_nd`` runs, bound once, for running many times."""
    letters = _shape(x, indices, updates)
    source = movable(device, "scatter_nd", "x", x)
    places = indices_on(device, "scatter_nd", "indices", indices, x.shape[: indices.shape[-1]])
    given = movable(device, "scatter_nd", "updates", updates)
    target = output(device, "scatter_nd", out, source.shape, source.dtype)
    apart("scatter_nd", target, indices=places, updates=given)
    chosen, merged = choose(device, SPEC, letters, template, params)
    launches: tuple[Launch, ...] = ()
    if source.size and target.int_ptr != source.int_ptr:
        whole = canonical(Walk((source.size,), (1,), (1,), source.dtype.itemsize))
        launches = (walk_launch(device, "scatter_nd_keep", chosen, whole, source, target),)
    if source.size and given.size:
        launches = (*launches, _updating(device, chosen, places, given, target, letters["C"]))
    return Plan("scatter_nd", chosen.name, merged, launches, target)


def _updating(device: Device, template: Template, places: Array, updates: Array, out: Array, inner: int) -> Launch:
    depth = places.shape[-1]
    n_columns, item_bytes = widened_row(inner, out.dtype.itemsize)
    n_rows = updates.size // inner
    macros = {"ITEM_BYTES": item_bytes, "INDEX_BYTES": places.dtype.itemsize}
    kernel = load_kernel(device, template.source, f"scatter_nd_{template.name}", macros)
    sizes = (*map(np.uint32, (n_rows, n_columns, depth)), int8(out.shape[:depth]))
    if template.name == "plain":
        return kernel.bind(*plain_sizes(device, n_rows * n_columns), places, updates, out, *sizes)
    per_item, width = rows_per_item(device, n_columns, item_bytes)
    groups = (ceil_div(n_columns, width), ceil_div(n_rows, per_item)), (1, 1)
    # Its rows lie anywhere in out, so that lines of cache may be shared with rows beside them: they are not streamed.
    return kernel.bind(*groups, places, updates, out, *sizes, np.uint32(per_item), np.uint32(width), np.int32(0))


def _shape(x: Array | AnyArray, indices: Array | AnyArray, updates: Array | AnyArray) -> dict[str, int]:
    item_bytes = bits_of("scatter_nd", "x", x)
    if updates.dtype != x.dtype:
        raise DtypeError("scatter_nd", f"expected updates of {x.dtype} as x, got {updates.dtype}")
    if x.ndim == 0 or indices.ndim == 0 or not 1 <= indices.shape[-1] <= x.ndim:
        raise ShapeError(
            "scatter_nd", f"expected indices of shape (.., 1 to {x.ndim}) for x {x.shape}, got {indices.shape}"
        )
    wanted = (*indices.shape[:-1], *x.shape[indices.shape[-1] :])
    if updates.shape != wanted:
        raise ShapeError("scatter_nd", f"expected updates of shape {wanted}, got {updates.shape}")
    inner = math.prod(x.shape[indices.shape[-1] :])
    return {"N": x.size + updates.size, "I": indices.size, "C": inner, "ITEM": item_bytes}


SPEC = OpSpec(
    name="scatter_nd",
    summary="slices replaced by their indices, bit for bit: 1 read + 1 write of N elements of x and updates",
    templates=walk_templates("scatter_nd"),
    cost=indexed_cost,
    plan=plan,
    shape=_shape,
)
