"""Cases of ``batchnorm``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rx580lab.reference.batchnorm import batchnorm, batchnorm_tolerance
from rx580lab.selftest.case import Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]


def _arrays(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, offset: float = 1.0) -> Arrays:
    width = shape[1]
    x = rng.standard_normal(shape) * 3 + offset
    scale, bias, mean = rng.uniform(-2, 2, width), rng.standard_normal(width), rng.standard_normal(width) + offset
    return tuple(one.astype(dtype) for one in (x, scale, bias, mean, rng.uniform(0.01, 9, width)))


def _special(rng: np.random.Generator) -> Arrays:
    """NaN and infinities in x spoil only themselves, in a channel's parameters only that channel."""
    x, scale, bias, mean, variance = (np.array(one) for one in _arrays(rng, (2, 5, 37), np.float32))
    x[0, 0, 0], x[1, 1, 36], x[0, 2, 17] = np.nan, np.inf, -np.inf
    bias[3], scale[4] = np.nan, np.inf
    return x, scale, bias, mean, variance


def _case(
    tier: Tier,
    shape: tuple[int, ...],
    note: str = "",
    *,
    dtype: Any = np.float32,
    offset: float = 1.0,
    **keywords: Any,
) -> Case:
    words = [note, *(f"{name} {value}" for name, value in keywords.items()), "fp16" * (dtype == np.float16)]
    name = ", ".join(["x".join(map(str, shape)), *(word for word in words if word)])
    return Case(name, tier, lambda rng: _arrays(rng, shape, dtype, offset), keywords, dtype)


# Values per channel around the vector (16) and a group of the plain template (64).
_SHAPES: tuple[tuple[Tier, tuple[int, ...]], ...] = (
    ("small", (2, 3, 5)),
    ("small", (1, 2, 35)),
    ("edge", (0, 3, 4)),
    ("edge", (3, 0, 4)),
    ("edge", (3, 4, 0)),
    ("edge", (1, 1)),
    ("edge", (33, 7)),
    ("edge", (2, 3, 15)),
    ("edge", (2, 3, 16)),
    ("edge", (3, 5, 17)),
    ("edge", (2, 7, 9, 7)),
    ("edge", (1, 3, 5, 7, 11)),
    ("edge", (2, 65, 64)),
    ("edge", (1, 1, 255)),
    ("edge", (257, 3)),
    ("large", (2, 61, 113, 97)),
)
_ACTIVATIONS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("relu", {}),
    ("clip", {"alpha": 0.0, "beta": 6.0}),
    ("hard_swish", {}),
    ("silu", {}),
)


def _random(rng: np.random.Generator) -> Case:
    rank = int(rng.integers(2, 6))
    shape = tuple(int(10 ** rng.uniform(0, 4.5 / rank)) for _ in range(rank))
    dtype = np.float16 if rng.random() < 0.3 else np.float32
    keywords: dict[str, Any] = {"epsilon": float(10 ** rng.uniform(-7, -2))}
    if rng.random() < 0.5:
        name, more = _ACTIVATIONS[rng.integers(len(_ACTIVATIONS))]
        keywords |= {"activation": name, **more}
    return _case("edge", shape, dtype=dtype, offset=float(rng.uniform(-100, 100)), **keywords)


def _problem(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    dtype = np.float16 if sizes["half"] else np.float32
    return Problem(_arrays(rng, (sizes["N"], sizes["C"], sizes["I"]), dtype), dtype=dtype)


SUITE = Suite(
    "batchnorm",
    batchnorm,
    batchnorm_tolerance,
    (
        *(_case(tier, shape) for tier, shape in _SHAPES),
        _case("small", (2, 2, 19), dtype=np.float16),
        _case("edge", (3, 6, 11, 13), dtype=np.float16),
        _case("edge", (3, 4, 300), "mean 10000, spread 3", offset=1e4, epsilon=1e-3),
        *(_case("edge", (2, 5, 67), activation=name, **more) for name, more in _ACTIVATIONS),
        Case("NaN and infinities", "small", _special),
    ),
    random=_random,
    bench=Bench({"N": None, "C": None, "I": None, "half": 0}, _problem, example="1x64x3136"),
)
