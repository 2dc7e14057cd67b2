"""Indices of the ops that gather and scatter: checked where they lie on the host, uploaded, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.device import Array, Device
from rx580lab.errors import InputError
from rx580lab.ops.plan import Cost, Shape, as_array
from rx580lab.ops.sizing import checked_count
from rx580lab.ops.walk import WIDEST_BYTES, Walk, joined, row_major

__all__ = ["INDEX_DTYPES", "elements_walk", "indexed_cost", "indices_on", "widened_row"]

INDEX_DTYPES = (np.int32, np.int64)


def indices_on(
    device: Device,
    where: str,
    name: str,
    value: Array | npt.NDArray[Any],
    lengths: Sequence[int],
    *,
    from_the_end: bool = True,
) -> Array:
    """int32 or int64 indices on ``device``, into an axis, or one in turn into each of several axes of these lengths.

    Those on the host must lie within the lengths, from -length on (from 0 on without ``from_the_end``), or InputError
    names the first that does not. Those on the device are not read; their kernels say what a wrong one gives.
    """
    checked_count(where, value.size)
    if not isinstance(value, Array) and value.dtype in INDEX_DTYPES:
        beyond = np.asarray(lengths if len(lengths) > 1 else lengths[0], np.int64)
        wrong = (value >= beyond) | (value < (-beyond if from_the_end else 0))
        if wrong.any():
            at = tuple(int(place[0]) for place in np.nonzero(wrong))
            n = int(np.broadcast_to(beyond, value.shape)[at])
            least = -n if from_the_end else 0
            raise InputError(where, f"expected {name} from {least} to {n - 1}, got {value[at]} at {list(at)}")
    return as_array(device, where, name, value, *INDEX_DTYPES)


def widened_row(n_columns: int, item_bytes: int) -> tuple[int, int]:
    """Columns and bytes of an element when as many neighbours of a row as possible move as one."""
    while n_columns and n_columns % 2 == 0 and item_bytes < WIDEST_BYTES:
        n_columns, item_bytes = n_columns // 2, item_bytes * 2
    return n_columns, item_bytes


def elements_walk(x_shape: tuple[int, ...], shape: tuple[int, ...], axis: int, item_bytes: int) -> Walk:
    """Over indices of ``shape``: where each lies (target), and where 0 in its place would lead in x (source)."""
    steps = tuple(0 if k == axis else step for k, step in enumerate(row_major(x_shape)))
    return joined(Walk(shape, steps, row_major(shape), item_bytes))


def indexed_cost(shape: Shape) -> Cost:
    """1 read + 1 write of N elements of ITEM bytes, 1 read of I indices of at least 4 bytes."""
    return Cost(bytes=2 * shape["N"] * shape["ITEM"] + 4 * shape["I"], flop=0)
