"""Oracle of ``conv``: sums over windows of the padded input, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from rx580lab.reference.epilogue import epilogue, epilogue_tolerance

__all__ = ["ORACLE", "conv", "conv_tolerance", "dot_bound", "stored_bound"]

ORACLE = (
    "ONNX Conv (https://onnx.ai/onnx/operators/onnx__Conv.html) by einsum over sliding windows in numpy float64 (error "
    "bound after N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM 2002, section 3.1)"
)

AnyArray = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Lengths = Sequence[int] | None

_U = 2.0**-24
_TINY = 2.0**-126


def conv(
    x: AnyArray,
    w: AnyArray,
    bias: AnyArray | None = None,
    residual: AnyArray | None = None,
    *,
    activation: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    **window: Any,
) -> Floats:
    """``x`` (N, C, ...), ``w`` (K, C/group, ...) -> (N, K, ...), then the epilogue.

    Padding counts as zeros that are multiplied like any value: an infinite weight makes NaN of them.
    """
    value = _convolved(np.asarray(x, np.float64), np.asarray(w, np.float64), **window)
    return epilogue(value, _per_channel(bias, value), residual, activation, alpha, beta)


def conv_tolerance(
    x: AnyArray,
    w: AnyArray,
    bias: AnyArray | None = None,
    residual: AnyArray | None = None,
    *,
    activation: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    **window: Any,
) -> Floats:
    """Per element: gamma_n (|x| * |w|) with n products in each sum, passed through the epilogue and the rounding."""
    wide_x, wide_w = np.asarray(x, np.float64), np.asarray(w, np.float64)
    value = _convolved(wide_x, wide_w, **window)
    bound = dot_bound(_convolved(np.abs(wide_x), np.abs(wide_w), **window), wide_w[0].size if wide_w.size else 0)
    more = (_per_channel(bias, value), residual, activation, alpha, beta)
    return stored_bound(epilogue(value, *more), epilogue_tolerance(value, bound, *more), x.dtype)


def dot_bound(magnitude: Floats, depth: int) -> Floats:
    """gamma_depth times the sum of the products' magnitudes: holds for every order of summation, fused or not.

    On top, twice the smallest normal number per product, since products and partial sums may flush to 0.
    """
    gamma = depth * _U / (1 - depth * _U)
    with np.errstate(invalid="ignore"):
        return np.asarray(magnitude * gamma * (1 + 2.0**-20) + 2 * depth * _TINY)


def stored_bound(expected: Floats, bound: Floats, dtype: npt.DTypeLike) -> Floats:
    """``bound`` after storage: fp16 rounds once more, by half a unit of its last place, subnormal ones included."""
    if np.dtype(dtype) != np.float16:
        return bound
    with np.errstate(invalid="ignore"):
        return np.asarray(bound + 2.0**-11 * (np.abs(expected) + bound) + 2.0**-25)


def _per_channel(bias: AnyArray | None, value: Floats) -> Floats | None:
    return None if bias is None else np.asarray(bias, np.float64).reshape(-1, *[1] * (value.ndim - 2))


def _convolved(
    x: Floats,
    w: Floats,
    *,
    strides: Lengths = None,
    dilations: Lengths = None,
    pads: Lengths = None,
    group: int = 1,
) -> Floats:
    rank = x.ndim - 2
    steps, spread = strides or [1] * rank, dilations or [1] * rank
    begins, ends = (pads or [0] * 2 * rank)[:rank], (pads or [0] * 2 * rank)[rank:]
    padded = np.pad(x, [(0, 0), (0, 0), *zip(begins, ends, strict=True)])
    extents = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], spread, strict=True)]
    windows = sliding_window_view(padded, extents, axis=tuple(range(2, 2 + rank)))
    where = (slice(None), slice(None), *(slice(None, None, s) for s in steps))
    windows = windows[(*where, *(slice(None, None, d) for d in spread))]
    out, kernel = "ijk"[:rank], "rst"[:rank]
    each_c, each_k = w.shape[1], w.shape[0] // group
    parts = []
    with np.errstate(invalid="ignore", over="ignore"):
        for g in range(group):
            part_x, part_w = windows[:, g * each_c : (g + 1) * each_c], w[g * each_k : (g + 1) * each_k]
            parts.append(np.einsum(f"nc{out}{kernel},mc{kernel}->nm{out}", part_x, part_w, optimize=True))
    return np.concatenate(parts, axis=1)
