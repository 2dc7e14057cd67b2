"""Cases of ``scatter_elements``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rx580lab.reference.scatter_elements import scatter_elements, scatter_elements_tolerance
from rx580lab.selftest.bits import a_dtype, a_shape, any_bits, any_indices
from rx580lab.selftest.case import Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

# Axes in front, between and behind; other axes shorter than x's, so that they cannot join; nothing; some that name
# nothing. No two name the same element: then any may win.
_CASES: tuple[tuple[Tier, str, tuple[int, ...], tuple[int, ...], int, str, bool], ...] = (
    ("small", "float32", (5, 37), (3, 37), 0, "int64", False),
    ("small", "int8", (3, 9, 9), (2, 7, 5), 1, "int32", True),
    ("small", "float16", (4, 33), (4, 30), -1, "int64", True),
    ("small", "int64", (6, 3), (4, 3), 0, "int32", False),
    ("edge", "float32", (9,), (0,), 0, "int64", False),
    ("edge", "float32", (0, 5), (0, 5), 1, "int64", False),
    ("edge", "int32", (300,), (257,), 0, "int64", True),
    ("edge", "uint8", (31, 255), (30, 65), 1, "int32", False),
    ("edge", "float16", (33, 15, 16), (17, 15, 16), -3, "int64", True),
    ("edge", "bool", (2, 63, 8, 5), (2, 15, 7, 5), 1, "int64", False),
    ("edge", "int64", (2, 3, 2, 2, 3, 2, 9, 2), (2, 2, 2, 1, 3, 2, 7, 1), 6, "int32", True),
    ("large", "float32", (1823, 781), (1700, 781), 0, "int64", False),
)


def _case(
    tier: Tier, dtype: str, shape: tuple[int, ...], of_indices: tuple[int, ...], axis: int, index: str, beyond: bool
) -> Case:
    def inputs(rng: np.random.Generator) -> Arrays:
        n, k = shape[axis], axis % len(shape)
        order = np.argsort(rng.random((*of_indices[:k], n, *of_indices[k + 1 :])), axis=k)
        distinct = np.take(order, np.arange(of_indices[k]), axis=k)
        distinct = np.where(rng.random(of_indices) < 0.5, distinct, distinct - n)
        if beyond:
            outside = any_indices(rng, of_indices, n, index, beyond=True)
            distinct = np.where((outside < -n) | (outside >= n), outside, distinct)
        return any_bits(rng, shape, dtype), distinct.astype(index), any_bits(rng, of_indices, dtype)

    told = (
        f"{dtype} {'x'.join(map(str, shape))} by {index} {of_indices}, axis {axis}{', some beyond' if beyond else ''}"
    )
    return Case(told, tier, inputs, {"axis": axis}, dtype)


def _random(rng: np.random.Generator) -> Case:
    shape = a_shape(rng, int(rng.integers(1, 9)))
    axis = int(rng.integers(-len(shape), len(shape)))
    of_indices = tuple(int(rng.integers(1, n + 1)) if rng.random() < 0.5 else n for n in shape)
    index = ("int32", "int64")[rng.integers(2)]
    return _case("edge", a_dtype(rng), shape, of_indices, axis, index, bool(rng.random() < 0.5))


def _columns(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    x, updates = (rng.standard_normal((sizes[n], sizes["C"]), dtype=np.float32) for n in ("N", "I"))
    indices = np.argsort(rng.random((sizes["N"], sizes["C"])), axis=0)[: sizes["I"]]
    return Problem((x, indices, updates[: sizes["N"]]), {"axis": 0})


SUITE = Suite(
    "scatter_elements",
    scatter_elements,
    scatter_elements_tolerance,
    tuple(_case(*each) for each in _CASES),
    random=_random,
    bench=Bench({"N": None, "I": None, "C": None}, _columns, example="1000x512x256"),
)
