"""Cases of ``softmax``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rx580lab.reference.softmax import softmax, softmax_tolerance
from rx580lab.selftest.case import AnyArray, Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

Make = Callable[[np.random.Generator, tuple[int, ...]], AnyArray]


def _ordinary(rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    return rng.standard_normal(shape) * 4


def _huge(rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    """Rows around +1000, -1000 and 0: exp() overflows, or all of it vanishes, unless the maximum is subtracted."""
    rows = np.resize([1000.0, -1000.0, 0.0], shape[:-1])[..., None]
    return np.asarray(rng.standard_normal(shape) * 4 + rows)


def _peak_last(rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    """The row's weight lies in its last column: a dropped tail changes every value."""
    x = rng.standard_normal(shape)
    x[..., -1] += 12
    return x


def _wide(rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    """Down to results that vanish, and differences that overflow fp32."""
    x = rng.uniform(-110, 0, shape)
    x[..., 0] = -3e38
    x[0, ..., -1] = 3e38
    return x


def _special(_rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    """NaN, infinities and their mixtures, at the start, in the middle and at the end of rows of ordinary values."""
    nan, inf = np.nan, np.inf
    x = np.zeros(shape)
    x[0, 0] = x[1, -1] = x[2, shape[1] // 2] = nan
    x[3, 0] = x[4, -1] = inf
    x[5, :] = -inf
    x[6, :-1] = -inf
    x[7, 1:] = -inf
    x[8, :], x[8, -1] = -inf, nan
    x[9, 0], x[9, -1] = inf, -inf
    return x


def _case(
    tier: Tier, shape: tuple[int, ...], make: Make, note: str = "", *, axis: int = -1, dtype: Any = np.float32
) -> Case:
    words = [note, f"axis {axis}" * (axis != -1), "fp16" * (dtype == np.float16)]
    name = ", ".join(["x".join(map(str, shape)), *(word for word in words if word)])

    def inputs(rng: np.random.Generator) -> Arrays:
        with np.errstate(over="ignore"):  # beyond fp16
            moved = np.asarray(make(rng, (*shape[:axis], *shape[axis:][1:], shape[axis])), np.float64)
            return (np.ascontiguousarray(np.moveaxis(moved, -1, axis).astype(dtype)),)

    return Case(name, tier, inputs, {} if axis == -1 else {"axis": axis}, dtype)


# Columns around vectors (8, 16), wavefronts (64), groups (256), the wave template's registers (64, 128 ... 1024), a
# block of 64 vectors (1024) and the segments of shared rows (4096); primes; one row of a million.
_SHAPES: tuple[tuple[Tier, tuple[int, ...]], ...] = (
    ("small", (3, 5)),
    ("small", (2, 67)),
    ("small", (1, 300)),
    ("edge", (0, 5)),
    ("edge", (5, 0)),
    ("edge", (1, 1)),
    ("edge", (129,)),
    ("edge", (4, 15)),
    ("edge", (4, 17)),
    ("edge", (5, 31)),
    ("edge", (33, 37)),
    ("edge", (2, 3, 64)),
    ("edge", (6, 65)),
    ("edge", (3, 255)),
    ("edge", (3, 257)),
    ("edge", (7, 1023)),
    ("edge", (2, 1024)),
    ("edge", (3, 1025)),
    ("edge", (2, 8191)),
    ("edge", (1000, 10)),
    ("large", (1823, 781)),
    ("large", (1, 1000003)),
)


def _random(rng: np.random.Generator) -> Case:
    make = (_ordinary, _huge, _peak_last)[rng.integers(3)]
    dtype = np.float16 if rng.random() < 0.3 else np.float32
    note = make.__name__.strip("_")
    if rng.random() < 0.5:
        shape: tuple[int, ...] = int(10 ** rng.uniform(0, 2)), int(10 ** rng.uniform(0, 3.5))
        return _case("edge", shape, make, note, dtype=dtype)
    rank = int(rng.integers(1, 5))
    shape = tuple(int(10 ** rng.uniform(0, 4.5 / rank)) for _ in range(rank))
    return _case("edge", shape, make, note, axis=int(rng.integers(-rank, rank)), dtype=dtype)


def _problem(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    dtype = np.float16 if sizes["half"] else np.float32
    rows, cols, inner = sizes["R"], sizes["C"], sizes["I"]
    shape = (rows, cols) if inner == 1 else (rows, cols, inner)
    return Problem((rng.standard_normal(shape, dtype=np.float32).astype(dtype),), {"axis": 1}, dtype)


SUITE = Suite(
    "softmax",
    softmax,
    softmax_tolerance,
    (
        *(_case(tier, shape, _ordinary) for tier, shape in _SHAPES),
        _case("small", (3, 70), _huge, "around 1000, -1000 and 0"),
        _case("edge", (5, 1000), _huge, "around 1000, -1000 and 0"),
        _case("small", (2, 83), _peak_last, "weight in the last column"),
        _case("edge", (2, 20011), _peak_last, "weight in the last column"),
        _case("edge", (3, 501), _wide, "vanishing and overflowing"),
        _case("small", (10, 33), _special, "NaN and infinities"),
        _case("edge", (10, 9001), _special, "NaN and infinities"),
        _case("small", (2, 35), _ordinary, dtype=np.float16),
        _case("edge", (3, 1031), _huge, "around 1000, -1000 and 0", dtype=np.float16),
        _case("edge", (2, 9001), _peak_last, "weight in the last column", dtype=np.float16),
        _case("small", (2, 5, 19), _ordinary, axis=-2),
        _case("small", (2, 3, 17), _ordinary, axis=1, dtype=np.float16),
        _case("edge", (3, 70, 33), _huge, "around 1000, -1000 and 0", axis=1),
        _case("edge", (3, 70, 33), _wide, "vanishing and overflowing", axis=1),
        _case("edge", (130, 5, 7), _peak_last, "weight in the last column", axis=0),
        _case("edge", (4, 200, 8, 8), _peak_last, "weight in the last column", axis=-3, dtype=np.float16),
        _case("edge", (33, 10), _special, "NaN and infinities", axis=0),
        _case("edge", (5, 0, 3), _ordinary, axis=1),
        _case("edge", (5, 77, 1, 1), _ordinary, axis=1),
    ),
    random=_random,
    bench=Bench(
        {"R": None, "C": None, "I": 1, "half": 0},
        _problem,
        example="512x1000",
    ),
)
