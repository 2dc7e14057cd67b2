"""An array with single elements replaced, by their indices along an axis. Kernels: ``kernels/scatter_elements.cl``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, ShapeError
from rx580lab.ops.indices import elements_walk, indexed_cost, indices_on
from rx580lab.ops.plan import OpSpec, Params, Plan, Template, apart, choose, given_back, output
from rx580lab.ops.sizing import ceil_div, plain_sizes
from rx580lab.ops.walk import (
    Walk,
    axis_of,
    bits_of,
    canonical,
    movable,
    rows_per_item,
    walk_arguments,
    walk_launch,
    walk_templates,
)

__all__ = ["SPEC", "plan", "scatter_elements"]

AnyArray = npt.NDArray[Any]


def scatter_elements(
    device: Device,
    x: Array | AnyArray,
    indices: Array | AnyArray,
    updates: Array | AnyArray,
    *,
    axis: int = 0,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``x``, but ``out[.., indices[.., i, ..], ..] = updates[.., i, ..]`` along ``axis``: ONNX ScatterElements.

    ``x``: 1 to 8 axes, bools, integers or floats of 1, 2, 4 or 8 bytes, moved bit for bit; there is no reduction.
    ``indices``: int32 or int64, as many axes, none longer than x's but ``axis``; negative ones count from the axis's
    end. ``updates``: x's elements in the shape of ``indices``. An index outside is refused by InputError if ``indices``
    is a numpy array; on the device it writes nothing. Of several that name the same element, any may win. numpy in
    gives numpy out; an Array in gives an Array out. ``out`` may be ``x`` itself, which saves a copy, and must be apart
    from the others. Raises DtypeError for other elements or indices, ShapeError for shapes that do not fit each other,
    too many axes or elements, or when ``out`` does not fit.
    """
    planned = plan(device, x, indices, updates, axis=axis, out=out, template=template, params=params)
    return given_back(planned, x, indices, updates)


def plan(
    device: Device,
    x: Array | AnyArray,
    indices: Array | AnyArray,
    updates: Array | AnyArray,
    *,
    axis: int = 0,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``scatter_elements`` runs, bound once, for running many times."""
    letters, k = _shape(x, indices, updates, axis=axis), axis_of("scatter_elements", axis, x.ndim)
    source = movable(device, "scatter_elements", "x", x)
    places = indices_on(device, "scatter_elements", "indices", indices, (x.shape[k],))
    given = movable(device, "scatter_elements", "updates", updates)
    target = output(device, "scatter_elements", out, source.shape, source.dtype)
    apart("scatter_elements", target, indices=places, updates=given)
    chosen, merged = choose(device, SPEC, letters, template, params)
    launches: tuple[Launch, ...] = ()
    if source.size and target.int_ptr != source.int_ptr:
        whole = canonical(Walk((source.size,), (1,), (1,), source.dtype.itemsize))
        launches = (walk_launch(device, "scatter_elements_keep", chosen, whole, source, target),)
    if source.size and given.size:
        launches = (*launches, _updating(device, chosen, places, given, target, k))
    return Plan("scatter_elements", chosen.name, merged, launches, target)


def _updating(device: Device, template: Template, places: Array, updates: Array, out: Array, k: int) -> Launch:
    walk = elements_walk(out.shape, places.shape, k, out.dtype.itemsize)
    macros = {"ITEM_BYTES": walk.item_bytes, "INDEX_BYTES": places.dtype.itemsize}
    kernel = load_kernel(device, template.source, f"scatter_elements_{template.name}", macros)
    along = (np.int32(out.shape[k]), np.int32(math.prod(out.shape[k + 1 :])))
    arguments = (places, updates, out, *walk_arguments(walk), *along)
    if template.name == "plain":
        return kernel.bind(*plain_sizes(device, walk.count), *arguments)
    per_item, width = rows_per_item(device, walk.lengths[-1], walk.item_bytes)
    groups = (ceil_div(walk.lengths[-1], width), ceil_div(math.prod(walk.lengths[:-1]), per_item)), (1, 1)
    return kernel.bind(*groups, *arguments, np.uint32(per_item), np.uint32(width), np.int32(0))


def _shape(
    x: Array | AnyArray, indices: Array | AnyArray, updates: Array | AnyArray, *, axis: int = 0
) -> dict[str, int]:
    item_bytes = bits_of("scatter_elements", "x", x)
    if updates.dtype != x.dtype:
        raise DtypeError("scatter_elements", f"expected updates of {x.dtype} as x, got {updates.dtype}")
    if x.ndim == 0:
        raise ShapeError("scatter_elements", "expected x of 1 or more axes, got a scalar")
    k = axis_of("scatter_elements", axis, x.ndim)
    if indices.ndim != x.ndim or any(
        ours > n for place, (ours, n) in enumerate(zip(indices.shape, x.shape, strict=True)) if place != k
    ):
        raise ShapeError(
            "scatter_elements", f"expected indices within x {x.shape} but along axis {k}, got {indices.shape}"
        )
    if updates.shape != indices.shape:
        raise ShapeError("scatter_elements", f"expected updates of shape {indices.shape}, got {updates.shape}")
    return {"N": x.size + updates.size, "I": indices.size, "ITEM": item_bytes}


SPEC = OpSpec(
    name="scatter_elements",
    summary="single elements replaced along an axis, bit for bit: 1 read + 1 write of N elements of x and updates",
    templates=walk_templates("scatter_elements"),
    cost=indexed_cost,
    plan=plan,
    shape=_shape,
)
