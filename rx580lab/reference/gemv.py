"""Oracle of ``gemv``: every product of a row with a vector, summed in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.reference.epilogue import epilogue as ended
from rx580lab.reference.gemm import Ending, gemm_tolerance

__all__ = ["ORACLE", "gemv", "gemv_tolerance"]

ORACLE = "sums of w[n, k] * x[..., k] over k in numpy float64 (error bound: that of gemm, after Higham, section 3.5)"

AnyFloats = npt.NDArray[np.floating[Any]]
Floats = npt.NDArray[np.float64]


def gemv(
    w: AnyFloats,
    x: AnyFloats,
    bias: AnyFloats | None = None,
    residual: AnyFloats | None = None,
    *,
    alpha: float = 1.0,
    epilogue: Ending | None = None,
) -> Floats:
    """activation(alpha * ``w`` (N, K) @ ``x`` (..., K) + bias + residual) -> (..., N); K = 0 gives sums of 0."""
    with np.errstate(invalid="ignore", over="ignore"):
        sums = np.einsum("nk,...k->...n", np.asarray(w, np.float64), np.asarray(x, np.float64))
        value = np.float64(np.float32(alpha)) * sums
    if epilogue is None:
        return ended(value, bias, residual)
    return ended(value, bias, residual, epilogue.activation, epilogue.alpha, epilogue.beta)


def gemv_tolerance(
    w: AnyFloats,
    x: AnyFloats,
    bias: AnyFloats | None = None,
    residual: AnyFloats | None = None,
    *,
    alpha: float = 1.0,
    epilogue: Ending | None = None,
) -> Floats:
    """Per element, that of the same product by ``gemm``; results in fp16 round once more."""
    rows = x[..., None, :]
    more = None if residual is None else residual[..., None, :]
    bound = gemm_tolerance(rows, w, bias, more, transpose_b=True, alpha=alpha, epilogue=epilogue)
    return np.asarray(bound[..., 0, :])
