"""Oracle of ``conv_i8_i8``: sums of products in int64, tap by tap, then the scaling of ``gemm_i8_i8``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.reference.gemm_i8_i8 import requantized

__all__ = ["ORACLE", "conv_i8_i8", "conv_i8_i8_tolerance"]

ORACLE = (
    "the sum over the window's taps of (x - zero point) * (w - zero point) in numpy int64, padding without weight, "
    "wrapped to int32, scaled and rounded as ONNX ConvInteger and QLinearConv define it (opset 10): equal, bit for bit"
)

AnyArray = npt.NDArray[Any]
Lengths = Sequence[int] | None


def conv_i8_i8(
    x: AnyArray,
    w: AnyArray,
    x_zero_point: AnyArray | None = None,
    w_zero_point: AnyArray | None = None,
    bias: AnyArray | None = None,
    scale: AnyArray | None = None,
    *,
    strides: Lengths = None,
    dilations: Lengths = None,
    pads: Lengths = None,
    group: int = 1,
    dtype: npt.DTypeLike = np.int32,
    out_zero_point: int = 0,
) -> AnyArray:
    """``x`` (N, C, ...), ``w`` (K, C/group, ...) -> (N, K, ...) of ``dtype``."""
    rank = x.ndim - 2
    steps, spread, padding = (strides or (1,) * rank), (dilations or (1,) * rank), (pads or (0,) * (2 * rank))
    values = x.astype(np.int64) - (0 if x_zero_point is None else int(x_zero_point.reshape(())))
    weights = w.astype(np.int64) - _per_filter(w_zero_point, 0, w.ndim)
    values = np.pad(values, [(0, 0), (0, 0), *zip(padding[:rank], padding[rank:], strict=True)])
    kernel = w.shape[2:]
    out = [(n - (k - 1) * d - 1) // s + 1 for n, k, d, s in zip(values.shape[2:], kernel, spread, steps, strict=True)]
    values = values.reshape(x.shape[0], group, w.shape[1], *values.shape[2:])
    weights = weights.reshape(group, w.shape[0] // group, *w.shape[1:])
    sums = np.zeros((x.shape[0], group, w.shape[0] // group, *out), np.int64)
    for tap in product(*map(range, kernel)):
        window: Any = (
            ...,
            *(slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, n, s in zip(tap, spread, out, steps, strict=True)),
        )
        of_tap: Any = (..., *tap)
        sums += np.einsum("ngc...,gkc->ngk...", values[window], weights[of_tap])
    sums = sums.reshape(x.shape[0], w.shape[0], *out) + _per_filter(bias, 0, x.ndim, axis=1)
    factor = np.float32(1) if scale is None else _per_filter(scale, 1, x.ndim, axis=1)
    return requantized(sums, factor, dtype, out_zero_point)


def conv_i8_i8_tolerance(*_arrays: AnyArray | None, **_keywords: Any) -> float:
    """None: integers are exact, and each fp32 operation of the scaling is rounded once."""
    return 0.0


def _per_filter(values: AnyArray | None, default: int, ndim: int, axis: int = 0) -> Any:
    """One value for all filters, or one for each along ``axis`` of an array of ``ndim`` axes."""
    if values is None:
        return default
    wide = values if values.dtype.kind == "f" else values.astype(np.int64)
    return wide.reshape(()) if wide.size == 1 else wide.reshape([-1 if place == axis else 1 for place in range(ndim)])
