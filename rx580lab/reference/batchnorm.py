"""Oracle of ``batchnorm``: the formula in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.reference.epilogue import epilogue, epilogue_tolerance

__all__ = ["ORACLE", "batchnorm", "batchnorm_tolerance"]

ORACLE = (
    "ONNX BatchNormalization, training_mode 0, in numpy float64 (error bound after N. J. Higham, Accuracy and "
    "Stability of Numerical Algorithms, 2nd ed., SIAM 2002, section 3.1)"
)

_U = 2.0**-24
_TINY = 2.0**-126

Stored = npt.NDArray[np.floating[Any]]
Wide = npt.NDArray[np.float64]


def batchnorm(
    x: Stored,
    scale: Stored,
    bias: Stored,
    mean: Stored,
    variance: Stored,
    *,
    epsilon: float = 1e-5,
    activation: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
) -> Wide:
    """activation((x - mean) / sqrt(variance + epsilon) * scale + bias), channels along axis 1."""
    product, shift = _product(x, scale, bias, mean, variance, epsilon)
    return epilogue(product, shift, None, activation, alpha, beta)


def batchnorm_tolerance(
    x: Stored,
    scale: Stored,
    bias: Stored,
    mean: Stored,
    variance: Stored,
    *,
    epsilon: float = 1e-5,
    activation: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
) -> Wide:
    """The bound in fp32, u = 2**-24, to first order.

    The difference and the product round, u each; variance + epsilon rounds, and its root halves that; the root and the
    quotient may err by 6 u and 5 u (OpenCL allows 3 and 2.5 units in the last place); so 13 u relative to the product.
    Then the epilogue's bound, and for fp16 storage 2**-11 relative or 2**-25.
    """
    product, shift = _product(x, scale, bias, mean, variance, epsilon)
    with np.errstate(invalid="ignore"):
        before = 13.5 * _U * np.abs(product) * (1 + 2.0**-10) + 4 * _TINY
    bound = epilogue_tolerance(product, before, shift, None, activation, alpha, beta)
    if x.dtype == np.float16:
        value = np.abs(epilogue(product, shift, None, activation, alpha, beta)) + bound
        bound = bound + np.maximum(value * 2.0**-11, 2.0**-25)
    return bound


def _product(
    x: Stored, scale: Stored, bias: Stored, mean: Stored, variance: Stored, epsilon: float
) -> tuple[Wide, Wide]:
    """What the bias is added to, and the bias, both ready to broadcast."""
    along = (1, x.shape[1], *(1,) * (x.ndim - 2))
    factor, shift, middle, spread = (one.astype(np.float64).reshape(along) for one in (scale, bias, mean, variance))
    with np.errstate(invalid="ignore", divide="ignore"):
        root = np.sqrt(spread + float(np.float32(epsilon)))
        return np.asarray((x.astype(np.float64) - middle) * (factor / root)), shift
