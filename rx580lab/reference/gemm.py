"""Oracle of ``gemm``: the product in float64."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rx580lab.reference.epilogue import epilogue as ended
from rx580lab.reference.epilogue import epilogue_tolerance

__all__ = ["ORACLE", "Ending", "gemm", "gemm_tolerance", "stored_tolerance"]

ORACLE = (
    "A @ B in numpy float64 (error bound after N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., "
    "SIAM 2002, section 3.5), with the epilogue's own bound on top"
)

AnyFloats = npt.NDArray[np.floating[Any]]
Floats = npt.NDArray[np.float64]

_U = 2.0**-24
_TINY = 2.0**-126


class Ending(Protocol):
    """What the oracle asks of an epilogue: an activation's name and its parameters, None for the default ones."""

    @property
    def activation(self) -> str | None:
        """As ``reference.epilogue`` names it."""

    @property
    def alpha(self) -> float | None:
        """Its first parameter."""

    @property
    def beta(self) -> float | None:
        """Its second parameter."""


def gemm(
    a: AnyFloats,
    b: AnyFloats,
    bias: AnyFloats | None = None,
    residual: AnyFloats | None = None,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    alpha: float = 1.0,
    epilogue: Ending | None = None,
    **_others: Any,
) -> Floats:
    """activation(alpha * ``a`` (..., M, K) @ ``b`` (..., K, N) + bias + residual), last axes swapped on request.

    K = 0 gives sums of 0; NaN and infinities spread as IEEE arithmetic has it. Other keywords change no value.
    """
    return ended(_scaled(a, b, transpose_a, transpose_b, alpha), bias, residual, *_ending(epilogue))


def gemm_tolerance(
    a: AnyFloats,
    b: AnyFloats,
    bias: AnyFloats | None = None,
    residual: AnyFloats | None = None,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    alpha: float = 1.0,
    epilogue: Ending | None = None,
    **_others: Any,
) -> Floats:
    """Per element: |alpha| (gamma_K + u) (|A| @ |B|), gamma_K = K u / (1 - K u), u = 2**-24; then the epilogue's.

    It holds for every order of summation, with fused multiply-adds or without, so it judges all templates alike, and
    an error beyond it cannot be rounding. The lone u is the multiplication by alpha. On top, 2K 2**-126 absolute, since
    each product and each partial sum may flush a subnormal number to 0. fp16 results round once more.
    """
    value = _scaled(a, b, transpose_a, transpose_b, alpha)
    size = _scaled(np.abs(a), np.abs(b), transpose_a, transpose_b, abs(alpha))
    depth = a.shape[-2 if transpose_a else -1]
    gamma = depth * _U / (1 - depth * _U) + (_U if alpha != 1 else 0.0)
    with np.errstate(invalid="ignore"):
        # The oracle itself rounds in float64: K 2**-53, covered by the factor.
        bound = size * gamma * (1 + 2.0**-20) + (2 * depth * max(1.0, abs(alpha)) + (alpha != 1)) * _TINY
    if bias is None and residual is None and epilogue is None:
        return stored_tolerance(value, bound, a.dtype)
    after = epilogue_tolerance(value, bound, bias, residual, *_ending(epilogue))
    return stored_tolerance(ended(value, bias, residual, *_ending(epilogue)), after, a.dtype)


def stored_tolerance(value: Floats, bound: Floats, dtype: np.dtype[Any]) -> Floats:
    """``bound`` and what rounding to ``dtype`` adds: half a unit in the last place, or of the least subnormal."""
    if dtype != np.float16:
        return bound
    with np.errstate(invalid="ignore"):
        return np.asarray(bound + 2.0**-11 * (np.abs(value) + bound) + 2.0**-25)


def _ending(epilogue: Ending | None) -> tuple[str | None, float | None, float | None]:
    return (None, None, None) if epilogue is None else (epilogue.activation, epilogue.alpha, epilogue.beta)


def _scaled(a: AnyFloats, b: AnyFloats, transpose_a: bool, transpose_b: bool, alpha: float) -> Floats:
    """The product times alpha, which a kernel gets in fp32."""
    left, right = np.asarray(a, np.float64), np.asarray(b, np.float64)
    left = np.swapaxes(left, -1, -2) if transpose_a else left
    right = np.swapaxes(right, -1, -2) if transpose_b else right
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.float64(np.float32(alpha)) * (left @ right))
