"""Oracle of ``rmsnorm``: the root mean square of each row in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "rmsnorm", "rmsnorm_tolerance"]

ORACLE = (
    "ONNX RMSNormalization in numpy float64 (error bound after N. J. Higham, Accuracy and Stability of Numerical "
    "Algorithms, 2nd ed., SIAM 2002, section 4.2)"
)

_U = 2.0**-24
_TINY = 2.0**-126

Stored = npt.NDArray[np.floating[Any]]
Wide = npt.NDArray[np.float64]


def rmsnorm(
    x: Stored, scale: Stored, residual: Stored | None = None, *, axis: int = -1, epsilon: float = 1e-5
) -> Wide | tuple[Wide, Wide]:
    """V / sqrt(mean(v^2) + epsilon) * scale with v = x, or (that, v) with v = x + residual."""
    rows, factor = _wide(x, scale, residual, axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        root = _root(rows, epsilon)
        norm = np.asarray(rows / root * factor).reshape(x.shape)
    return norm if residual is None else (norm, rows.reshape(x.shape))


def rmsnorm_tolerance(
    x: Stored, scale: Stored, residual: Stored | None = None, *, axis: int = -1, epsilon: float = 1e-5
) -> Wide | tuple[Wide, Wide]:
    """The bound in fp32, u = 2**-24, to first order, relative to each result:

    * a sum of C squares rounds at most 64 + C/32 times on the way to any term's total, and each square and the quotient
      once; all terms are positive, so the sum errs relatively by that, and its root by half;
    * the root and its reciprocal: 12 u (OpenCL allows 3 and 2.5 units in the last place); two products: 2 u;
    * with a residual, v is rounded as stored, by w = 2**-24 or 2**-11 relative (2**-25 absolute for fp16 below its
      normal numbers): w for the value and w for the mean. That rounding is also the bound of the second output.

    fp16 storage rounds the result once more. On top, 2**-124 absolute for flushed subnormals.
    """
    rows, factor = _wide(x, scale, residual, axis)
    half = x.dtype == np.float16
    with np.errstate(invalid="ignore", divide="ignore"):
        root = _root(rows, epsilon)
        value = np.abs(rows / root * factor)
        relative = (66 + rows.shape[1] / 32) / 2 * _U + 14 * _U
        rounding = _rounding(rows, half)
        error = value * relative + _TINY / root * np.abs(factor)
        if residual is not None:
            spread = (rounding**2).mean(axis=1, keepdims=True) ** 0.5 / root if rows.size else rows
            error = error + rounding / root * np.abs(factor) + value * spread
        error = error + (_rounding(value + error, half) if half else 0.0)
        bound = np.asarray(error * (1 + 2.0**-8) + 4 * _TINY).reshape(x.shape)
    return bound if residual is None else (bound, np.asarray(rounding * (1 + 2.0**-10) + _TINY).reshape(x.shape))


def _rounding(values: Wide, half: bool) -> Wide:
    """At most what storing ``values`` rounds off; a sum of two halves is rounded to fp32 before."""
    return np.maximum(np.abs(values) * (2.0**-11 + _U), 2.0**-25) if half else np.abs(values) * _U


def _root(rows: Wide, epsilon: float) -> Wide:
    return (
        np.asarray(np.sqrt((rows**2).mean(axis=1, keepdims=True) + float(np.float32(epsilon)))) if rows.size else rows
    )


def _wide(x: Stored, scale: Stored, residual: Stored | None, axis: int) -> tuple[Wide, Wide]:
    """Rows (R, C) of x, or of x + residual, and scale (C) in float64."""
    first = axis % x.ndim
    rows = x.astype(np.float64) if residual is None else x.astype(np.float64) + residual.astype(np.float64)
    return rows.reshape(math.prod(x.shape[:first]), math.prod(x.shape[first:])), scale.astype(np.float64).reshape(-1)
