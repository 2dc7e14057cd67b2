"""Oracle of what fused ops do at their end: activation(value + bias + residual), in float64, and how errors pass it.

Its own formulas; the definitions are those of the ONNX operators of these names (https://onnx.ai/onnx/operators/),
with each function's limit at an infinity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["activated", "activation_error", "activation_slope", "epilogue", "epilogue_tolerance", "erf"]

Floats = npt.NDArray[np.float64]
AnyFloats = npt.NDArray[np.floating[Any]]

_U = 2.0**-24
_TINY = 2.0**-126
# The flush of an exponential below 2**-126 may cost a factor of |x| as much.
_FAR = 256.0
_ERF = np.frompyfunc(math.erf, 1, 1)


def erf(x: Floats) -> Floats:
    """The error function, value by value."""
    return np.asarray(_ERF(x), np.float64)


def _sigmoid(x: Floats) -> Floats:
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, e, 1.0) / (1 + e))


def _gated(x: Floats, gate: Floats) -> Floats:
    """The product, but 0 where the gate is shut: the limit of those products at -infinity."""
    return np.asarray(np.where(gate == 0, 0.0, x * gate))


def _relu(x: Floats) -> Floats:
    return np.where(x < 0, 0.0, x)


def _clip(x: Floats, low: float, high: float) -> Floats:
    raised = np.where(x < low, low, x)
    return np.where(raised > high, high, raised)


def _hard_sigmoid(x: Floats, alpha: float, beta: float) -> Floats:
    return _clip(alpha * x + beta, 0.0, 1.0)


def _elu(x: Floats, alpha: float) -> Floats:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _softsign(x: Floats) -> Floats:
    return np.asarray(np.where(np.isinf(x), np.sign(x), x / (1 + np.abs(x))))


def _hard_sigmoid_error(x: Floats, alpha: float, beta: float) -> Floats:
    before = alpha * x + beta
    inside = (before > -0.01) & (before < 1.01)
    return np.where(inside, 2 * _U * (np.abs(alpha * x) + abs(beta)), 0.0)


def _gelu_tanh_argument(x: Floats) -> Floats:
    return np.asarray(math.sqrt(8 / math.pi) * x * (1 + 0.044715 * x * x))


def _gelu_tanh_error(x: Floats) -> Floats:
    t = np.clip(_gelu_tanh_argument(x), -1e4, 1e4)
    return np.abs(_ACTIVATIONS["gelu_tanh"].value(x, 0, 0)) * _U * (11 + 5 * np.abs(t) * _sigmoid(-t))


@dataclass(frozen=True)
class _Activation:
    """Value and own error in fp32, of x in float64, alpha and beta; slope: the largest that the function has."""

    value: Callable[[Floats, float, float], Floats]
    error: Callable[[Floats, float, float], Floats | float]
    slope: Callable[[float, float], float]
    alpha: float = 0.0
    beta: float = 0.0


def _relative(name: str, units: float) -> Callable[[Floats, float, float], Floats]:
    return lambda x, a, b: np.abs(_ACTIVATIONS[name].value(x, a, b)) * units * _U


# Errors: the list in kernels/include/activation.h, derived there from exp() within 4 u and division within 5 u.
_ACTIVATIONS: Mapping[str, _Activation] = {
    "relu": _Activation(lambda x, _a, _b: _relu(x), lambda _x, _a, _b: 0.0, lambda _a, _b: 1.0),
    "leaky_relu": _Activation(
        lambda x, a, _b: np.where(x < 0, a * x, x),
        lambda x, a, _b: np.abs(a * np.minimum(x, 0)) * _U,
        lambda a, _b: max(1.0, abs(a)),
        alpha=0.01,
    ),
    "clip": _Activation(_clip, lambda _x, _a, _b: 0.0, lambda _a, _b: 1.0, alpha=-math.inf, beta=math.inf),
    "hard_swish": _Activation(
        lambda x, a, b: _gated(x, _hard_sigmoid(x, a, b)),
        lambda x, a, b: (
            np.where(_hard_sigmoid_error(x, a, b) > 0, np.abs(x), 0.0) * (_hard_sigmoid_error(x, a, b) + 2 * _U)
        ),
        lambda _a, b: max(1.0, abs(b), abs(2 - b)),
        alpha=1 / 6,
        beta=0.5,
    ),
    "hard_swish_affine": _Activation(
        lambda x, a, b: a * _gated(x, _hard_sigmoid(x, 1 / 6, 0.5)) + b,
        lambda x, a, b: (
            abs(a) * _ACTIVATIONS["hard_swish"].error(x, 1 / 6, 0.5)
            + _U * (3 * np.abs(a * _ACTIVATIONS["hard_swish"].value(x, 1 / 6, 0.5)) + 2 * abs(b))
        ),
        lambda a, _b: 1.5 * abs(a),
        alpha=1.0,
    ),
    "hard_sigmoid": _Activation(_hard_sigmoid, _hard_sigmoid_error, lambda a, _b: abs(a), alpha=0.2, beta=0.5),
    "gelu": _Activation(
        lambda x, _a, _b: _gated(x, 0.5 * (1 + erf(x / math.sqrt(2)))),
        lambda x, _a, _b: np.where(x == -np.inf, 0.0, 8 * _U * np.abs(x)),
        lambda _a, _b: 1.13,
    ),
    "gelu_tanh": _Activation(
        lambda x, _a, _b: _gated(x, _sigmoid(_gelu_tanh_argument(x))),
        lambda x, _a, _b: _gelu_tanh_error(x),
        lambda _a, _b: 1.13,
    ),
    "silu": _Activation(lambda x, _a, _b: _gated(x, _sigmoid(x)), _relative("silu", 11), lambda _a, _b: 1.1),
    "sigmoid": _Activation(lambda x, _a, _b: _sigmoid(x), _relative("sigmoid", 10), lambda _a, _b: 0.25),
    "tanh": _Activation(lambda x, _a, _b: np.tanh(x), _relative("tanh", 10), lambda _a, _b: 1.0),
    "elu": _Activation(
        lambda x, a, _b: _elu(x, a),
        lambda x, a, _b: np.where(x > 0, 0.0, np.abs(_elu(x, a)) * 12 * _U),
        lambda a, _b: max(1.0, abs(a)),
        alpha=1.0,
    ),
    "selu": _Activation(
        lambda x, a, b: b * _elu(x, a),
        _relative("selu", 13),
        lambda a, b: abs(b) * max(1.0, abs(a)),
        alpha=1.67326319217681884765625,
        beta=1.05070102214813232421875,
    ),
    "softplus": _Activation(
        lambda x, _a, _b: _relu(x) + np.log1p(np.exp(-np.abs(x))), _relative("softplus", 14), lambda _a, _b: 1.0
    ),
    "mish": _Activation(
        lambda x, _a, _b: _gated(x, np.tanh(_relu(x) + np.log1p(np.exp(-np.abs(x))))),
        _relative("mish", 20),
        lambda _a, _b: 1.09,
    ),
    "softsign": _Activation(lambda x, _a, _b: _softsign(x), _relative("softsign", 6), lambda _a, _b: 1.0),
}


def _parameters(known: _Activation, alpha: float | None, beta: float | None) -> tuple[float, float]:
    """As fp32 has them, which is what a kernel gets."""
    pair = (known.alpha if alpha is None else alpha, known.beta if beta is None else beta)
    return float(np.float32(pair[0])), float(np.float32(pair[1]))


def activated(x: AnyFloats, activation: str | None, alpha: float | None = None, beta: float | None = None) -> Floats:
    """The activation of that name, ``x`` itself for None; parameters as in ONNX, with its defaults."""
    wide = np.asarray(x, np.float64)
    if activation is None:
        return wide
    known = _ACTIVATIONS[activation]
    with np.errstate(all="ignore"):
        return np.asarray(known.value(wide, *_parameters(known, alpha, beta)), np.float64)


def activation_error(
    x: AnyFloats, activation: str | None, alpha: float | None = None, beta: float | None = None
) -> Floats:
    """What an fp32 implementation of it may add to the error, per element, when ``x`` is exact.

    On top of the errors that ``kernels/include/activation.h`` states: subnormal inputs, exponentials and results may
    flush to 0.
    """
    wide = np.asarray(x, np.float64)
    if activation is None:
        return np.zeros(wide.shape)
    known = _ACTIVATIONS[activation]
    pair = _parameters(known, alpha, beta)
    with np.errstate(all="ignore"):
        own = known.error(wide, *pair) * (1 + 2.0**-10)
    return np.asarray(own + _FAR * _TINY * max(1.0, known.slope(*pair)))


def activation_slope(activation: str | None, alpha: float | None = None, beta: float | None = None) -> float:
    """The largest slope: an error of its input grows by no more than this factor."""
    if activation is None:
        return 1.0
    known = _ACTIVATIONS[activation]
    return known.slope(*_parameters(known, alpha, beta))


def _sum(value: Floats, more: AnyFloats | float | None) -> Floats:
    return value if more is None else np.asarray(value + np.asarray(more, np.float64))


def epilogue(
    value: Floats,
    bias: AnyFloats | float | None = None,
    residual: AnyFloats | float | None = None,
    activation: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
) -> Floats:
    """activation(value + bias + residual); bias and residual broadcast to ``value``, None for one that is not there."""
    with np.errstate(all="ignore"):
        total = _sum(_sum(np.asarray(value, np.float64), bias), residual)
    return activated(total, activation, alpha, beta)


def epilogue_tolerance(
    value: Floats,
    bound: Floats | float,
    bias: AnyFloats | float | None = None,
    residual: AnyFloats | float | None = None,
    activation: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
) -> Floats:
    """The error bound after the epilogue, where ``value`` is the exact one and ``bound`` its absolute error before.

    Each of the two sums rounds (u of its size), the largest slope passes all that on, and the activation adds its own.
    """
    with np.errstate(all="ignore"):
        with_bias = _sum(np.asarray(value, np.float64), bias)
        total = _sum(with_bias, residual)
        before = bound + _U * (np.abs(with_bias) + np.abs(total) + 2 * np.asarray(bound)) + 2 * _TINY
        slope = activation_slope(activation, alpha, beta)
        return np.asarray(slope * before + activation_error(total, activation, alpha, beta))
