"""Rows of a table by token ids. Kernels: ``kernels/embedding.cl``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import ShapeError
from rx580lab.ops.indices import indices_on
from rx580lab.ops.plan import Cost, OpSpec, Params, Plan, Shape, Template, apart, as_array, choose, given_back, output
from rx580lab.ops.sizing import ceil_div, checked_count, plain_sizes
from rx580lab.ops.walk import rows_per_item

__all__ = ["SPEC", "embedding", "plan"]

AnyArray = npt.NDArray[Any]


def embedding(
    device: Device,
    ids: Array | AnyArray,
    table: Array | AnyArray,
    *,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``table[ids]`` as fp32, of shape ``ids.shape + (D,)``.

    ``ids``: int32 or int64 of any shape, from 0 on. One outside the table is refused by InputError if ``ids`` is a
    numpy array; on the device it gives a row of zeros, and nothing is read. ``table``: (V, D), fp32, or fp16 that is
    widened exactly. numpy in gives numpy out; an Array in gives an Array out. ``out`` must be apart from both. Raises
    DtypeError for other element types, ShapeError for a table of other than two axes, too many elements, or when
    ``out`` does not fit.
    """
    return given_back(plan(device, ids, table, out=out, template=template, params=params), ids, table)


def plan(
    device: Device,
    ids: Array | AnyArray,
    table: Array | AnyArray,
    *,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launch that ``embedding`` runs, bound once, for running many times."""
    letters = _shape(ids, table)
    n_rows, n_ids, n_columns = letters["T"], letters["V"], letters["D"]
    rows = as_array(device, "embedding", "table", table, np.float32, np.float16)
    places = indices_on(device, "embedding", "ids", ids, (n_ids,), from_the_end=False)
    target = output(device, "embedding", out, (*places.shape, n_columns))
    apart("embedding", target, ids=places, table=rows)
    chosen, merged = choose(device, SPEC, letters, template, params)
    if target.size == 0:
        return Plan("embedding", chosen.name, merged, (), target)
    macros = {"HALF": int(rows.dtype == np.float16), "INDEX_BYTES": places.dtype.itemsize}
    if rows.size == 0:  # every id names nothing: the table is not read, but a buffer must be there
        rows = target
    kernel = load_kernel(device, chosen.source, f"embedding_{chosen.name}", macros)
    arguments = (places, rows, target, np.uint32(n_rows), np.uint32(n_columns), np.uint32(n_ids))
    if chosen.name == "plain":
        launch = kernel.bind(*plain_sizes(device, target.size), *arguments)
    else:
        per_item, width = rows_per_item(device, n_columns, target.dtype.itemsize)
        groups = (ceil_div(n_columns, width), ceil_div(n_rows, per_item)), (1, 1)
        launch = kernel.bind(*groups, *arguments, np.uint32(per_item), np.uint32(width))
    return Plan("embedding", chosen.name, merged, (launch,), target)


def _shape(ids: Array | AnyArray, table: Array | AnyArray) -> dict[str, int]:
    if table.ndim != 2:
        raise ShapeError("embedding", f"expected a table of shape (V, D), got {table.shape}")
    checked_count("embedding", max(table.size, ids.size * table.shape[1]))
    return {"T": ids.size, "V": table.shape[0], "D": table.shape[1], "ITEM": table.dtype.itemsize}


def _cost(shape: Shape) -> Cost:
    return Cost(bytes=shape["T"] * (shape["D"] * (shape["ITEM"] + 4) + 4), flop=0)


SPEC = OpSpec(
    name="embedding",
    summary="rows of a table (V, D) by T token ids, as fp32: 1 read + 1 write of T*D values, 1 read of the ids",
    templates=(
        Template(
            name="plain",
            source="embedding",
            space={},
            default={},
            precondition="always; one work-item per value",
        ),
        Template(
            name="cpu",
            source="embedding",
            space={},
            default={},
            precondition="always; work-groups of one that take whole rows by vectors",
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
