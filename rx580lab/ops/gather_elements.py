"""Single elements by their indices along an axis. Kernels: ``kernels/gather_elements.cl``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import ShapeError
from rx580lab.ops.indices import elements_walk, indexed_cost, indices_on
from rx580lab.ops.plan import OpSpec, Params, Plan, apart, choose, given_back, output
from rx580lab.ops.sizing import ceil_div, plain_sizes
from rx580lab.ops.walk import axis_of, bits_of, movable, rows_per_item, streams, walk_arguments, walk_templates

__all__ = ["SPEC", "gather_elements", "plan"]

AnyArray = npt.NDArray[Any]


def gather_elements(
    device: Device,
    x: Array | AnyArray,
    indices: Array | AnyArray,
    *,
    axis: int = 0,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``out[.., i, ..] = x[.., indices[.., i, ..], ..]`` along ``axis``, in the shape of ``indices``: GatherElements.

    ``x``: 1 to 8 axes, bools, integers or floats of 1, 2, 4 or 8 bytes, moved bit for bit. ``indices``: int32 or int64,
    as many axes, none longer than x's but ``axis``; negative ones count from the axis's end. One outside is refused by
    InputError if ``indices`` is a numpy array; on the device it gives 0, and nothing is read. numpy in gives numpy out;
    an Array in gives an Array out. ``out`` must be apart from both. Raises DtypeError for other elements or indices,
    ShapeError for shapes that do not fit each other, too many axes or elements, or when ``out`` does not fit.
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
    """The launch that ``gather_elements`` runs, bound once, for running many times."""
    letters, k = _shape(x, indices, axis=axis), axis_of("gather_elements", axis, x.ndim)
    source = movable(device, "gather_elements", "x", x)
    places = indices_on(device, "gather_elements", "indices", indices, (x.shape[k],))
    target = output(device, "gather_elements", out, places.shape, source.dtype)
    apart("gather_elements", target, x=source, indices=places)
    chosen, merged = choose(device, SPEC, letters, template, params)
    if target.size == 0:
        return Plan("gather_elements", chosen.name, merged, (), target)
    walk = elements_walk(x.shape, places.shape, k, source.dtype.itemsize)
    along = (np.int32(x.shape[k]), np.int32(math.prod(x.shape[k + 1 :])))
    if source.size == 0:  # every index names nothing: x is not read, but a buffer must be there
        source = target
    macros = {"ITEM_BYTES": walk.item_bytes, "INDEX_BYTES": places.dtype.itemsize}
    kernel = load_kernel(device, chosen.source, f"gather_elements_{chosen.name}", macros)
    arguments = (source, places, target, *walk_arguments(walk), *along)
    if chosen.name == "plain":
        launch = kernel.bind(*plain_sizes(device, walk.count), *arguments)
    else:
        per_item, width = rows_per_item(device, walk.lengths[-1], walk.item_bytes)
        groups = (ceil_div(walk.lengths[-1], width), ceil_div(math.prod(walk.lengths[:-1]), per_item)), (1, 1)
        launch = kernel.bind(*groups, *arguments, np.uint32(per_item), np.uint32(width), np.int32(streams(target)))
    return Plan("gather_elements", chosen.name, merged, (launch,), target)


def _shape(x: Array | AnyArray, indices: Array | AnyArray, *, axis: int = 0) -> dict[str, int]:
    item_bytes = bits_of("gather_elements", "x", x)
    if x.ndim == 0:
        raise ShapeError("gather_elements", "expected x of 1 or more axes, got a scalar")
    k = axis_of("gather_elements", axis, x.ndim)
    if len(indices.shape) != x.ndim or any(
        ours > n for place, (ours, n) in enumerate(zip(indices.shape, x.shape, strict=True)) if place != k
    ):
        raise ShapeError(
            "gather_elements", f"expected indices within x {x.shape} but along axis {k}, got {indices.shape}"
        )
    return {"N": indices.size, "I": indices.size, "ITEM": item_bytes}


SPEC = OpSpec(
    name="gather_elements",
    summary="single elements by their indices along an axis, bit for bit: 1 read + 1 write of N elements and N indices",
    templates=walk_templates("gather_elements"),
    cost=indexed_cost,
    plan=plan,
    shape=_shape,
)
