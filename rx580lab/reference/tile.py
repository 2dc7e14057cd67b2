"""Oracle of ``tile``: each axis taken at its indices modulo its length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "tile", "tile_tolerance"]

ORACLE = "ONNX Tile: out[i] = x[i mod length] along every axis, by numpy indices, bit for bit"

AnyArray = npt.NDArray[np.generic]


def tile(x: AnyArray, *, repeats: tuple[int, ...]) -> AnyArray:
    """``x`` repeated ``repeats[k]`` times along axis k."""
    for axis, many in enumerate(repeats):
        n = x.shape[axis]
        x = np.take(x, np.arange(n * many, dtype=np.int64) % max(n, 1), axis=axis)
    return x


def tile_tolerance(_x: AnyArray, **_keywords: object) -> float:
    """0: nothing is computed."""
    return 0.0
