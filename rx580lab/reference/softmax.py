"""Oracle of ``softmax``: shifted exponentials over their sum, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "softmax", "softmax_tolerance"]

ORACLE = (
    "exp(x - max) / sum over the axis in numpy float64 (error bounds after P. Blanchard, D. J. Higham and "
    "N. J. Higham, IMA J. Numer. Anal. 41(4), 2021, doi 10.1093/imanum/draa038)"
)

Stored = npt.NDArray[np.floating[Any]]

_U = 2.0**-24
_TINY = 2.0**-126
# What an implementation may use: exp() within 2 units in the last place, which is 4 u.
_EXP = 4 * _U


def softmax(x: Stored, *, axis: int = -1) -> npt.NDArray[np.float64]:
    """Softmax over ``axis``. A row with NaN or +infinity, or with -infinity alone, becomes NaN throughout."""
    wide = np.asarray(x, np.float64)
    if wide.size == 0:
        return wide
    with np.errstate(invalid="ignore"):
        exponential = np.exp(wide - wide.max(axis=axis, keepdims=True))
        return np.asarray(exponential / exponential.sum(axis=axis, keepdims=True))


def softmax_tolerance(x: Stored, *, axis: int = -1) -> npt.NDArray[np.float64]:
    """The bound of the shifted algorithm in fp32, u = 2**-24, to first order, relative to each result:

    * x - max rounds: u |x - max|, and exp turns that into a relative error; exp itself: 4 u. Twice and one product
      more where an implementation multiplies exp(x - m) by exp(m - max), with m the maximum of a part of the row;
    * the sum inherits the mean of both over its terms, and rounds at most 64 + C/64 times on the way to any term's
      total (an implementation must add up in blocks or in parallel: one chain of C additions may exceed it);
    * reciprocal (OpenCL allows 2.5 units in the last place) and product: 6 u.

    fp16 storage rounds once more, by 2**-11 relative or 2**-25. On top, 2**-125 absolute, since subnormal numbers may
    flush to 0.
    """
    wide = np.asarray(x, np.float64)
    if wide.size == 0:
        return wide
    with np.errstate(invalid="ignore"):
        distance = np.abs(wide - wide.max(axis=axis, keepdims=True))
        probability = softmax(x, axis=axis)
        terms = np.where(probability > 0, probability * distance, 0.0)
        inherited = _U * terms.sum(axis=axis, keepdims=True) + 2 * _EXP + _U
        summing = _U * (64 + wide.shape[axis] / 64)
        relative = _U * np.where(probability > 0, distance, 0.0) + 2 * _EXP + _U + inherited + summing + 6 * _U
        bound = probability * relative * (1 + 2.0**-10) + 2 * _TINY
        if x.dtype == np.float16:
            bound = bound + np.maximum((probability + bound) * 2.0**-11, 2.0**-25)
        return np.asarray(bound)
