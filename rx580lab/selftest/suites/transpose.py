"""Cases of ``transpose``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rx580lab.reference.transpose import transpose, transpose_tolerance
from rx580lab.selftest.bits import a_dtype, a_shape, any_bits
from rx580lab.selftest.case import Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

# Planes around blocks (4, 8), tiles (32, 256) and lines of cache; an even innermost axis that is kept, so that elements
# widen to 16 bytes; axes that join; axes beside the plane; reversed axes; ranks 0 and 8.
_SHAPES: tuple[tuple[Tier, tuple[int, ...], tuple[int, ...] | None, str], ...] = (
    ("small", (9, 11), (1, 0), "float32"),
    ("small", (2, 33, 10), (0, 2, 1), "float16"),
    ("small", (3, 8, 9), (0, 2, 1), "int64"),
    ("small", (3, 2, 5, 3), (0, 2, 1, 3), "int8"),
    ("small", (9, 12, 16), (1, 0, 2), "bool"),
    ("edge", (), (), "float32"),
    ("edge", (1,), None, "int64"),
    ("edge", (77,), (0,), "int8"),
    ("edge", (0, 5), (1, 0), "float32"),
    ("edge", (3, 0, 5), None, "bool"),
    ("edge", (15, 16), (1, 0), "uint8"),
    ("edge", (17, 31), (1, 0), "uint8"),
    ("edge", (64, 65), (1, 0), "float16"),
    ("edge", (63, 257), None, "float32"),
    ("edge", (255, 33), (-1, 0), "int64"),
    ("edge", (7, 300), (1, 0), "float32"),
    ("edge", (300, 3), (1, 0), "int32"),
    ("edge", (3, 300, 8), (1, 0, 2), "float16"),
    ("edge", (40, 17, 4), (1, 0, 2), "float32"),
    ("edge", (17, 40, 2), (1, 0, 2), "int64"),
    ("edge", (2, 3, 28, 29), (0, 2, 3, 1), "float32"),
    ("edge", (2, 28, 29, 3), (0, 3, 1, 2), "float32"),
    ("edge", (1, 64, 15, 17), (0, 2, 3, 1), "float32"),
    ("edge", (2, 65, 9, 33), (0, 2, 1, 3), "float32"),
    ("edge", (257, 300), (1, 0), "float32"),
    ("edge", (513, 515), (1, 0), "int8"),
    ("edge", (2, 3, 2, 5, 3, 2, 3, 4), (7, 0, 6, 1, 5, 2, 4, 3), "float32"),
    ("edge", (2, 3, 2, 5, 3, 2, 3, 4), (6, 4, 2, 0, 1, 3, 5, 7), "uint8"),
    ("edge", (3, 4, 5, 6, 7), (4, 3, 2, 1, 0), "bool"),
    ("large", (1823, 781), (1, 0), "float32"),
    ("large", (3072, 3072), (1, 0), "float32"),
    ("large", (5, 70, 300, 17), (2, 0, 3, 1), "int8"),
)


def _case(tier: Tier, shape: tuple[int, ...], perm: tuple[int, ...] | None, dtype: str) -> Case:
    name = f"{dtype} {'x'.join(map(str, shape)) or 'scalar'}, perm {perm}"
    return Case(name, tier, lambda rng: (any_bits(rng, shape, dtype),), {"perm": perm}, dtype)


def _random(rng: np.random.Generator) -> Case:
    rank = int(rng.integers(0, 9))
    perm = tuple(int(axis) for axis in rng.permutation(rank))
    return _case("edge", a_shape(rng, rank), perm, a_dtype(rng))


def _planes(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    x = rng.standard_normal((sizes["B"], sizes["R"], sizes["C"]), dtype=np.float32)
    return Problem((x,), {"perm": (0, 2, 1)})


SUITE = Suite(
    "transpose",
    transpose,
    transpose_tolerance,
    tuple(_case(*each) for each in _SHAPES),
    random=_random,
    bench=Bench({"R": None, "C": None, "B": 1}, _planes, example="512x500"),
)
