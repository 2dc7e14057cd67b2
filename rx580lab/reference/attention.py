"""Oracle of ``attention``: the whole matrix of scores, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "attention", "attention_tolerance"]

ORACLE = (
    "softmax(scale * q k^T + mask) v in numpy float64 (ONNX Attention, opset 23; a row without a key that counts gives "
    "zeros; error bounds after N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM 2002, "
    "section 3.1, and P. Blanchard, D. J. Higham and N. J. Higham, IMA J. Numer. Anal. 41(4), 2021, doi "
    "10.1093/imanum/draa038)"
)

_U = 2.0**-24
_TINY = 2.0**-126
# What an implementation may use: exp() within 2 units in the last place, which is 4 u.
_EXP = 4 * _U
# The shortest block of keys after which an implementation may rescale what it summed.
_BLOCK = 6

Stored = npt.NDArray[np.floating[Any]]
Wide = npt.NDArray[np.float64]


def attention(
    q: Stored,
    k: Stored,
    v: Stored,
    mask: Stored | None = None,
    *,
    scale: float | None = None,
    causal: bool = False,
    past: int = 0,
) -> Wide:
    """``q`` (B,H,T,D), ``k`` (B,G,S,D), ``v`` (B,G,S,E) -> (B,H,T,E); NaN spreads along the rows that meet it."""
    queries, keys, values = _grouped(q, k, v)
    with np.errstate(invalid="ignore", over="ignore"):
        weights = _weights(_scores(queries, keys, mask, _factor(q, scale), causal, past))
        return np.asarray(weights @ values).reshape(*q.shape[:3], v.shape[3])


def attention_tolerance(
    q: Stored,
    k: Stored,
    v: Stored,
    mask: Stored | None = None,
    *,
    scale: float | None = None,
    causal: bool = False,
    past: int = 0,
) -> Wide:
    """The bound of the online algorithm in fp32, u = 2**-24, with w the weights and n = S keys:

    * a score errs by (D + 4) u scale sum |q k|, its factor rounded into the query or later, and u |score| for the mask;
    * its difference from the running maximum rounds, and so do those of the maxima that follow, which add up to at most
      the same distance: 2 u |score - max|; exp() makes relative errors of all that, and adds 4 u;
    * what was summed before a block is rescaled after it, by a factor that errs by 4 u, and rounds: 5 u for each of at
      most n/6 + 1 blocks;
    * the sum of weights inherits their mean error, the sum of weighted values each its own; both round at most n times;
    * reciprocal (OpenCL allows 2.5 units in the last place) and product: 6 u.

    fp16 storage rounds once more. On top, n 2**-125 times the largest value, since subnormal weights may flush to 0.
    """
    queries, keys, values = _grouped(q, k, v)
    factor, n = _factor(q, scale), k.shape[2]
    with np.errstate(invalid="ignore", over="ignore"):
        scores = _scores(queries, keys, mask, factor, causal, past)
        weights = _weights(scores)
        counts = weights > 0
        top = scores.max(axis=-1, keepdims=True, initial=-math.inf)
        products = abs(factor) * (np.abs(queries) @ np.abs(keys).swapaxes(-1, -2))
        exponent = _U * ((q.shape[3] + 4) * products + np.abs(scores) + 2 * np.abs(scores - top))
        own = np.where(counts, np.expm1(np.where(counts, exponent, 0.0)), 0.0) + _EXP
        weighted = weights * own
        size = weights @ np.abs(values)
        common = (weighted.sum(axis=-1, keepdims=True) + (2 * n + 5 * (n / _BLOCK + 1) + 7) * _U) * size
        bound = weighted @ np.abs(values) + common
        bound = np.asarray(bound * (1 + 2.0**-8)).reshape(*q.shape[:3], v.shape[3])
        bound = bound + 2 * (n + 1) * _TINY * max(1.0, float(np.nanmax(np.abs(values), initial=0.0)))
    if q.dtype == np.float16:
        value = np.abs(attention(q, k, v, mask, scale=scale, causal=causal, past=past)) + bound
        bound = bound + np.maximum(value * 2.0**-11, 2.0**-25)
    return np.asarray(bound)


def _grouped(q: Stored, k: Stored, v: Stored) -> tuple[Wide, Wide, Wide]:
    """Q (B,G,H/G,T,D), k (B,G,1,S,D), v (B,G,1,S,E)."""
    b, h, t, d = q.shape
    g = k.shape[1]
    wide = q.astype(np.float64).reshape(b, g, h // g, t, d)
    return wide, k.astype(np.float64)[:, :, None], v.astype(np.float64)[:, :, None]


def _factor(q: Stored, scale: float | None) -> float:
    return float(np.float32(1 / math.sqrt(max(q.shape[3], 1)) if scale is None else scale))


def _scores(queries: Wide, keys: Wide, mask: Stored | None, factor: float, causal: bool, past: int) -> Wide:
    """(B,G,H/G,T,S); -infinity where a key is not seen."""
    scores = factor * (queries @ keys.swapaxes(-1, -2))
    b, g, shared, t, s = scores.shape
    if mask is not None:
        scores = scores + np.broadcast_to(mask.astype(np.float64), (b, g * shared, t, s)).reshape(scores.shape)
    if causal:
        scores = np.where(np.arange(s) <= np.arange(t)[:, None] + past, scores, -math.inf)
    return np.asarray(scores)


def _weights(scores: Wide) -> Wide:
    """Softmax over the last axis; zeros where all is -infinity."""
    top = scores.max(axis=-1, keepdims=True, initial=-math.inf)
    exponential = np.exp(scores - np.where(top == -math.inf, 0.0, top))
    total = exponential.sum(axis=-1, keepdims=True)
    return np.asarray(exponential / np.where(total == 0, 1.0, total))
