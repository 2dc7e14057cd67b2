"""Oracle of ``gemm``: the product in float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "gemm", "gemm_tolerance"]

ORACLE = (
    "A @ B in numpy float64 (error bound after N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., "
    "SIAM 2002, section 3.5)"
)

_U = 2.0**-24
_TINY = 2.0**-126


def gemm(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """``a`` (M, K) @ ``b`` (K, N) -> (M, N). K = 0 gives zeros; NaN and infinities spread as IEEE arithmetic has it."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.asarray(a, np.float64) @ np.asarray(b, np.float64))


def gemm_tolerance(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Per element: gamma_K (|A| @ |B|), with gamma_K = K u / (1 - K u) and u = 2**-24.

    It holds for every order of summation, with fused multiply-adds or without, so it judges all templates alike, and
    an error beyond it cannot be rounding. On top, 2K 2**-126 absolute, since each product and each partial sum may
    flush a subnormal number to 0.
    """
    wide_a, wide_b = np.abs(np.asarray(a, np.float64)), np.abs(np.asarray(b, np.float64))
    depth = wide_a.shape[-1]
    gamma = depth * _U / (1 - depth * _U)
    with np.errstate(invalid="ignore"):
        # The oracle itself rounds in float64: K 2**-53, covered by the factor.
        return np.asarray((wide_a @ wide_b) * gamma * (1 + 2.0**-20) + 2 * depth * _TINY)
