"""The functions of ``elementwise``: what each takes, what it gives, and which kernel has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.epilogue import ACTIVATIONS, Epilogue

__all__ = ["CAST_CODES", "FUNCTIONS", "ORDER", "Function", "find", "macros", "parameters", "result_dtype"]

FLOATS = ("float32", "float16")
WHOLES = ("int32", "int64", "uint8", "int8")
BOOL = ("bool",)
EVERY = (*FLOATS, *WHOLES, *BOOL)


@dataclass(frozen=True)
class Function:
    """One function.

    Attributes:
        name: its enumerator in ``include/elementwise.h``, in lower case.
        arity: how many arrays. dtypes: of those arrays, all alike (of the last two, for ``where``).
        truth: whether bool comes out. calls: whether OpenCL's own builtins compute it for floats.
    """

    name: str
    arity: int
    dtypes: tuple[str, ...]
    truth: bool = False
    calls: bool = False


def _table() -> Mapping[str, Function]:
    with_wholes = {"neg", "abs", "sign", "relu"}
    own: tuple[str, ...] = ("neg", "abs", "exp", "log", "sqrt", "reciprocal", "floor", "ceil", "round", "sign", "erf")
    own += (*(name for name in ACTIVATIONS if name != "clip"), "clip_scalar", "thresholded_relu")
    calls = ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh")
    ordered = ("less", "less_or_equal", "greater", "greater_or_equal")
    found = [
        *(Function(name, 1, (*FLOATS, *WHOLES) if name in with_wholes else FLOATS) for name in own),
        *(Function(name, 1, FLOATS, calls=True) for name in calls),
        *(Function(name, 1, FLOATS, truth=True) for name in ("isnan", "isinf")),
        Function("not", 1, BOOL),
        Function("bitwise_not", 1, WHOLES),
        *(Function(name, 2, (*FLOATS, *WHOLES)) for name in ("add", "sub", "mul", "div", "min", "max")),
        Function("pow", 2, (*FLOATS, *WHOLES), calls=True),
        Function("mod", 2, WHOLES),
        Function("fmod", 2, (*FLOATS, *WHOLES), calls=True),
        Function("prelu", 2, FLOATS),
        Function("equal", 2, EVERY, truth=True),
        *(Function(name, 2, (*FLOATS, *WHOLES), truth=True) for name in ordered),
        *(Function(name, 2, (*WHOLES, *BOOL)) for name in ("and", "or", "xor")),
        Function("clip", 3, (*FLOATS, *WHOLES)),
        Function("where", 3, EVERY),
        Function("cast", 1, EVERY),
    ]
    return {one.name: one for one in found}


FUNCTIONS = _table()

# The enumerators of include/elementwise.h, in their order: a function's place is its code.
ORDER = (
    "neg", "abs", "exp", "log", "sqrt", "reciprocal", "floor", "ceil", "round", "sign", "erf", "relu", "leaky_relu",
    "clip_scalar", "hard_swish", "hard_swish_affine", "hard_sigmoid", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh",
    "elu", "selu",
    "softplus", "mish", "softsign", "thresholded_relu",
    "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh",
    "isnan", "isinf", "not", "bitwise_not",
    "add", "sub", "mul", "div", "pow", "min", "max", "mod", "fmod", "prelu",
    "equal", "less", "less_or_equal", "greater", "greater_or_equal", "and", "or", "xor",
    "clip", "where",
)  # fmt: skip

# The macros of elementwise_cast.cl.
CAST_CODES = {"float32": 0, "float16": 1, "int32": 2, "int64": 3, "uint8": 4, "int8": 5, "bool": 6}

_C_TYPES = {
    "int32": ("int", "uint", 1),
    "int64": ("long", "ulong", 1),
    "uint8": ("uchar", "uchar", 0),
    "int8": ("char", "uchar", 1),
    "bool": ("uchar", "uchar", 0),
}
_BY_WIDTH = {1: ("char", "uchar", 1), 2: ("short", "ushort", 1), 4: ("int", "uint", 1), 8: ("long", "ulong", 1)}


def find(name: str, arrays: Sequence[Any]) -> Function:
    """The function of that name for so many arrays. InputError, ShapeError or DtypeError when there is none."""
    wanted = "clip_scalar" if name == "clip" and len(arrays) == 1 else name
    known = FUNCTIONS.get(wanted)
    if known is None or name == "clip_scalar":
        names = ", ".join(sorted(set(FUNCTIONS) - {"clip_scalar"}))
        raise InputError("elementwise", f"expected a function among {names}, got {name!r}")
    if len(arrays) != known.arity or (known.name != "clip" and any(one is None for one in arrays)):
        given = sum(one is not None for one in arrays)
        raise ShapeError("elementwise", f"expected {known.arity} arrays for {name}, got {given}")
    if arrays[0] is None:
        raise ShapeError("elementwise", f"expected an array to clip, got {arrays[0]}")
    dtypes = [np.asarray(one).dtype if not hasattr(one, "dtype") else one.dtype for one in arrays if one is not None]
    if known.name == "where":
        if dtypes[0] != np.bool_:
            raise DtypeError("elementwise", f"expected a condition of bool, got {dtypes[0]}")
        dtypes = dtypes[1:]
    if any(str(dtype) not in known.dtypes for dtype in dtypes):
        got = ", ".join(map(str, dtypes))
        raise DtypeError("elementwise", f"expected arrays of {' or '.join(known.dtypes)} for {name}, got {got}")
    if len(set(dtypes)) > 1:
        raise DtypeError("elementwise", f"expected arrays of one type for {name}, got {', '.join(map(str, dtypes))}")
    return known


def parameters(function: Function, alpha: float | None, beta: float | None) -> tuple[np.float32, np.float32]:
    """Alpha and beta as the kernel takes them, ONNX's defaults filled in. InputError where the function has none."""
    name = "clip" if function.name == "clip_scalar" else function.name
    if function.arity == 1 and name in ACTIVATIONS:
        return Epilogue(name, alpha, beta).args()
    if name == "thresholded_relu" and beta is None:
        return np.float32(1.0 if alpha is None else alpha), np.float32(0)
    if alpha is not None or beta is not None:
        raise InputError("elementwise", f"expected neither alpha nor beta for {name}: it has none")
    return np.float32(function.truth), np.float32(0)  # alpha is then what true is in memory


