"""Cases of ``tile``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rx580lab.reference.tile import tile, tile_tolerance
from rx580lab.selftest.bits import a_dtype, a_shape, any_bits
from rx580lab.selftest.case import Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

# Repeats of single axes and of all; rows around vectors; nothing at all; more axes than one launch takes.
_CASES: tuple[tuple[Tier, str, tuple[int, ...], tuple[int, ...]], ...] = (
    ("small", "float32", (3, 17), (2, 3)),
    ("small", "int8", (5, 40), (3, 1)),
    ("small", "float16", (2, 3, 4), (1, 4, 2)),
    ("small", "int64", (7, 1), (1, 9)),
    ("small", "bool", (2, 8), (3, 2)),
    ("edge", "float32", (), ()),
    ("edge", "float32", (5,), (0,)),
    ("edge", "float32", (0, 3), (2, 2)),
    ("edge", "int32", (1,), (257,)),
    ("edge", "uint8", (31, 33), (1, 5)),
    ("edge", "float16", (15, 16), (17, 1)),
    ("edge", "float32", (2, 3, 5, 7), (3, 1, 2, 1)),
    ("edge", "int64", (255, 3), (2, 65)),
    ("edge", "bool", (2, 3, 2, 2, 2, 2, 2, 2), (2, 2, 2, 2, 2, 2, 3, 2)),
    ("large", "float32", (781, 100), (3, 17)),
)


def _case(tier: Tier, dtype: str, shape: tuple[int, ...], repeats: tuple[int, ...]) -> Case:
    name = f"{dtype} {'x'.join(map(str, shape)) or 'scalar'}, repeats {repeats}"
    return Case(name, tier, lambda rng: (any_bits(rng, shape, dtype),), {"repeats": repeats}, dtype)


def _random(rng: np.random.Generator) -> Case:
    shape = a_shape(rng, int(rng.integers(0, 9)), 1e4)
    most = 10 if len(shape) < 3 else 2
    repeats = tuple(
        int(n) if rng.random() < 0.5 else 1 for n in rng.integers(0 if rng.random() < 0.1 else 1, most + 1, len(shape))
    )
    return _case("edge", a_dtype(rng), shape, repeats)


def _rows(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    x = rng.standard_normal((sizes["R"], sizes["C"]), dtype=np.float32)
    return Problem((x,), {"repeats": (sizes["times"], 1)})


SUITE = Suite(
    "tile",
    tile,
    tile_tolerance,
    tuple(_case(*each) for each in _CASES),
    random=_random,
    bench=Bench({"R": None, "C": None, "times": 4}, _rows, example="128x500"),
)
