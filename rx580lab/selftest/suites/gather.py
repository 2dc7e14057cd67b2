"""Cases of ``gather``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rx580lab.reference.gather import gather, gather_tolerance
from rx580lab.selftest.bits import a_dtype, a_shape, any_bits, any_indices
from rx580lab.selftest.case import Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

# Rows of one element, of odd ones, of vectors; the first, a middle and the last axis; scalars, ranks and no indices;
# indices that name nothing.
_CASES: tuple[tuple[Tier, str, tuple[int, ...], tuple[int, ...], int, str, bool], ...] = (
    ("small", "float32", (5, 37), (7,), 0, "int64", False),
    ("small", "int8", (3, 4, 9), (2, 3), 1, "int32", True),
    ("small", "float16", (4, 33), (5,), -1, "int64", True),
    ("small", "int64", (6, 3), (4,), 0, "int32", False),
    ("small", "bool", (3, 64), (9,), 0, "int64", True),
    ("edge", "float32", (9,), (), 0, "int64", False),
    ("edge", "float32", (4, 5), (), 1, "int32", False),
    ("edge", "float32", (4, 5), (0,), 0, "int64", False),
    ("edge", "float32", (0, 5), (3,), 0, "int64", True),
    ("edge", "float32", (5, 0), (3,), 0, "int64", False),
    ("edge", "int32", (257,), (300,), 0, "int64", True),
    ("edge", "uint8", (31, 255), (65,), 0, "int32", False),
    ("edge", "float16", (33, 15), (17, 16), -2, "int64", True),
    ("edge", "float32", (2, 63, 8, 5), (15,), 1, "int64", False),
    ("edge", "int64", (2, 3, 2, 2, 3, 2, 9, 2), (4, 5), 6, "int32", True),
    ("edge", "float32", (3, 100003), (2,), 0, "int64", False),
    ("large", "float32", (1823, 781), (2500,), 0, "int64", False),
)


def _case(
    tier: Tier, dtype: str, shape: tuple[int, ...], of_indices: tuple[int, ...], axis: int, index: str, beyond: bool
) -> Case:
    def inputs(rng: np.random.Generator) -> Arrays:
        return any_bits(rng, shape, dtype), any_indices(rng, of_indices, shape[axis], index, beyond=beyond)

    told = (
        f"{dtype} {'x'.join(map(str, shape))} by {index} {of_indices}, axis {axis}{', some beyond' if beyond else ''}"
    )
    return Case(told, tier, inputs, {"axis": axis}, dtype)


def _random(rng: np.random.Generator) -> Case:
    shape = a_shape(rng, int(rng.integers(1, 9)), 1e4)
    axis = int(rng.integers(-len(shape), len(shape)))
    of_indices = a_shape(rng, int(rng.integers(0, 3)), 10 * shape[axis])
    index = ("int32", "int64")[rng.integers(2)]
    return _case("edge", a_dtype(rng), shape, of_indices, axis, index, bool(rng.random() < 0.5))


def _rows(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    x = rng.standard_normal((sizes["N"], sizes["C"]), dtype=np.float32)
    return Problem((x, rng.integers(0, sizes["N"], sizes["I"])), {"axis": 0})


SUITE = Suite(
    "gather",
    gather,
    gather_tolerance,
    tuple(_case(*each) for each in _CASES),
    random=_random,
    bench=Bench({"N": None, "I": None, "C": None}, _rows, example="1000x512x256"),
)
