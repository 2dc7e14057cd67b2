"""Oracle of ``dynamic_quantize``: the definition in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "dynamic_quantize", "dynamic_quantize_tolerance"]

ORACLE = (
    "ONNX DynamicQuantizeLinear (opset 11) in numpy float64: scale and zero point equal but for fp32's error, bytes "
    "equal but for 1 where that error moves a quotient across the middle between two integers"
)

AnyArray = npt.NDArray[Any]


def dynamic_quantize(x: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
    """``x`` -> bytes, scale, zero point."""
    wide, scale, zero = _parts(x)
    with np.errstate(invalid="ignore"):
        whole = np.rint(wide / scale) + np.rint(zero)
    found = np.clip(np.where(np.isnan(whole), 0, whole), 0, 255).astype(np.uint8)
    return found, np.array(scale, np.float32), np.rint(np.float64(zero)).astype(np.uint8).reshape(())


def dynamic_quantize_tolerance(x: AnyArray) -> tuple[AnyArray, float, AnyArray]:
    """The range, the step and a quotient each round in fp32, a division to 3 units in the last place: 12 u in all."""
    wide, scale, zero = _parts(x)
    u = 2.0**-24
    quotient = np.where(np.isfinite(wide), wide, 0) / scale
    near = 12 * u * np.abs(quotient) + 2.0**-126
    moved = _near_tie(np.asarray(zero), 12 * u * zero + 2.0**-126)
    return _near_tie(quotient, near) + moved, 8 * u * float(scale) + 2.0**-126, moved


def _parts(x: AnyArray) -> tuple[AnyArray, Any, Any]:
    wide = x.astype(np.float64)
    low, high = min(0.0, float(np.fmin.reduce(wide, None))), max(0.0, float(np.fmax.reduce(wide, None)))
    low, high = np.nan_to_num(low, nan=0.0), np.nan_to_num(high, nan=0.0)
    scale = (high - low if high != low else 1.0) / 255
    return wide, scale, min(-low / scale, 255.0)


def _near_tie(values: AnyArray, bound: Any) -> AnyArray:
    return np.asarray((np.abs(np.abs(values - np.floor(values)) - 0.5) <= bound).astype(np.float64))