def result_dtype(function: Function, dtype: np.dtype[Any], to: Any) -> np.dtype[Any]:
    """What comes out for arrays of ``dtype``; ``to`` is the target of ``cast`` and of nothing else."""
    if function.name != "cast":
        if to is not None:
            raise InputError("elementwise", f"expected no target type for {function.name}, got {to!r}")
        return np.dtype(np.bool_) if function.truth else np.dtype(dtype)
    if to is None or str(np.dtype(to)) not in CAST_CODES:
        raise DtypeError("elementwise", f"expected a target type among {', '.join(CAST_CODES)}, got {to!r}")
    target: np.dtype[Any] = np.dtype(to)
    return target


def uses_calls(function: Function, dtype: np.dtype[Any]) -> bool:
    """Whether only the plain kernel has it: OpenCL's own builtins, and powers, whose turns their data decide."""
    return function.calls and (str(dtype) in FLOATS or function.name == "pow")


def macros(function: Function, dtype: np.dtype[Any]) -> dict[str, int | str]:
    """What ``elementwise.cl`` and ``elementwise_cpu.cl`` are built with, so that the function is among theirs."""
    kind = str(dtype)
    common: dict[str, int | str] = {"RESULT": int(function.truth)}
    if function.name == "where":
        names = _BY_WIDTH[dtype.itemsize]
        return {"DOMAIN": 2, **common, "TYPE": names[0], "UTYPE": names[1], "SIGNED": names[2]}
    if kind in FLOATS:
        return {"DOMAIN": 0, **common, "CALLS": int(function.calls), "HALF": int(kind == "float16")}
    names = _C_TYPES[kind]
    return {"DOMAIN": 1, **common, "TYPE": names[0], "UTYPE": names[1], "SIGNED": names[2]}
