"""Where the heads of ``attention`` lie in memory: one after another, or side by side in the rows of a projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rx580lab.errors import ShapeError
from rx580lab.ops.plan import Shape

__all__ = ["HeadsInRows", "places", "shape_in_rows"]

# uint4 of OpenCL: first element, from one b to the next, from one group of heads to the next, from one row to the next.
_PLACE = np.dtype([(letter, np.uint32) for letter in "xyzw"])


@dataclass(frozen=True)
class HeadsInRows:
    """Heads side by side, as a projection leaves them: q (B, T, ...), k and v (B, S, ...) -> (B, T, count * size).

    ``size`` values a head. ``columns``: where the first head begins in the rows of q, k and v, which may be one array.
    """

    count: int
    size: int
    columns: tuple[int, int, int] = (0, 0, 0)


def shape_in_rows(q: Any, k: Any, v: Any, heads: HeadsInRows) -> dict[str, int]:
    """The letters B H G T S D E. ShapeError where the arrays do not hold such heads."""
    width = heads.count * heads.size
    if heads.count < 1 or heads.size < 1 or min(heads.columns) < 0:
        raise ShapeError("attention", f"expected at least one head of at least one value, got {heads}")
    for name, one, column in zip("qkv", (q, k, v), heads.columns, strict=True):
        if one.ndim != 3:
            raise ShapeError("attention", f"expected {name} of shape (B, rows, columns), got {one.shape}")
        if column + width > one.shape[2]:
            raise ShapeError(
                "attention", f"expected {name} with columns {column} to {column + width} of heads, got {one.shape}"
            )
    if k.shape[0] != q.shape[0] or v.shape[:2] != k.shape[:2]:
        raise ShapeError("attention", f"expected k and v to fit q {q.shape}, got {k.shape} and {v.shape}")
    letters = {"B": q.shape[0], "H": heads.count, "G": heads.count, "T": q.shape[1], "S": k.shape[1]}
    return {**letters, "D": heads.size, "E": heads.size}


def places(shape: Shape, q: Any, k: Any, v: Any, heads: HeadsInRows | None) -> tuple[np.generic, ...]:
    """The arguments q_at, k_at, v_at, out_at of the kernels. ShapeError beyond 32 bits."""
    h, g, t, s, d, e = (shape[letter] for letter in "HGTSDE")
    rows = h // g * t
    if heads is None:
        lengths = ((rows, d), (s, d), (s, e), (rows, e))
        found = [(0, g * n * width, n * width, width) for n, width in lengths]
    else:
        wide = [(column, n, one.shape[2]) for column, n, one in zip(heads.columns, (t, s, s), (q, k, v), strict=True)]
        found = [(column, n * width, heads.size, width) for column, n, width in (*wide, (0, t, h * e))]
    if max(n for one in found for n in one) >= 2**32:
        raise ShapeError("attention", "expected heads within 2**32 values of one another")
    return tuple(np.void(one, _PLACE) for one in found)
