"""Oracle of ``copy``: the input itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "copy", "copy_tolerance"]

ORACLE = "the input itself, bit for bit"


def copy(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """``x`` in float64, which holds every fp32 value."""
    return np.asarray(x).astype(np.float64)


def copy_tolerance(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """0: nothing is computed."""
    return np.zeros(np.asarray(x).shape)
