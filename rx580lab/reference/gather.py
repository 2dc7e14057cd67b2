"""Oracle of ``gather``: slices taken by numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "gather", "gather_tolerance"]

ORACLE = "ONNX Gather by numpy.take, zeros where an index lies outside the axis, bit for bit"

AnyArray = npt.NDArray[np.generic]


def gather(x: AnyArray, indices: npt.NDArray[np.integer], *, axis: int = 0) -> AnyArray:
    """``x[.., indices, ..]`` along ``axis``."""
    k = axis % x.ndim
    n = x.shape[k]
    places = np.where(indices < 0, indices.astype(np.int64) + n, indices)
    inside = (places >= 0) & (places < n)
    # One slice of zeros behind the axis is what every other index takes.
    behind = np.zeros((*x.shape[:k], 1, *x.shape[k + 1 :]), x.dtype)
    return np.take(np.concatenate([x, behind], axis=k), np.where(inside, places, n), axis=k)


def gather_tolerance(_x: AnyArray, _indices: npt.NDArray[np.integer], **_axis: object) -> float:
    """0: nothing is computed."""
    return 0.0
