"""Cases of ``topk``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rx580lab.reference.topk import topk, topk_tolerance
from rx580lab.selftest.case import AnyArray, Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

Make = Callable[[np.random.Generator, tuple[int, ...], str], AnyArray]


def _ordinary(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> AnyArray:
    if np.dtype(dtype).kind == "f":
        return (rng.standard_normal(shape) * 4).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def _ties(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> AnyArray:
    """Few values, so that most places are decided by their order; zeros of both signs among them."""
    x = rng.integers(-3, 4, shape).astype(dtype)
    return np.where(rng.integers(0, 2, shape) == 1, x, -x)


def _rising(_rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> AnyArray:
    """Each element better than all before it: a heap takes every one."""
    return (np.arange(np.prod(shape)).reshape(shape) % 30011).astype(dtype)


def _special(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> AnyArray:
    """NaN of both signs, infinities and zeros of both signs among ordinary values; rows of NaN and of -infinity."""
    x = _ordinary(rng, shape, dtype)
    flat = x.reshape(-1)
    for value in (np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0):
        flat[rng.integers(0, flat.size, max(3, flat.size // 40))] = value
    x[0], x[1] = np.nan, -np.inf
    return x


def _extremes(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> AnyArray:
    limits = np.iinfo(dtype)
    return rng.choice(np.array([limits.min, limits.min + 1, -1, 0, 1, limits.max - 1, limits.max], dtype), shape)


def _case(
    tier: Tier, shape: tuple[int, ...], keywords: Mapping[str, Any], dtype: str = "float32", make: Make = _ordinary
) -> Case:
    words = " ".join(f"{name}={value}" for name, value in keywords.items())
    note = make.__name__.strip("_")

    def inputs(rng: np.random.Generator) -> Arrays:
        return (make(rng, shape, dtype),)

    return Case(f"{'x'.join(map(str, shape))} {dtype} {words} {note}", tier, inputs, keywords, dtype)


# Columns around the cpu template's blocks (64) and the gpu template's groups (256); k from 0 to all, around powers of
# two, which the gpu template sorts; the last axis, others, and one between; one row of a vocabulary, one of a million.
_SHAPES: tuple[tuple[Tier, tuple[int, ...], dict[str, Any]], ...] = (
    ("small", (2, 70), {"k": 5}),
    ("small", (3, 5, 2), {"k": 3, "axis": 1, "largest": False}),
    ("edge", (1,), {"k": 1}),
    ("edge", (3, 0), {"k": 0}),
    ("edge", (0, 4), {"k": 2}),
    ("edge", (3, 4), {"k": 0}),
    ("edge", (7, 2), {"k": 2, "largest": False}),
    ("edge", (4, 63), {"k": 1}),
    ("edge", (5, 65), {"k": 64}),
    ("edge", (4, 129), {"k": 33, "largest": False}),
    ("edge", (3, 255), {"k": 255}),
    ("edge", (2, 257), {"k": 17}),
    ("edge", (70, 10), {"k": 3, "axis": 0}),
    ("edge", (2, 300, 3, 2), {"k": 31, "axis": -3, "sorted": False}),
    ("edge", (2, 1500), {"k": 1024}),
    ("edge", (1, 3000), {"k": 1500, "largest": False}),
    ("edge", (2, 20011), {"k": 40}),
    ("edge", (1, 70001), {"k": 1}),
    ("large", (1, 50257), {"k": 40}),
    ("large", (1, 1000003), {"k": 100, "largest": False}),
)


def _cases() -> list[Case]:
    found = [_case(tier, shape, keywords) for tier, shape, keywords in _SHAPES]
    for kind in ("float16", "int32", "int64"):
        found += [
            _case("small", (2, 69), {"k": 5}, kind),
            _case("edge", (3, 700), {"k": 65, "largest": False}, kind),
            _case("edge", (5, 300, 2), {"k": 9, "axis": 1}, kind),
            _case("edge", (2, 9001), {"k": 40}, kind, _rising),
        ]
    for kind in ("float32", "float16", "int32", "int64"):
        found += [_case("edge", (4, 517), {"k": 129, "largest": largest}, kind, _ties) for largest in (True, False)] + [
            _case("small", (2, 70), {"k": 9}, kind, _ties)
        ]
    for kind in ("float32", "float16"):
        found += [
            _case("edge", (6, 400), {"k": k, "largest": largest}, kind, _special)
            for k in (3, 60, 400)
            for largest in (True, False)
        ]
    found += [_case("edge", (3, 500), {"k": 90, "largest": False}, kind, _extremes) for kind in ("int32", "int64")]
    return [*found, _case("edge", (1, 30000), {"k": 300}, make=_rising)]


def _random(rng: np.random.Generator) -> Case:
    """Any rank, axis, k, type and order."""
    rank = int(rng.integers(1, 4))
    shape = tuple(int(10 ** rng.uniform(0, (4.0, 2.2, 1.4)[rank - 1])) for _ in range(rank))
    axis = int(rng.integers(-rank, rank))
    kind = str(rng.choice(["float32", "float16", "int32", "int64"]))
    k = min(int(shape[axis] ** rng.uniform(0, 1) + 0.5), shape[axis])
    makes = [_ordinary, _ties, _rising]
    make = makes[rng.integers(len(makes))]
    return _case("edge", shape, {"k": k, "axis": axis, "largest": bool(rng.integers(2))}, kind, make)


SUITE = Suite(
    "topk",
    topk,
    topk_tolerance,
    tuple(_cases()),
    random=_random,
    bench=Bench(
        {"R": None, "C": None, "k": 40},
        lambda sizes, rng: Problem(
            (rng.standard_normal((sizes["R"], sizes["C"]), dtype=np.float32),), {"k": sizes["k"]}
        ),
        example="1x50257",
    ),
)
