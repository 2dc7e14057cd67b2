"""Cases of ``dynamic_quantize``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rx580lab.reference.dynamic_quantize import dynamic_quantize, dynamic_quantize_tolerance
from rx580lab.selftest.case import AnyArray, Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

Make = Callable[[np.random.Generator, tuple[int, ...]], AnyArray]


def _ordinary(rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    return np.asarray(rng.standard_normal(shape) * 3 + 1).astype(np.float32)


def _positive(rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    """Nothing below 0, which the range holds all the same."""
    return rng.uniform(2, 9, shape).astype(np.float32)


def _negative(rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    return -_positive(rng, shape)


def _zeros(_rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    return np.zeros(shape, np.float32)


def _peaks(rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    """The extremes first and last, where a part or a tail might miss them."""
    x = _ordinary(rng, shape)
    x.reshape(-1)[0], x.reshape(-1)[-1] = 100, -300
    return x


def _holes(rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    """NaN here and there."""
    x = _ordinary(rng, shape)
    x[rng.random(shape) < 0.1] = np.nan
    return x


def _case(tier: Tier, shape: tuple[int, ...], make: Make = _ordinary) -> Case:
    def inputs(rng: np.random.Generator) -> Arrays:
        return (make(rng, shape),)

    return Case(f"{'x'.join(map(str, shape)) or 'scalar'} {make.__name__.strip('_')}", tier, inputs)


def _random(rng: np.random.Generator) -> Case:
    makes: tuple[Make, ...] = (_ordinary, _positive, _negative, _peaks)
    rank = int(rng.integers(1, 4))
    shape = tuple(int(10 ** rng.uniform(0, 5 / rank)) for _ in range(rank))
    return _case("edge", shape, makes[rng.integers(len(makes))])


# Around the vectors (16), a group (64), and the least a work-item takes (16384).
SUITE = Suite(
    "dynamic_quantize",
    dynamic_quantize,
    dynamic_quantize_tolerance,
    (
        _case("small", (3, 29)),
        _case("small", (70,), _peaks),
        _case("small", (5, 9), _holes),
        *(_case("edge", shape, _peaks) for shape in ((15,), (16,), (17,), (64, 65), (16385,), (3, 40001))),
        *(_case("edge", (7, 33), make) for make in (_positive, _negative, _zeros)),
        _case("edge", ()),
        _case("edge", (1,), _negative),
        _case("large", (4, 61, 113, 97), _peaks),
    ),
    random=_random,
    bench=Bench(
        {"N": None},
        lambda sizes, rng: Problem((rng.standard_normal(sizes["N"], dtype=np.float32),), {}, np.uint8),
        example="6422528",
    ),
    dtype=np.uint8,
)
