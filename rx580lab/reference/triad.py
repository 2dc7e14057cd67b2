"""Oracle of ``triad``: ``a + s * b`` in float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "triad", "triad_tolerance"]

ORACLE = "a + s*b in numpy float64 (STREAM triad, J. D. McCalpin, IEEE TCCA Newsletter, December 1995)"

# Half a unit in the last place of fp32, relative; and its smallest normal number, below which results may flush to 0.
_U = 2.0**-24
_TINY = 2.0**-126

Floats = npt.NDArray[np.float32]


def triad(a: Floats, b: Floats, *, s: float = 3.0) -> npt.NDArray[np.float64]:
    """``a + s * b``; ``s`` is rounded to fp32 first, as the op does."""
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, as it should be
        return np.asarray(a, np.float64) + np.float64(np.float32(s)) * np.asarray(b, np.float64)


def triad_tolerance(a: Floats, b: Floats, *, s: float = 3.0) -> npt.NDArray[np.float64]:
    """One rounding of the product and one of the sum; a fused multiply-add has only the latter."""
    product = np.abs(np.float64(np.float32(s)) * np.asarray(b, np.float64))
    with np.errstate(invalid="ignore"):
        return _U * (product + (1 + _U) * (np.abs(triad(a, b, s=s)) + _U * product)) + _TINY
