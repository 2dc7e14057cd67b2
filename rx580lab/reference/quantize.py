"""Oracle of ``quantize``: the quotient in float64, rounded to the nearest even and saturated."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "quantize", "quantize_tolerance", "spread_out"]

ORACLE = (
    "ONNX QuantizeLinear (opset 21) in numpy float64: equal, but for 1 where the quotient lies within 3 units in the "
    "last place of fp32, which OpenCL allows a division, of the middle between two integers"
)

AnyArray = npt.NDArray[Any]


def quantize(
    x: AnyArray,
    scale: AnyArray,
    zero_point: AnyArray | None = None,
    *,
    dtype: npt.DTypeLike | None = None,
    axis: int = 1,
    block: int = 0,
) -> AnyArray:
    """``x`` -> the bytes nearest to ``x / scale + zero_point``; NaN the least."""
    if zero_point is not None:
        dtype = zero_point.dtype
    kind = np.dtype(np.uint8 if dtype is None else dtype)
    limits = np.iinfo(kind)
    zeros = 0.0 if zero_point is None else spread_out(zero_point, x.shape, axis, block)
    whole = np.rint(_quotient(x, scale, axis, block)) + zeros
    bytes_of = np.clip(np.where(np.isnan(whole), limits.min, whole), limits.min, limits.max)
    return np.asarray(bytes_of.astype(kind))


def quantize_tolerance(
    x: AnyArray,
    scale: AnyArray,
    _zero_point: AnyArray | None = None,
    *,
    axis: int = 1,
    block: int = 0,
    **_dtype: Any,
) -> AnyArray:
    """1 where the fp32 quotient may fall on the other side of a tie, 0 elsewhere."""
    quotient = _quotient(x, scale, axis, block)
    finite = np.where(np.isfinite(quotient), quotient, 0.0)
    from_tie = np.abs(np.abs(finite - np.floor(finite)) - 0.5)
    return np.asarray((from_tie <= 3 * 2.0**-23 * np.abs(finite) + 2.0**-126).astype(np.float64))


def _quotient(x: AnyArray, scale: AnyArray, axis: int, block: int) -> AnyArray:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.asarray(x.astype(np.float64) / spread_out(scale, x.shape, axis, block))


def spread_out(values: AnyArray, shape: tuple[int, ...], axis: int, block: int) -> AnyArray:
    """Parameters as float64, ready to broadcast against an array of ``shape``."""
    wide = values.astype(np.float64)
    if wide.size == 1 and wide.ndim <= 1:
        return wide.reshape(())
    if not block:
        along = [1] * len(shape)
        along[axis] = shape[axis]
        return wide.reshape(along)
    repeated = np.repeat(wide, block, axis)
    return np.take(repeated, np.arange(shape[axis]), axis)
