"""Cases of ``embedding``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rx580lab.reference.embedding import embedding, embedding_tolerance
from rx580lab.selftest.bits import a_shape, any_bits, any_indices
from rx580lab.selftest.case import Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

# Rows around vectors (16) and off every alignment, in fp32 and fp16; ids of rank 0 to 3; ids that name no row.
_CASES: tuple[tuple[Tier, str, int, int, tuple[int, ...], str, bool], ...] = (
    ("small", "float32", 9, 37, (5,), "int64", False),
    ("small", "float16", 9, 33, (2, 3), "int32", True),
    ("small", "float32", 7, 3, (4,), "int32", True),
    ("small", "float16", 6, 64, (3,), "int64", False),
    ("edge", "float32", 5, 8, (), "int64", False),
    ("edge", "float32", 5, 8, (0, 3), "int64", False),
    ("edge", "float32", 5, 0, (3,), "int64", False),
    ("edge", "float16", 0, 8, (3,), "int64", True),
    ("edge", "float32", 257, 15, (31, 2), "int64", True),
    ("edge", "float16", 257, 17, (1, 2, 65), "int32", False),
    ("edge", "float32", 100, 255, (63,), "int64", False),
    ("edge", "float16", 33, 257, (129,), "int64", True),
    ("edge", "float16", 3, 70001, (2,), "int64", False),
    ("large", "float16", 5003, 768, (700,), "int64", False),
)


def _case(
    tier: Tier, dtype: str, n_rows: int, n_columns: int, shape: tuple[int, ...], index: str, beyond: bool
) -> Case:
    def inputs(rng: np.random.Generator) -> Arrays:
        ids = any_indices(rng, shape, n_rows, index, beyond=beyond)
        from_the_end = (ids < 0) & (not beyond)
        return np.asarray(np.where(from_the_end, ids + n_rows, ids), index), any_bits(rng, (n_rows, n_columns), dtype)

    told = f"{dtype} {n_rows}x{n_columns} by {index} {shape}{', some beyond' if beyond else ''}"
    return Case(told, tier, inputs)


def _random(rng: np.random.Generator) -> Case:
    n_rows, n_columns = (int(10 ** rng.uniform(0, 2.5)) for _ in range(2))
    shape = a_shape(rng, int(rng.integers(0, 4)), 1e5 / n_columns)
    dtype, index = ("float32", "float16")[rng.integers(2)], ("int32", "int64")[rng.integers(2)]
    return _case("edge", dtype, n_rows, n_columns, shape, index, bool(rng.random() < 0.5))


def _tokens(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    table = rng.standard_normal((sizes["V"], sizes["D"]), dtype=np.float32)
    return Problem((rng.integers(0, sizes["V"], sizes["T"]), table.astype(np.float16) if sizes["half"] else table))


SUITE = Suite(
    "embedding",
    embedding,
    embedding_tolerance,
    tuple(_case(*each) for each in _CASES),
    random=_random,
    bench=Bench({"V": None, "D": None, "T": None, "half": 0}, _tokens, example="1000x256x512"),
)
