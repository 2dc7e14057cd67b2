"""Oracle of ``fma_peak``: the closed form of n steps of ``v -> v * m + c``, in float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "fma_peak", "fma_peak_tolerance"]

ORACLE = "m**n * x + c * (1 - m**n) / (1 - m) in numpy float64: the geometric series of n multiply-adds"

_U = 2.0**-24


def fma_peak(x: npt.NDArray[np.float32], *, n_steps: int = 1024) -> npt.NDArray[np.float64]:
    """``x`` after ``n_steps`` steps with m = fp32(1 - 1/(n_steps+1)) and c = fp32(0.5/(n_steps+1))."""
    factor, addend = _constants(n_steps)
    power = factor**n_steps
    series = n_steps if factor == 1.0 else (1.0 - power) / (1.0 - factor)
    return np.asarray(power * np.asarray(x, np.float64) + addend * series)


def fma_peak_tolerance(x: npt.NDArray[np.float32], *, n_steps: int = 1024) -> npt.NDArray[np.float64]:
    """Each step rounds a product and a sum, both at most as large as the larger of |x| and 0.5; |m| <= 1 keeps errors
    from growing. So at most 2 u * n_steps * max(|x|, 0.5), with u = 2**-24.
    """
    largest = np.maximum(np.abs(np.asarray(x, np.float64)), 0.5)
    return np.asarray(2.0 * _U * n_steps * largest * (1.0 + 2.0 * _U * n_steps))


def _constants(n_steps: int) -> tuple[float, float]:
    return float(np.float32(1 - 1 / (n_steps + 1))), float(np.float32(0.5 / (n_steps + 1)))
