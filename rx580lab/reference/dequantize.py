"""Oracle of ``dequantize``: difference and product in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.reference.quantize import spread_out

__all__ = ["ORACLE", "dequantize", "dequantize_tolerance"]

ORACLE = (
    "ONNX DequantizeLinear (opset 21) in numpy float64; the difference of int32 wraps. Its conversion and the product "
    "round once each in fp32"
)

AnyArray = npt.NDArray[Any]


def dequantize(
    x: AnyArray,
    scale: AnyArray,
    zero_point: AnyArray | None = None,
    *,
    axis: int = 1,
    block: int = 0,
) -> AnyArray:
    """(x - zero point) * scale."""
    zeros = np.float64(0) if zero_point is None else spread_out(zero_point, x.shape, axis, block)
    difference = (x.astype(np.int64) - zeros.astype(np.int64)).astype(np.int32)
    return np.asarray(difference.astype(np.float64) * spread_out(scale, x.shape, axis, block))


def dequantize_tolerance(x: AnyArray, scale: AnyArray, zero_point: AnyArray | None = None, **keywords: Any) -> AnyArray:
    """Two roundings, u = 2**-24 each, and a subnormal product."""
    return np.abs(dequantize(x, scale, zero_point, **keywords)) * 2.0**-23 * (1 + 2.0**-20) + 2.0**-126
