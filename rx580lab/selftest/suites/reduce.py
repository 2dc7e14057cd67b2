"""Cases of ``reduce``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rx580lab.reference.reduce import reduce, reduce_tolerance
from rx580lab.selftest.case import AnyArray, Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["BENCHED", "SUITE"]

_OF_FLOATS = ("sum", "mean", "max", "min", "prod", "l1", "l2", "sum_square", "log_sum_exp", "argmax", "argmin")
_OF_SUMMED = ("sum", "max", "min", "prod", "l1", "sum_square", "argmax", "argmin")
_OF_BYTES = ("max", "min", "argmax", "argmin")
_FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "float32": _OF_FLOATS, "float16": _OF_FLOATS, "int32": _OF_SUMMED, "int64": _OF_SUMMED, "uint8": _OF_BYTES,
    "int8": _OF_BYTES,
}  # fmt: skip
# What a benchmark may ask for, by its place.
BENCHED = ("sum", "mean", "max", "l2", "log_sum_exp", "argmax")


def _values(rng: np.random.Generator, function: str, dtype: str, shape: tuple[int, ...]) -> AnyArray:
    kind = np.dtype(dtype)
    if kind.kind != "f":
        ends = np.iinfo(kind)
        return rng.integers(ends.min, ends.max, shape, dtype=kind, endpoint=True)
    if function == "prod":  # around 1, so that neither the product nor a part of it leaves the range
        return (1 + rng.standard_normal(shape) * 0.02).astype(kind)
    if function in ("argmax", "argmin"):  # with equal values
        return np.round(rng.standard_normal(shape) * 8).astype(kind)
    x = rng.standard_normal(shape) * 3
    return np.asarray(x + 0.5 if function in ("sum", "mean") else x).astype(kind)


def _case(
    tier: Tier, function: str, shape: tuple[int, ...], axes: Any, dtype: str = "float32", **keywords: Any
) -> Case:
    words = " ".join(f"{name}={value}" for name, value in keywords.items())
    name = f"{function} of {dtype} {'x'.join(map(str, shape)) or 'scalar'} over {axes} {words}".strip()
    result = "int64" if function.startswith("arg") else dtype
    given = {"function": function, "axes": axes, **keywords}
    return Case(name, tier, lambda rng: (_values(rng, function, dtype, shape),), given, result)


def _special(function: str, last: bool = False) -> Case:
    """Rows with NaN at the start, in the middle, at the end and twice, with infinities, and of -infinity alone."""

    def inputs(rng: np.random.Generator) -> Arrays:
        x = rng.standard_normal((9, 83)).astype(np.float32)
        x[0, 0] = x[1, 41] = x[2, -1] = x[3, 7] = x[3, 50] = np.nan
        x[4, 3] = x[5, 82] = np.inf
        x[5, 0] = -np.inf
        x[6] = -np.inf
        x[7, 5] = -np.inf
        return (x,)

    keywords = {"function": function, "axes": (1,), "select_last_index": last}
    result = "int64" if function.startswith("arg") else "float32"
    return Case(f"{function} of special rows{', the last' if last else ''}", "edge", inputs, keywords, result)


# Reduced axes last, first, in the middle, in two blocks, all, none; lengths around vectors (16, 32), blocks (64
# vectors), groups (256), segments (512 rows, 4096 values, 128 rows of the gpu template), tiles of columns (2048).
_GEOMETRIES: tuple[tuple[Tier, tuple[int, ...], Any], ...] = (
    ("small", (3, 67), (1,)),
    ("small", (19, 33), (0,)),
    ("small", (2, 5, 3), (0, 2)),
    ("edge", (), None),
    ("edge", (1, 1), (0,)),
    ("edge", (7,), ()),
    ("edge", (5, 15), (1,)),
    ("edge", (5, 16), -1),
    ("edge", (5, 31), (1,)),
    ("edge", (4, 255), (1,)),
    ("edge", (4, 257), (1,)),
    ("edge", (3, 1023), (1,)),
    ("edge", (2, 8193), (1,)),
    ("edge", (1, 40009), (1,)),
    ("edge", (1000, 7), (1,)),
    ("edge", (7, 15), (0,)),
    ("edge", (8, 65), (0,)),
    ("edge", (513, 63), (0,)),
    ("edge", (1031, 17), (0,)),
    ("edge", (9, 2063), (0,)),
    ("edge", (3001, 3), (0,)),
    ("edge", (3, 37, 31), (1,)),
    ("edge", (3, 37, 31), (0, 1)),
    ("edge", (3, 37, 31), (1, 2)),
    ("edge", (3, 37, 31), (-3, 2)),
    ("edge", (3, 37, 31), None),
    ("edge", (2, 3, 4, 5, 6), (0, 2, 4)),
    ("edge", (4, 1, 5, 1), (1, 3)),
    ("edge", (0, 5), (0,)),
    ("edge", (0, 5), (1,)),
    ("edge", (3, 0, 2), (1,)),
    ("large", (1823, 781), (1,)),
    ("large", (1823, 781), (0,)),
    ("large", (3000017,), None),
)


# Each pair is a build for each template, so other types take turns at the functions; the cases by chance take all.
_PAIRS: Mapping[str, tuple[str, ...]] = {
    "float32": _OF_FLOATS, "float16": ("sum", "mean"), "int32": ("sum",), "int64": ("max",),
    "uint8": ("max", "argmax"), "int8": ("min", "argmin"),
}  # fmt: skip


def _functions() -> list[Case]:
    found = []
    for dtype, names in _PAIRS.items():
        for name in names:
            found += [_case("edge", name, shape, axes, dtype) for shape, axes in (((5, 301), (1,)), ((301, 35), (0,)))]
            if not name.startswith("arg"):
                found += [_case("edge", name, (3, 11, 2, 5), (0, 2), dtype, keepdims=False)]
                found += [_case("edge", name, (4, 0), (1,), dtype)]
    found += [_case("edge", name, (600, 20), (0,)) for name in ("log_sum_exp", "l2", "mean", "max")]
    found += [_case("edge", name, (9, 70), (1,), "float32", select_last_index=True) for name in ("argmax", "argmin")]
    found += [_case("edge", "argmax", (3, 4, 5), None, keepdims=False), _case("edge", "argmin", (3, 4, 5), (0, 1))]
    return found


_SMALL = (
    *(_case("small", name, (3, 37), (1,)) for name in ("log_sum_exp", "max", "argmax")),
    _case("small", "sum", (37, 3), (0,), "float16"),
    _case("small", "sum", (37, 3), (0,), "int32"),
    _case("small", "max", (3, 37), (1,), "int64"),
)


def _random(rng: np.random.Generator) -> Case:
    dtype = str(rng.choice(list(_FUNCTIONS)))
    function = str(rng.choice(_FUNCTIONS[dtype]))
    rank = int(rng.integers(1, 5))
    longest = 10 ** rng.uniform(0, 4.5 / rank)
    shape = tuple(int(rng.integers(1, int(longest) + 2)) for _ in range(rank))
    if function.startswith("arg"):
        axes: Any = (int(rng.integers(-rank, rank)),)
    else:
        axes = tuple(axis for axis in range(rank) if rng.random() < 0.5)
        axes = None if rng.random() < 0.1 else axes
    keywords = {"keepdims": bool(rng.integers(2))}
    if function.startswith("arg"):
        keywords["select_last_index"] = bool(rng.integers(2))
    return _case("edge", function, shape, axes, dtype, **keywords)


def _problem(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    function = BENCHED[sizes["function"]]
    dtype = "float16" if sizes["half"] else "float32"
    x = _values(rng, function, dtype, (sizes["R"], sizes["C"]))
    result = "int64" if function.startswith("arg") else dtype
    return Problem((x,), {"function": function, "axes": (sizes["axis"],)}, result)


SUITE = Suite(
    "reduce",
    reduce,
    reduce_tolerance,
    (
        *_SMALL,
        *(_case(tier, "sum", shape, axes) for tier, shape, axes in _GEOMETRIES),
        *_functions(),
        *(_special(name) for name in ("sum", "max", "min", "log_sum_exp", "argmax", "argmin", "l2")),
        *(_special(name, last=True) for name in ("argmax", "argmin")),
    ),
    random=_random,
    bench=Bench(
        # function: a place in BENCHED; axis: the one that is reduced.
        {"R": None, "C": None, "axis": 1, "function": 0, "half": 0},
        _problem,
        example="1024x1024",
    ),
)
