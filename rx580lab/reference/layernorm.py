"""Oracle of ``layernorm``: moments of each row in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "layernorm", "layernorm_tolerance"]

ORACLE = (
    "ONNX LayerNormalization in numpy float64 (error bound after N. J. Higham, Accuracy and Stability of Numerical "
    "Algorithms, 2nd ed., SIAM 2002, sections 1.9 and 4.2)"
)

_U = 2.0**-24
_TINY = 2.0**-126

Stored = npt.NDArray[np.floating[Any]]
Wide = npt.NDArray[np.float64]


def layernorm(x: Stored, scale: Stored, bias: Stored | None = None, *, axis: int = -1, epsilon: float = 1e-5) -> Wide:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias over ``axis`` and all after it; NaN and infinity spread."""
    rows, factor, shift, small = _wide(x, scale, bias, axis, epsilon)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = rows - rows.mean(axis=1, keepdims=True) if rows.size else rows
        root = np.sqrt((apart**2).mean(axis=1, keepdims=True) + small) if rows.size else rows
        return np.asarray(apart / root * factor + shift).reshape(x.shape) if rows.size else rows.reshape(x.shape)


def layernorm_tolerance(
    x: Stored, scale: Stored, bias: Stored | None = None, *, axis: int = -1, epsilon: float = 1e-5
) -> Wide:
    """The bound of the corrected two-pass algorithm in fp32, u = 2**-24, with d = x - mean, per element:

    * a sum of C terms rounds at most n = 64 + C/32 times on the way to any term's total: g = (n + 3) u, its
      product by the rounded 1/C included;
    * the first mean m errs by a = g mean|x|, so |x - m| <= |d| + a; differences round by u;
    * the rest of the mean, the mean of x - m, errs by b = (g + u) (mean|d| + a);
    * the variance, mean (x - m)^2 - rest^2, errs by v = (g + 4u) (variance + a^2) + 2 (a + b) b + 4u (a + b)^2;
    * 1 / sqrt() turns that into the relative error 1 / sqrt(1 - v / (variance + epsilon)) - 1, and rounds by at most
      12 u itself (OpenCL allows 3 units in the last place for the root, 2.5 for the quotient);
    * d then errs by u (|d| + a) + b + u |d|, and two products and the sum round.

    A mean that is large beside the spread enters only by a and b, times u: the bound proves that nothing cancels.
    fp16 storage rounds once more, by 2**-11 relative or 2**-25. On top, 2**-124 absolute for flushed subnormals.
    """
    rows, factor, shift, small = _wide(x, scale, bias, axis, epsilon)
    if rows.size == 0:
        return rows.reshape(x.shape)
    g = (67 + rows.shape[1] / 32) * _U

    def mean(values: Wide) -> Wide:
        return np.asarray(values.mean(axis=1, keepdims=True))

    with np.errstate(invalid="ignore", divide="ignore"):
        d = rows - mean(rows)
        variance = mean(d**2)
        a = g * mean(np.abs(rows))
        b = (g + _U) * (mean(np.abs(d)) + a)
        v = (g + 4 * _U) * (variance + a**2) + 2 * (a + b) * b + 4 * _U * (a + b) ** 2
        share = np.minimum(v / (variance + small), 1.0)
        relative = 1 / np.sqrt(1 - share) - 1 + 14 * _U
        root = 1 / np.sqrt(variance + small) * np.abs(factor)
        result = d * root
        error = (2 * _U * np.abs(d) + _U * a + b) * root * (1 + relative) + np.abs(result) * relative
        value = np.abs(result) + np.abs(shift)
        error = error + 2 * _U * value
        return np.asarray((error + _stored_error(x.dtype, value + error)) * (1 + 2.0**-10) + 4 * _TINY).reshape(x.shape)


def _stored_error(dtype: np.dtype[Any], value: Wide) -> Wide:
    """What rounding to the stored type adds."""
    return np.maximum(value * 2.0**-11, 2.0**-25) if dtype == np.float16 else np.zeros_like(value)


def _wide(x: Stored, scale: Stored, bias: Stored | None, axis: int, epsilon: float) -> tuple[Wide, Wide, Wide, float]:
    """Rows (R, C), scale (C), bias (C) in float64, and epsilon as fp32 has it."""
    first = axis % x.ndim
    shape = math.prod(x.shape[:first]), math.prod(x.shape[first:])
    factor = scale.astype(np.float64).reshape(-1)
    shift = np.zeros_like(factor) if bias is None else bias.astype(np.float64).reshape(-1)
    return x.astype(np.float64).reshape(shape), factor, shift, float(np.float32(epsilon))
