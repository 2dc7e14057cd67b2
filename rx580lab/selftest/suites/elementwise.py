"""Cases of ``elementwise``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rx580lab.reference.elementwise import elementwise, elementwise_tolerance
from rx580lab.selftest.case import AnyArray, Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["BENCHED", "FUNCTIONS", "SUITE"]

Shapes = Sequence[tuple[int, ...]]

_OWN = (
    "neg", "abs", "exp", "log", "sqrt", "reciprocal", "floor", "ceil", "round", "sign", "erf", "relu", "leaky_relu",
    "clip", "hard_swish", "hard_sigmoid", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh", "elu", "selu", "softplus",
    "mish", "softsign", "thresholded_relu", "hard_swish_affine",
)  # fmt: skip
_CALLS = ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh")
_OF_FLOATS = ("add", "sub", "mul", "div", "pow", "min", "max", "fmod", "prelu")
_OF_WHOLES = ("add", "sub", "mul", "div", "pow", "min", "max", "mod", "fmod", "and", "or", "xor")
_COMPARISONS = ("equal", "less", "less_or_equal", "greater", "greater_or_equal")
_WHOLES = ("int32", "int64", "uint8", "int8")
_TYPES = ("float32", "float16", *_WHOLES, "bool")

# Function -> how many arrays it takes, for floats.
FUNCTIONS: Mapping[str, int] = {
    **dict.fromkeys((*_OWN, *_CALLS, "isnan", "isinf"), 1),
    **dict.fromkeys((*_OF_FLOATS, *_COMPARISONS), 2),
}
# What a benchmark may ask for, by its place.
BENCHED = ("add", "relu", "gelu", "silu", "tanh", "exp", "mul", "clip")
# Where a function is defined, if not everywhere: inputs are drawn from there, and NaN comes in by the special cases.
_DOMAINS = {"log": (0.01, 9), "sqrt": (0, 9), "asin": (-1, 1), "acos": (-1, 1), "atanh": (-0.99, 0.99), "acosh": (1, 9)}
_SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -0.5, -1.5, 8388609.0, -3e4, 3e4, 1e-4, 7.25)


def _values(rng: np.random.Generator, function: str, dtype: str, shape: tuple[int, ...], place: int) -> AnyArray:
    kind = np.dtype(dtype)
    if kind == np.bool_:
        return rng.integers(0, 2, shape).astype(np.bool_)
    if kind.kind == "f":
        if function in _DOMAINS or (function == "pow" and place == 0):
            low, high = _DOMAINS.get(function, (0.1, 5))
            return rng.uniform(low, high, shape).astype(kind)
        return np.asarray(rng.standard_normal(shape) * 3).astype(kind)
    # Half of them small, so that 0, -1 and equal values occur; the ends of the range too.
    ends = np.iinfo(kind)
    wide = rng.integers(ends.min, ends.max, shape, dtype=kind, endpoint=True)
    small = rng.integers(0 if ends.min == 0 else -3, 4, shape).astype(kind)
    end = rng.choice(np.array([ends.min, ends.max], kind), shape)
    which = rng.integers(0, 5, shape)
    return np.where(which < 3, small, np.where(which < 4, wide, end)).astype(kind)


def _case(tier: Tier, function: str, shapes: Shapes, dtype: str = "float32", note: str = "", **keywords: Any) -> Case:
    words = " ".join(f"{name}={value}" for name, value in keywords.items())
    at = " ".join("x".join(map(str, shape)) or "scalar" for shape in shapes)
    name = f"{function} of {dtype} {at} {words}{note}".strip()

    def inputs(rng: np.random.Generator) -> Arrays:
        first = "bool" if function == "where" else dtype
        kinds = (first, dtype, dtype)
        return tuple(_values(rng, function, kinds[place], shape, place) for place, shape in enumerate(shapes))

    return Case(name, tier, inputs, {"function": function, **keywords}, _result(function, dtype, keywords))


def _result(function: str, dtype: str, keywords: Mapping[str, Any]) -> str:
    return "bool" if function in (*_COMPARISONS, "isnan", "isinf") else str(keywords.get("to") or dtype)


def _special(function: str, arity: int, dtype: str) -> Case:
    """NaN, infinities, zeros of both signs, halves and large numbers: each with each where two arrays meet."""

    def inputs(_rng: np.random.Generator) -> Arrays:
        with np.errstate(over="ignore"):  # 8388609 is infinity in fp16
            row = np.array(_SPECIAL, np.float32).astype(dtype)
        return (row,) if arity == 1 else (row[:, None], row)

    return Case(f"{function} of special {dtype}", "edge", inputs, {"function": function}, _result(function, dtype, {}))


def _ends(dtype: str, to: str) -> Case:
    """The ends of every integer type, what lies just beyond them, NaN and infinities."""
    ends = [0.0, -0.5, 127.5, 128.0, -128.0, -128.5, -129.0, 255.0, 255.5, 256.0, 65519.0]
    ends += [sign * 2.0**bits for bits in (31, 63) for sign in (1, -1)] + [np.nan, np.inf, -np.inf]

    def inputs(_rng: np.random.Generator) -> Arrays:
        with np.errstate(over="ignore"):
            return (np.array(ends, np.float32).astype(dtype),)

    return Case(f"cast of the ends of types, {dtype} to {to}", "edge", inputs, {"function": "cast", "to": to}, to)


def _functions() -> list[Case]:
    """Every function on every type that it has."""
    found = []
    for dtype in ("float32", "float16"):
        found += [_case("edge", name, [(3, 67)] * arity, dtype) for name, arity in FUNCTIONS.items()]
        found += [_special(name, arity, dtype) for name, arity in FUNCTIONS.items() if name not in ("pow", "fmod")]
        found += [_case("edge", "clip", [(5, 33), (), (33,)], dtype)]
    for dtype in _WHOLES:
        found += [_case("edge", name, [(259,)], dtype) for name in ("neg", "abs", "sign", "relu", "bitwise_not")]
        found += [_case("edge", name, [(7, 37)] * 2, dtype) for name in (*_OF_WHOLES, *_COMPARISONS)]
        found += [_case("edge", "clip", [(5, 33), (), (33,)], dtype)]
    found += [_case("edge", "not", [(70,)], "bool")]
    found += [_case("edge", name, [(70,)] * 2, "bool") for name in ("and", "or", "xor", "equal")]
    found += [_case("edge", "where", [(9, 1, 5), (7, 5), (9, 7, 1)], dtype) for dtype in _TYPES]
    found += [_case("edge", "cast", [(331,)], dtype, to=to) for dtype in _TYPES for to in _TYPES]
    found += [_ends(dtype, to) for dtype in ("float32", "float16") for to in _TYPES]
    return found


# How operands meet: alike, scalar, row, column, both ways, ranks apart, runs around a vector, more axes than the
# kernels take, runs longer than a work-item's share, nothing at all.
_MEETINGS: tuple[tuple[Tier, Shapes], ...] = (
    ("small", [(5, 17), (5, 17)]),
    ("small", [(3, 1, 33), (2, 1)]),
    ("edge", [(), ()]),
    ("edge", [(1,), (1, 1, 1)]),
    ("edge", [(65,), ()]),
    ("edge", [(1,), (31, 3)]),
    ("edge", [(15, 16), (16,)]),
    ("edge", [(16, 15), (16, 1)]),
    ("edge", [(1, 257), (255, 1)]),
    ("edge", [(2, 3, 4, 5), (3, 1, 1)]),
    ("edge", [(2, 3, 4, 5), (1, 3, 1, 5)]),
    ("edge", [(4, 1, 3, 1, 2, 1, 5), (4, 2, 1, 3, 1, 2, 1)]),
    ("edge", [(2, 1, 3, 1, 2, 1, 2, 1), (1, 2, 1, 3, 1, 2, 1, 3)]),
    ("edge", [(1000, 3), (3,)]),
    ("edge", [(40009,), (40009,)]),
    ("edge", [(2, 33001), (2, 1)]),
    ("edge", [(0, 3), (3,)]),
    ("edge", [(4, 0), (1, 1)]),
    ("large", [(8388608 + 13,), (8388608 + 13,)]),
    ("large", [(1823, 781), (781,)]),
)
_SMALL = (
    *(_case("small", name, [(37,)]) for name in ("exp", "gelu", "tanh", "round", "log")),
    _case("small", "mul", [(37,), (37,)], "float16"),
    _case("small", "less", [(19,), (19,)]),
    _case("small", "sin", [(19,)]),
    _case("small", "mod", [(37,), (37,)], "int32"),
    _case("small", "greater", [(19,), (19,)], "int64"),
    _case("small", "where", [(19,), (19,), ()], "int8"),
    _case("small", "cast", [(37,)], "float32", to="int8"),
)
_PARAMETERS = (
    _case("edge", "leaky_relu", [(70,)], alpha=0.3),
    _case("edge", "clip", [(70,)], alpha=-1.0, beta=2.0),
    _case("edge", "elu", [(70,)], alpha=0.7),
    _case("edge", "hard_sigmoid", [(70,)], alpha=0.25, beta=0.4),
    _case("edge", "thresholded_relu", [(70,)], alpha=0.6),
)


def _random(rng: np.random.Generator) -> Case:
    dtype = str(rng.choice(_TYPES))
    function = _random_function(rng, dtype)
    rank = int(rng.integers(0, 6))
    longest = 10 ** rng.uniform(0, 4.5 / max(rank, 1))
    whole = tuple(int(rng.integers(0 if rng.random() < 0.05 else 1, int(longest) + 2)) for _ in range(rank))
    arity = {"where": 3, "cast": 1, "not": 1, "bitwise_not": 1}.get(function, FUNCTIONS.get(function, 2))
    if dtype in _WHOLES and function in ("neg", "abs", "sign", "relu"):
        arity = 1
    if function == "clip" and (dtype in _WHOLES or rng.random() < 0.5):
        arity = 3
    shapes = [whole]
    for _ in range(arity - 1):
        kept = tuple(1 if rng.random() < 0.4 else n for n in whole)
        shapes.append(kept[int(rng.integers(0, rank + 1)) :] if rng.random() < 0.5 else kept)
    order = rng.permutation(arity)
    keywords: dict[str, Any] = {"to": str(rng.choice(_TYPES))} if function == "cast" else {}
    if function == "leaky_relu":
        keywords["alpha"] = float(np.float32(rng.uniform(-1, 1)))
    return _case("edge", function, [shapes[i] for i in order], dtype, **keywords)


def _random_function(rng: np.random.Generator, dtype: str) -> str:
    if dtype == "bool":
        names: tuple[str, ...] = ("not", "and", "or", "xor", "equal", "where", "cast")
    elif dtype in _WHOLES:
        names = ("neg", "abs", "sign", "relu", "bitwise_not", *_OF_WHOLES, *_COMPARISONS, "clip", "where", "cast")
    else:
        names = (*FUNCTIONS, "where", "cast")
    return str(rng.choice(names))


def _problem(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    rows, columns = sizes["R"], sizes["C"]
    function = BENCHED[sizes["function"]]
    second = ((rows, columns), (columns,), (rows, 1), ())[sizes["operand"]]
    shapes = [(rows, columns), second] if function in ("add", "mul") else [(rows, columns)]
    dtype = "float16" if sizes["half"] else "float32"
    bounds = {"alpha": 0.0, "beta": 6.0} if function == "clip" else {}
    arrays = tuple(_values(rng, function, dtype, shape, place) for place, shape in enumerate(shapes))
    return Problem(arrays, {"function": function, **bounds}, dtype)


SUITE = Suite(
    "elementwise",
    elementwise,
    elementwise_tolerance,
    (*_SMALL, *(_case(tier, "add", shapes) for tier, shapes in _MEETINGS), *_functions(), *_PARAMETERS),
    random=_random,
    bench=Bench(
        # function: a place in BENCHED; operand, the second one: 0 alike, 1 a row, 2 a column, 3 a scalar.
        {"R": None, "C": None, "function": 0, "operand": 0, "half": 0},
        _problem,
        example="512x4096",
    ),
)
