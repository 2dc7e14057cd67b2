"""Oracle of ``pad``: each axis cropped, then taken at indices by a formula of its mode."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "pad", "pad_tolerance"]

ORACLE = "ONNX Pad (opset 19), margins as numpy.pad defines them: per axis the indices by formula, bit for bit"

AnyArray = npt.NDArray[np.generic]


def pad(
    x: AnyArray,
    *,
    pads: tuple[int, ...],
    mode: str = "constant",
    constant_value: float | bool = 0,
    axes: tuple[int, ...] | None = None,
) -> AnyArray:
    """``x`` with margins; negative ones crop first."""
    along = tuple(range(x.ndim)) if axes is None else axes
    for axis, front, behind in zip(along, pads[: len(along)], pads[len(along) :], strict=True):
        cropped = np.arange(max(-front, 0), x.shape[axis] - max(-behind, 0), dtype=np.int64)
        x = np.take(x, cropped, axis=axis)
        n = len(cropped)
        place = np.arange(-max(front, 0), n + max(behind, 0), dtype=np.int64)
        there = np.zeros_like(place) if n == 0 else _there(place, n, mode)
        taken = np.take(np.zeros((*x.shape[:axis], 1, *x.shape[axis:][1:]), x.dtype) if n == 0 else x, there, axis=axis)
        if mode == "constant":
            np.moveaxis(taken, axis, 0)[(place < 0) | (place >= n)] = np.array(constant_value).astype(x.dtype)
        x = taken
    return x


def _there(place: npt.NDArray[np.int64], n: int, mode: str) -> npt.NDArray[np.int64]:
    if mode == "reflect":  # a triangle wave between 0 and n - 1
        period = max(2 * (n - 1), 1)
        return np.asarray(n - 1 - np.abs(place % period - (n - 1)) if n > 1 else place * 0, np.int64)
    return place % n if mode == "wrap" else np.clip(place, 0, n - 1)


def pad_tolerance(_x: AnyArray, **_keywords: object) -> float:
    """0: nothing is computed."""
    return 0.0
