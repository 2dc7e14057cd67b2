"""Oracle of ``slice``: each axis taken at the indices of its range."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "slice", "slice_tolerance"]

ORACLE = "ONNX Slice (opset 13): per axis the indices of the clamped range, taken by numpy, bit for bit"

AnyArray = npt.NDArray[np.generic]


def slice(  # noqa: A001 - the op's name in ONNX
    x: AnyArray,
    *,
    starts: tuple[int, ...],
    ends: tuple[int, ...],
    axes: tuple[int, ...] | None = None,
    steps: tuple[int, ...] | None = None,
) -> AnyArray:
    """``x[starts[k]:ends[k]:steps[k]]`` along ``axes[k]``, by ONNX's rules for what lies outside."""
    along = range(len(starts)) if axes is None else axes
    by = (1,) * len(starts) if steps is None else steps
    for axis, start, end, step in zip(along, starts, ends, by, strict=True):
        n = x.shape[axis]
        first = start + n if start < 0 else start
        last = end + n if end < 0 else end
        if step > 0:
            index = np.arange(np.clip(first, 0, n), np.clip(last, 0, n), step)
        else:
            index = np.arange(np.clip(first, 0, n - 1), np.clip(last, -1, n - 1), step)
        x = np.take(x, index.astype(np.int64), axis=axis)
    return x


def slice_tolerance(_x: AnyArray, **_keywords: object) -> float:
    """0: nothing is computed."""
    return 0.0
