"""Oracle of ``elementwise``: numpy's functions in float64, and integers exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.reference.epilogue import activated, activation_error, erf

__all__ = ["ORACLE", "elementwise", "elementwise_tolerance"]

ORACLE = (
    "numpy's functions in float64, integers exactly; definitions after https://onnx.ai/onnx/operators/, error bounds "
    "after the OpenCL 1.2 specification, section 7.4"
)

AnyArray = npt.NDArray[Any]

_U = 2.0**-24
_TINY = 2.0**-126

_UNARY: Mapping[str, Callable[[AnyArray], AnyArray]] = {
    "neg": np.negative, "abs": np.abs, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "reciprocal": lambda x: 1 / x,
    "floor": np.floor, "ceil": np.ceil, "round": np.rint, "sign": np.sign, "erf": erf, "sin": np.sin, "cos": np.cos,
    "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "isnan": np.isnan, "isinf": np.isinf,
    "not": np.logical_not, "bitwise_not": np.invert,
}  # fmt: skip
_BINARY: Mapping[str, Callable[[AnyArray, AnyArray], AnyArray]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "min": np.minimum, "max": np.maximum, "pow": np.power,
    "prelu": lambda x, slope: np.where(x < 0, x * slope, x), "equal": np.equal, "less": np.less,
    "less_or_equal": np.less_equal, "greater": np.greater, "greater_or_equal": np.greater_equal,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
}  # fmt: skip
_ACTIVATIONS = {
    "relu", "leaky_relu", "clip", "hard_swish", "hard_sigmoid", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh", "elu",
    "selu", "softplus", "mish", "softsign", "hard_swish_affine",
}  # fmt: skip
# Functions that round once or more, in u relative to the result. OpenCL states units in the last place, 2 u each.
_ROUNDING = {
    "exp": 4, "log": 10, "sqrt": 6, "reciprocal": 5, "div": 5, "erf": 8, "add": 1, "sub": 1, "mul": 1, "prelu": 1,
    "sin": 8, "cos": 8, "tan": 10, "asin": 8, "acos": 8, "atan": 10, "sinh": 8, "cosh": 8, "asinh": 8, "acosh": 8,
    "atanh": 10, "pow": 32,
}  # fmt: skip


def elementwise(
    *arrays: AnyArray | None,
    function: str,
    alpha: float | None = None,
    beta: float | None = None,
    to: npt.DTypeLike | None = None,
) -> AnyArray:
    """``function`` of each element of arrays that broadcast: float64 for floats, else the result's own dtype.

    Integers wrap; a quotient truncates, and a division by 0 gives 0. ``cast`` saturates from floats to integers and
    makes NaN 0; from integers to narrower ones it wraps.
    """
    given = [np.asarray(one) for one in arrays if one is not None]
    with np.errstate(all="ignore"):
        if function == "cast":
            return _cast(given[0], np.dtype(to))
        if function == "where":
            return np.asarray(np.where(given[0], given[1], given[2]))
        if given[0].dtype.kind == "f":
            wide = [one.astype(np.float64) for one in given]
            return np.asarray(_float_value(wide, arrays, function, alpha, beta))
        return np.asarray(_whole_value(given, arrays, function))


def _float_value(
    wide: list[AnyArray], arrays: tuple[AnyArray | None, ...], function: str, alpha: float | None, beta: float | None
) -> AnyArray:
    if len(arrays) == 1 and function in _ACTIVATIONS:
        return activated(wide[0], function, alpha, beta)
    if function == "thresholded_relu":
        return np.where(wide[0] <= float(np.float32(1.0 if alpha is None else alpha)), 0.0, wide[0])
    if function == "clip":
        return _clip(wide, arrays)
    if function == "div":
        return wide[0] / wide[1]
    if function == "fmod":
        return np.asarray(np.fmod(*wide))
    return _UNARY[function](wide[0]) if len(wide) == 1 else _BINARY[function](wide[0], wide[1])


def _clip(given: list[AnyArray], arrays: tuple[AnyArray | None, ...]) -> AnyArray:
    """The bounds that there are, the upper one last."""
    x, *bounds = given
    low, high = (bounds.pop(0) if one is not None else None for one in arrays[1:])
    x = x if low is None else np.where(x < low, low, x)
    return x if high is None else np.where(x > high, high, x)


def _whole_value(given: list[AnyArray], arrays: tuple[AnyArray | None, ...], function: str) -> AnyArray:
    if function == "clip":
        return _clip(given, arrays)
    if function == "relu":
        return np.maximum(given[0], np.zeros((), given[0].dtype))
    if function == "pow":
        return _power(given[0], given[1])
    if function in {"div", "mod", "fmod"}:
        return _divided(given[0], given[1], function)
    return _UNARY[function](given[0]) if len(given) == 1 else _BINARY[function](given[0], given[1])


def _divided(a: AnyArray, b: AnyArray, function: str) -> AnyArray:
    safe = np.where(b == 0, np.ones((), b.dtype), b)
    if function == "div":
        down = a // safe  # truncation lies one above where the signs differ and something is left over
        value = down + ((a % safe != 0) & ((a < 0) != (safe < 0))).astype(a.dtype)
    else:
        value = np.mod(a, safe) if function == "mod" else np.fmod(a, safe)
    return np.where(b == 0, np.zeros((), a.dtype), value)


def _power(a: AnyArray, b: AnyArray) -> AnyArray:
    """Wraps; below an exponent of 0 the truncated fraction."""
    value, factor, rest = np.ones(np.broadcast_shapes(a.shape, b.shape), a.dtype), a, np.where(b < 0, 0, b)
    while rest.any():
        value = np.where(rest & 1, value * factor, value)
        factor, rest = factor * factor, rest >> 1
    below = np.where(a == 1, 1, np.where(a.astype(np.int64) == -1, np.where(b & 1, -1, 1), 0)).astype(a.dtype)
    return np.where(b < 0, below, value)


def _cast(x: AnyArray, to: np.dtype[Any]) -> AnyArray:
    if to == np.bool_:
        return np.asarray(x != 0)
    if x.dtype.kind != "f" or to.kind == "f":
        return x.astype(to)
    ends = np.iinfo(to)
    whole = np.trunc(np.where(np.isnan(x), 0, x.astype(np.float64)))
    above, below = whole >= float(int(ends.max) + 1), whole < float(ends.min)
    inside = np.where(above | below, 0, whole).astype(to)
    return np.where(above, to.type(ends.max), np.where(below, to.type(ends.min), inside))


def elementwise_tolerance(
    *arrays: AnyArray | None,
    function: str,
    alpha: float | None = None,
    beta: float | None = None,
    to: npt.DTypeLike | None = None,
) -> AnyArray | float:
    """0 for integers, choices, casts and what does not round; else the function's own bound in fp32, u = 2**-24.

    That is u for a sum, a difference, a product; OpenCL's for its functions and quotients; the list of
    ``kernels/include/activation.h`` for activations. On top, 2**-125 absolute, since subnormal numbers may flush to 0,
    and for fp16 storage the rounding of the result: 2**-11 relative, or 2**-25 where it is subnormal.
    """
    given = [one for one in arrays if one is not None]
    if given[0].dtype.kind != "f" or function == "cast":
        return 0.0
    value = elementwise(*arrays, function=function, alpha=alpha, beta=beta, to=to)
    if value.dtype == np.bool_:
        return 0.0
    with np.errstate(all="ignore"):
        size = np.abs(value)
        if len(given) == 1 and function in _ACTIVATIONS:
            bound = activation_error(given[0], function, alpha, beta)
        else:
            bound = size * (_ROUNDING.get(function, 0) * _U * (1 + 2.0**-10)) + 2 * _TINY
        if given[0].dtype == np.float16:
            bound = bound + (size + bound) * 2.0**-11 + 2.0**-25
        return np.where(np.isfinite(value), bound, 0.0)
