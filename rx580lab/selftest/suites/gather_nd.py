"""Cases of ``gather_nd``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rx580lab.reference.gather_nd import gather_nd, gather_nd_tolerance
from rx580lab.selftest.bits import a_dtype, a_shape, any_bits, any_indices
from rx580lab.selftest.case import Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

# Depths from 1 to all axes; batches; rows of one element, odd ones and vectors; no indices; indices that name nothing.
_CASES: tuple[tuple[Tier, str, tuple[int, ...], tuple[int, ...], int, str, bool], ...] = (
    ("small", "float32", (5, 4, 33), (7, 2), 0, "int64", False),
    ("small", "int8", (3, 4, 9), (6, 3), 0, "int32", True),
    ("small", "float16", (2, 6, 40), (2, 5, 1), 1, "int64", True),
    ("small", "int64", (3, 4, 2), (3, 2), 0, "int64", False),
    ("edge", "float32", (9,), (1,), 0, "int64", False),
    ("edge", "float32", (4, 5), (0, 2), 0, "int32", False),
    ("edge", "float32", (0, 5), (3, 1), 0, "int64", True),
    ("edge", "uint8", (31, 255), (65, 1), 0, "int32", True),
    ("edge", "bool", (17, 33, 16), (15, 4, 2), 0, "int64", False),
    ("edge", "float32", (2, 3, 15, 8), (2, 3, 17, 1), 2, "int64", True),
    ("edge", "int32", (2, 3, 15, 8), (2, 31, 3), 1, "int32", True),
    ("edge", "float16", (2, 3, 2, 2, 3, 2, 3, 2), (65, 8), 0, "int64", True),
    ("edge", "float32", (3, 2, 50001), (2, 2), 0, "int64", False),
    ("large", "float32", (40, 50, 781), (900, 2), 0, "int64", False),
)


def _case(
    tier: Tier,
    dtype: str,
    shape: tuple[int, ...],
    of_indices: tuple[int, ...],
    batch_dims: int,
    index: str,
    beyond: bool,
) -> Case:
    def inputs(rng: np.random.Generator) -> Arrays:
        named = shape[batch_dims : batch_dims + of_indices[-1]]
        each = [any_indices(rng, of_indices[:-1], n, index, beyond=beyond) for n in named]
        return any_bits(rng, shape, dtype), np.stack(each, axis=-1)

    told = f"{dtype} {'x'.join(map(str, shape))} by {index} {of_indices}, {batch_dims} batch axes"
    return Case(told + (", some beyond" if beyond else ""), tier, inputs, {"batch_dims": batch_dims}, dtype)


def _random(rng: np.random.Generator) -> Case:
    shape = a_shape(rng, int(rng.integers(1, 9)), 1e4)
    batch_dims = int(rng.integers(0, len(shape)))
    while np.prod(shape[:batch_dims]) > 500:  # the oracle fetches slice by slice
        batch_dims -= 1
    depth = int(rng.integers(1, len(shape) - batch_dims + 1))
    between = () if batch_dims and rng.random() < 0.3 else a_shape(rng, 1, 500 / np.prod(shape[:batch_dims]))
    index = ("int32", "int64")[rng.integers(2)]
    of_indices = (*shape[:batch_dims], *between, depth)
    return _case("edge", a_dtype(rng), shape, of_indices, batch_dims, index, bool(rng.random() < 0.5))


def _rows(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    x = rng.standard_normal((sizes["N"], sizes["C"]), dtype=np.float32)
    return Problem((x, rng.integers(0, sizes["N"], (sizes["I"], 1))))


SUITE = Suite(
    "gather_nd",
    gather_nd,
    gather_nd_tolerance,
    tuple(_case(*each) for each in _CASES),
    random=_random,
    bench=Bench({"N": None, "I": None, "C": None}, _rows, example="1000x512x256"),
)
