"""Oracle of ``expand``: each axis taken at index 0, or as it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "expand", "expand_tolerance"]

ORACLE = "ONNX Expand: out[i] = x[i], with 0 for i along axes of length 1, by numpy indices, bit for bit"

AnyArray = npt.NDArray[np.generic]


def expand(x: AnyArray, *, shape: tuple[int, ...]) -> AnyArray:
    """``x`` broadcast against ``shape``."""
    rank = max(x.ndim, len(shape))
    x = x.reshape((1,) * (rank - x.ndim) + x.shape)
    for axis, n in enumerate((1,) * (rank - len(shape)) + tuple(shape)):
        if x.shape[axis] == 1:
            x = np.take(x, np.zeros(n, np.int64), axis=axis)
    return x


def expand_tolerance(_x: AnyArray, **_keywords: object) -> float:
    """0: nothing is computed."""
    return 0.0
