"""Cases of ``scatter_nd``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rx580lab.reference.scatter_nd import scatter_nd, scatter_nd_tolerance
from rx580lab.selftest.bits import a_dtype, a_shape, any_bits, distinct_rows
from rx580lab.selftest.case import Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

# Depths from 1 to all axes; rows of one element, odd ones and vectors; no indices; indices that name nothing. No two
# name the same slice: then any may win.
_CASES: tuple[tuple[Tier, str, tuple[int, ...], int, int, str, bool], ...] = (
    ("small", "float32", (5, 4, 33), 7, 2, "int64", False),
    ("small", "int8", (3, 4, 9), 20, 3, "int32", True),
    ("small", "float16", (6, 40), 3, 1, "int64", True),
    ("small", "int64", (3, 4, 2), 5, 2, "int64", False),
    ("edge", "float32", (9,), 1, 1, "int64", False),
    ("edge", "float32", (4, 5), 0, 2, "int32", False),
    ("edge", "float32", (5, 0), 3, 1, "int64", False),
    ("edge", "uint8", (31, 255), 17, 1, "int32", True),
    ("edge", "bool", (17, 33, 16), 257, 2, "int64", False),
    ("edge", "float32", (15, 8, 3), 65, 2, "int64", True),
    ("edge", "int32", (2, 3, 15, 8), 300, 4, "int32", True),
    ("edge", "float16", (2, 3, 2, 2, 3, 2, 3, 2), 63, 7, "int64", True),
    ("edge", "float32", (3, 2, 50001), 3, 2, "int64", False),
    ("large", "float32", (40, 50, 781), 900, 2, "int64", False),
)


def _case(tier: Tier, dtype: str, shape: tuple[int, ...], n_rows: int, depth: int, index: str, beyond: bool) -> Case:
    def inputs(rng: np.random.Generator) -> Arrays:
        rows = distinct_rows(rng, shape[:depth], n_rows)
        if beyond and len(rows):
            widest = np.iinfo(np.dtype(index))
            outside = rng.choice([shape[0], -shape[0] - 1, widest.min, widest.max], len(rows))
            rows[:, 0] = np.where(rng.random(len(rows)) < 0.3, outside, rows[:, 0])
        updates = any_bits(rng, (len(rows), *shape[depth:]), dtype)
        return any_bits(rng, shape, dtype), rows.astype(index), updates

    told = f"{dtype} {'x'.join(map(str, shape))}, {n_rows} rows by {depth} {index}{', some beyond' if beyond else ''}"
    return Case(told, tier, inputs, {}, dtype)


def _random(rng: np.random.Generator) -> Case:
    shape = a_shape(rng, int(rng.integers(1, 9)), 1e4)
    depth = int(rng.integers(1, len(shape) + 1))
    index = ("int32", "int64")[rng.integers(2)]
    return _case("edge", a_dtype(rng), shape, int(rng.integers(0, 500)), depth, index, bool(rng.random() < 0.5))


def _rows(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    x, updates = (rng.standard_normal((sizes[n], sizes["C"]), dtype=np.float32) for n in ("N", "I"))
    return Problem((x, rng.permutation(sizes["N"])[: sizes["I"], None], updates[: sizes["N"]]))


SUITE = Suite(
    "scatter_nd",
    scatter_nd,
    scatter_nd_tolerance,
    tuple(_case(*each) for each in _CASES),
    random=_random,
    bench=Bench({"N": None, "I": None, "C": None}, _rows, example="1000x512x256"),
)
