"""Oracle of ``gemm_i8_i8``: the product in int64, its scaling in fp32 as the op defines it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "gemm_i8_i8", "gemm_i8_i8_tolerance", "requantized"]

ORACLE = (
    "(A - zero points) @ (B - zero points) + bias in numpy int64, wrapped to int32, scaled and rounded as ONNX "
    "MatMulInteger and QLinearMatMul define it (opset 10): equal, bit for bit"
)

AnyArray = npt.NDArray[Any]


def gemm_i8_i8(
    a: AnyArray,
    b: AnyArray,
    a_zero_point: AnyArray | None = None,
    b_zero_point: AnyArray | None = None,
    bias: AnyArray | None = None,
    scale: AnyArray | None = None,
    row_scale: AnyArray | None = None,
    *,
    dtype: npt.DTypeLike = np.int32,
    out_zero_point: int = 0,
) -> AnyArray:
    """``a`` (..., M, K), ``b`` (K, N), zero points of rows and columns -> (..., M, N) of ``dtype``."""
    left = a.astype(np.int64) - _of_rows(a_zero_point, np.int64(0))
    right = b.astype(np.int64) - (0 if b_zero_point is None else b_zero_point.astype(np.int64))
    sums = left @ right + (0 if bias is None else bias.astype(np.int64))
    factor = _of_rows(row_scale, np.float32(1)) * (np.float32(1) if scale is None else scale)
    return requantized(sums, factor, dtype, out_zero_point)


def requantized(sums: AnyArray, factor: Any, dtype: npt.DTypeLike, zero_point: int) -> AnyArray:
    """int64 sums -> ``dtype``: wrapped to int32; fp32(sum) * factor in fp32; or that, rounded to even and saturated."""
    kind = np.dtype(dtype)
    wrapped = sums.astype(np.int32)
    if kind == np.int32:
        return wrapped
    scaled = wrapped.astype(np.float32) * np.asarray(factor, np.float32)
    if kind == np.float32:
        return scaled
    limits = np.iinfo(kind)
    return np.asarray(np.clip(np.rint(scaled.astype(np.float64)) + zero_point, limits.min, limits.max).astype(kind))


def gemm_i8_i8_tolerance(*_arrays: AnyArray | None, **_keywords: Any) -> float:
    """None: integers are exact, and each fp32 operation of the scaling is rounded once."""
    return 0.0


def _of_rows(values: AnyArray | None, default: Any) -> Any:
    """One value for all rows, or one for each row as a column."""
    if values is None:
        return default
    wide = values.astype(np.asarray(default).dtype)
    return wide.reshape(()) if wide.size == 1 else wide[:, None]
