"""Oracle of ``conv_transpose``: every input scattered through the kernel, in float64."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.reference.conv import dot_bound, stored_bound
from rx580lab.reference.epilogue import epilogue, epilogue_tolerance

__all__ = ["ORACLE", "conv_transpose", "conv_transpose_tolerance"]

ORACLE = (
    "ONNX ConvTranspose (https://onnx.ai/onnx/operators/onnx__ConvTranspose.html) by scattering in numpy float64 "
    "(error bound after N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM 2002, section 3.1)"
)

AnyArray = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Lengths = Sequence[int] | None


def conv_transpose(
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
    """``x`` (N, C, ...), ``w`` (C, K/group, ...) -> (N, K, ...), then the epilogue.

    Inputs beyond the edges count as zeros that are multiplied like any value: an infinite weight makes NaN of them.
    """
    value = _scattered(np.asarray(x, np.float64), np.asarray(w, np.float64), **window)
    return epilogue(value, _per_channel(bias, value), residual, activation, alpha, beta)


def conv_transpose_tolerance(
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
    """Per element: gamma_n (|x| * |w|), n the most products of a sum, passed through the epilogue and the rounding."""
    wide_x, wide_w = np.asarray(x, np.float64), np.asarray(w, np.float64)
    value = _scattered(wide_x, wide_w, **window)
    depth = wide_w[:, :1].size // window.get("group", 1)
    bound = dot_bound(_scattered(np.abs(wide_x), np.abs(wide_w), **window), depth)
    more = (_per_channel(bias, value), residual, activation, alpha, beta)
    return stored_bound(epilogue(value, *more), epilogue_tolerance(value, bound, *more), x.dtype)


def _per_channel(bias: AnyArray | None, value: Floats) -> Floats | None:
    return None if bias is None else np.asarray(bias, np.float64).reshape(-1, *[1] * (value.ndim - 2))


def _scattered(
    x: Floats,
    w: Floats,
    *,
    strides: Lengths = None,
    dilations: Lengths = None,
    pads: Lengths = None,
    output_padding: Lengths = None,
    group: int = 1,
) -> Floats:
    rank, kernel = x.ndim - 2, w.shape[2:]
    steps, spread, extra = strides or [1] * rank, dilations or [1] * rank, output_padding or [0] * rank
    begins, ends = (pads or [0] * 2 * rank)[:rank], (pads or [0] * 2 * rank)[rank:]
    reach = [(kernel[i] - 1) * spread[i] for i in range(rank)]
    lengths = [steps[i] * (x.shape[2 + i] - 1) + extra[i] + reach[i] + 1 - begins[i] - ends[i] for i in range(rank)]
    # Zeros around x, so many that each element of out is met by every position that could meet it.
    around = [(reach[i] + begins[i] + ends[i] + extra[i]) // steps[i] + 1 for i in range(rank)]
    padded = np.pad(x, [(0, 0), (0, 0), *((n, n) for n in around)])
    spans = [steps[i] * (padded.shape[2 + i] - 1) + reach[i] + 1 for i in range(rank)]
    each_c, each_k = x.shape[1] // group, w.shape[1]
    full = np.zeros((x.shape[0], each_k * group, *spans))
    with np.errstate(invalid="ignore", over="ignore"):
        for g, tap in itertools.product(range(group), itertools.product(*map(range, kernel))):
            channels = slice(g * each_c, (g + 1) * each_c)
            place: tuple[Any, ...] = (channels, slice(None), *tap)
            part = np.einsum("nc...,ck->nk...", padded[:, channels], w[place])
            ranges = [
                slice(tap[i] * spread[i], tap[i] * spread[i] + steps[i] * (padded.shape[2 + i] - 1) + 1, steps[i])
                for i in range(rank)
            ]
            full[(slice(None), slice(g * each_k, (g + 1) * each_k), *ranges)] += part
    inner = [
        slice(around[i] * steps[i] + begins[i], around[i] * steps[i] + begins[i] + lengths[i]) for i in range(rank)
    ]
    return full[(slice(None), slice(None), *inner)]
