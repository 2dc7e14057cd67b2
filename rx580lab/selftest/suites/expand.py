"""Cases of ``expand``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rx580lab.reference.expand import expand, expand_tolerance
from rx580lab.selftest.bits import a_dtype, a_shape, any_bits
from rx580lab.selftest.case import Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

# Repeats inside, outside and between; axes in front; x the longer one; lengths around vectors; nothing at all.
_CASES: tuple[tuple[Tier, str, tuple[int, ...], tuple[int, ...]], ...] = (
    ("small", "float32", (5, 1), (5, 37)),
    ("small", "int8", (1, 33), (4, 33)),
    ("small", "float16", (3, 1, 4), (2, 3, 5, 4)),
    ("small", "int64", (2, 1, 3), (2, 4, 1)),
    ("small", "bool", (1, 1), (9, 7)),
    ("small", "float32", (6, 4), (3, 6, 4)),
    ("edge", "float32", (), ()),
    ("edge", "float32", (), (300,)),
    ("edge", "int32", (5, 6), (1,)),
    ("edge", "float32", (1, 4), (0, 4)),
    ("edge", "float32", (0, 1), (0, 9)),
    ("edge", "uint8", (17, 1, 31), (17, 15, 31)),
    ("edge", "float16", (1, 257), (65, 257)),
    ("edge", "float32", (2, 8, 1, 1), (2, 8, 16, 17)),
    ("edge", "int64", (1, 255, 1), (3, 255, 33)),
    ("edge", "bool", (3, 1, 2, 1, 3, 1, 2, 1), (3, 4, 2, 3, 3, 2, 2, 5)),
    ("edge", "float32", (1, 1, 4096), (2, 31, 4096)),
    ("large", "float32", (1823, 1), (1823, 781)),
)


def _case(tier: Tier, dtype: str, given: tuple[int, ...], shape: tuple[int, ...]) -> Case:
    name = f"{dtype} {'x'.join(map(str, given)) or 'scalar'} to {'x'.join(map(str, shape)) or 'scalar'}"
    return Case(name, tier, lambda rng: (any_bits(rng, given, dtype),), {"shape": shape}, dtype)


def _random(rng: np.random.Generator) -> Case:
    full = a_shape(rng, int(rng.integers(0, 9)))
    ours = [n if rng.random() < 0.6 else 1 for n in full]
    theirs = [full[k] if ours[k] != full[k] or rng.random() < 0.7 else 1 for k in range(len(full))]
    given = tuple(ours[rng.integers(0, len(ours) + 1) :] if rng.random() < 0.3 else ours)
    shape = full if len(given) < len(full) else tuple(theirs)
    return _case("edge", a_dtype(rng), given, shape)


def _rows(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    return Problem((rng.standard_normal((1, sizes["C"]), dtype=np.float32),), {"shape": (sizes["R"], sizes["C"])})


SUITE = Suite(
    "expand",
    expand,
    expand_tolerance,
    tuple(_case(*each) for each in _CASES),
    random=_random,
    bench=Bench({"R": None, "C": None}, _rows, example="512x500"),
)
