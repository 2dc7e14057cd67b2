"""Cases of ``concat``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rx580lab.reference.concat import concat, concat_tolerance
from rx580lab.selftest.bits import a_dtype, a_shape, any_bits
from rx580lab.selftest.case import Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

# Lengths of each array along the axis. Odd ones put what follows off every alignment; empty arrays; one array; many.
_CASES: tuple[tuple[Tier, str, tuple[int, ...], int, tuple[int, ...]], ...] = (
    ("small", "float32", (4, 0), 1, (3, 40, 5)),
    ("small", "int8", (0, 7), 0, (2, 5, 1)),
    ("small", "float16", (2, 0, 6), 1, (3, 3)),
    ("small", "int64", (3, 0), -1, (9,)),
    ("small", "bool", (4, 0), 1, (16, 32)),
    ("edge", "float32", (0,), 0, (0, 5, 0)),
    ("edge", "float32", (0, 3), 0, (0, 0)),
    ("edge", "float32", (0, 0), 0, (4, 5)),
    ("edge", "int32", (17, 0), 1, (15, 16, 17, 31, 33)),
    ("edge", "uint8", (65, 0), 1, (255, 257, 1)),
    ("edge", "float16", (3, 0, 63), -2, (1, 2, 3, 4, 5, 6, 7)),
    ("edge", "float32", (2, 0, 14, 15), 1, (8, 3, 5)),
    ("edge", "float32", (1, 0, 14, 15), 1, (8, 16, 8, 16)),
    ("edge", "int64", (2, 1, 3, 1, 2, 2, 0, 3), 6, (2, 3)),
    ("edge", "float32", (3, 0), 1, (1,) * 33),
    ("edge", "float32", (2, 0), 1, (100003, 17)),
    ("large", "float32", (781, 0), 1, (1000, 823)),
)


def _case(tier: Tier, dtype: str, shape: tuple[int, ...], axis: int, lengths: tuple[int, ...]) -> Case:
    """``shape`` has any number along ``axis``."""

    def inputs(rng: np.random.Generator) -> Arrays:
        k = axis % len(shape)
        return tuple(any_bits(rng, (*shape[:k], n, *shape[k + 1 :]), dtype) for n in lengths)

    told = "x".join("?" if k == axis % len(shape) else str(n) for k, n in enumerate(shape))
    return Case(f"{dtype} {told}, axis {axis}, {'+'.join(map(str, lengths))}", tier, inputs, {"axis": axis}, dtype)


def _random(rng: np.random.Generator) -> Case:
    shape = a_shape(rng, int(rng.integers(1, 9)))
    axis = int(rng.integers(-len(shape), len(shape)))
    lengths = tuple(int(n) for n in rng.integers(0, shape[axis] + 2, int(rng.integers(1, 6))))
    return _case("edge", a_dtype(rng), shape, axis, lengths)


def _halves(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    arrays = tuple(rng.standard_normal((sizes["R"], sizes["C"]), dtype=np.float32) for _ in range(sizes["arrays"]))
    return Problem(arrays, {"axis": 1})


SUITE = Suite(
    "concat",
    concat,
    concat_tolerance,
    tuple(_case(*each) for each in _CASES),
    random=_random,
    bench=Bench({"R": None, "C": None, "arrays": 2}, _halves, example="512x500"),
)
