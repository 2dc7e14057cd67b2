"""Cases of ``slice``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rx580lab.reference.slice import slice, slice_tolerance  # noqa: A004
from rx580lab.selftest.bits import a_dtype, a_shape, any_bits
from rx580lab.selftest.case import Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

_LEAST, _MOST = -(2**63), 2**63 - 1
Ranges = tuple[tuple[int, int, int, int], ...]

# (axis, start, end, step) of each range. Rows around vectors (32 bytes) and beyond; odd starts, so that rows lie off
# every alignment; kept and joined axes; steps of both signs; ranges beyond the ends, and empty ones.
_CASES: tuple[tuple[Tier, str, tuple[int, ...], Ranges], ...] = (
    ("small", "float32", (5, 41), ((1, 3, 40, 1),)),
    ("small", "int8", (3, 7, 9), ((0, 2, _LEAST, -1), (2, 1, _MOST, 3))),
    ("small", "float16", (4, 6, 5), ((1, -5, -1, 2),)),
    ("small", "int64", (6, 50), ((0, 1, 5, 1),)),
    ("small", "bool", (6, 64), ((0, 5, 0, -2),)),
    ("edge", "float32", (), ()),
    ("edge", "float32", (300,), ((0, 17, 17, 1),)),
    ("edge", "float32", (300,), ((0, 200, 100, 1),)),
    ("edge", "float32", (0, 4), ((1, 1, 3, 1),)),
    ("edge", "int32", (0,), ((0, 5, -9, -1),)),
    ("edge", "int32", (31,), ((0, -100, -200, -1),)),
    ("edge", "int32", (31,), ((0, _MOST, _LEAST, -1),)),
    ("edge", "int64", (257,), ((0, _LEAST, _MOST, 255),)),
    ("edge", "uint8", (65, 255), ((0, 1, 64, 1), (1, 1, 254, 1))),
    ("edge", "uint8", (33, 31), ((1, 0, 15, 1),)),
    ("edge", "float16", (17, 16, 15), ((0, 1, 17, 3), (1, 15, 2, -4), (-1, -2, -14, -1))),
    ("edge", "float32", (2, 3, 28, 29), ((2, 1, 27, 1), (3, 1, 28, 1))),
    ("edge", "float32", (2, 8, 16, 32), ((1, 4, 8, 1),)),
    ("edge", "bool", (3, 2, 3, 2, 3, 2, 3, 4), ((0, 2, 0, -1), (2, 0, 2, 1), (4, 1, 3, 1), (6, 2, _LEAST, -2))),
    ("edge", "float32", (3, 200003), ((1, 1, 200002, 1),)),
    ("large", "float32", (2100, 4200), ((1, 3, 4196, 1),)),
    ("large", "int8", (1823, 781, 3), ((1, 780, 0, -3), (2, 0, 2, 1))),
)


def _case(tier: Tier, dtype: str, shape: tuple[int, ...], ranges: Ranges) -> Case:
    told = ", ".join(f"{axis}: {start} to {end} by {step}" for axis, start, end, step in ranges)
    axes, starts, ends, steps = zip(*ranges, strict=True) if ranges else ((), (), (), ())
    keywords = {"starts": starts, "ends": ends, "axes": axes, "steps": steps}
    name = f"{dtype} {'x'.join(map(str, shape)) or 'scalar'}, {told or 'all'}"
    return Case(name, tier, lambda rng: (any_bits(rng, shape, dtype),), keywords, dtype)


def _random(rng: np.random.Generator) -> Case:
    shape = a_shape(rng, int(rng.integers(0, 9)))
    axes = rng.permutation(len(shape))[: rng.integers(0, len(shape) + 1)]
    ranges = []
    for axis in axes:
        n = shape[axis]
        start, end = rng.integers(-n - 2, n + 3, 2)
        if rng.random() < 0.7:  # mostly not empty
            start, end = 0, _MOST
        step = int(rng.choice([1, 1, 2, 3, n, -1, -2, -n]))
        ranges.append((int(axis), *((int(start), int(end)) if step > 0 else (int(end), int(start) - n - 1)), step))
    return _case("edge", a_dtype(rng), shape, tuple(ranges))


def _columns(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    x = rng.standard_normal((sizes["R"], sizes["C"]), dtype=np.float32)
    return Problem((x,), {"starts": (0, 1), "ends": (sizes["R"], sizes["C"]), "steps": (1, sizes["step"])})


SUITE = Suite(
    "slice",
    slice,
    slice_tolerance,
    tuple(_case(*each) for each in _CASES),
    random=_random,
    bench=Bench({"R": None, "C": None, "step": 1}, _columns, example="512x500"),
)
