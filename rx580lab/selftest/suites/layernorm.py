"""Cases of ``layernorm``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rx580lab.reference.layernorm import layernorm, layernorm_tolerance
from rx580lab.selftest.case import AnyArray, Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

Make = Callable[[np.random.Generator, tuple[int, ...]], AnyArray]


def _ordinary(rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    return rng.standard_normal(shape) * 3 + 1


def _far(rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    """A mean 10,000 times the spread: sums of squares minus the square of the sum leave nothing right."""
    return rng.standard_normal(shape) + 10000


def _constant(_rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    """No spread at all: the result is the bias."""
    return np.full(shape, 1234.567)


def _peak_last(rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    """The row's last column outweighs the rest: a dropped tail changes every value."""
    x = rng.standard_normal(shape)
    x[..., -1] += 100
    return x


def _special(rng: np.random.Generator, shape: tuple[int, ...]) -> AnyArray:
    """Rows with a NaN or an infinity at the start, in the middle and at the end; the last row is ordinary."""
    x = rng.standard_normal(shape)
    x[0, 0] = x[1, -1] = x[2, shape[1] // 2] = np.nan
    x[3, 0], x[4, -1] = np.inf, -np.inf
    return x


def _case(
    tier: Tier,
    shape: tuple[int, ...],
    make: Make = _ordinary,
    note: str = "",
    *,
    axis: int = -1,
    bias: bool = True,
    dtype: Any = np.float32,
    epsilon: float | None = None,
) -> Case:
    keywords: dict[str, Any] = {} if axis == -1 else {"axis": axis}
    if epsilon is not None:
        keywords["epsilon"] = epsilon
    words = [note, f"axis {axis}" * (axis != -1), "no bias" * (not bias), "fp16" * (dtype == np.float16)]
    name = ", ".join(["x".join(map(str, shape)), *(word for word in words if word)])

    def inputs(rng: np.random.Generator) -> Arrays:
        x = make(rng, shape).astype(dtype)
        width = shape[axis % len(shape) :]
        scale, shift = rng.uniform(-2, 2, width).astype(dtype), rng.standard_normal(width).astype(dtype)
        return x, scale, shift if bias else None

    return Case(name, tier, inputs, keywords, dtype)


# Columns around vectors (16, two of them), wavefronts (64), groups (256) and the gpu template's step to one wavefront.
_SHAPES: tuple[tuple[Tier, tuple[int, ...]], ...] = (
    ("small", (3, 5)),
    ("small", (2, 67)),
    ("edge", (0, 5)),
    ("edge", (5, 0)),
    ("edge", (1, 1)),
    ("edge", (129,)),
    ("edge", (4, 15)),
    ("edge", (4, 16)),
    ("edge", (33, 17)),
    ("edge", (5, 31)),
    ("edge", (3, 33)),
    ("edge", (2, 3, 64)),
    ("edge", (3, 257)),
    ("edge", (7, 768)),
    ("edge", (2, 1025)),
    ("edge", (1000, 10)),
    ("large", (197, 4099)),
    ("large", (1, 300007)),
)


def _random(rng: np.random.Generator) -> Case:
    rank = int(rng.integers(1, 5))
    shape = tuple(int(10 ** rng.uniform(0, 4 / rank)) for _ in range(rank))
    make = (_ordinary, _far, _peak_last)[rng.integers(3)]
    dtype = np.float16 if rng.random() < 0.3 and make is not _far else np.float32
    axis, bias, epsilon = int(rng.integers(-rank, rank)), bool(rng.random() < 0.7), float(10 ** rng.uniform(-7, -2))
    note = f"{make.__name__.strip('_')}, epsilon {epsilon:.3g}"
    return _case("edge", shape, make, note, axis=axis, bias=bias, dtype=dtype, epsilon=epsilon)


def _problem(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    dtype = np.float16 if sizes["half"] else np.float32
    rows, cols = sizes["R"], sizes["C"]
    arrays = tuple(rng.standard_normal(shape).astype(dtype) for shape in ((rows, cols), (cols,), (cols,)))
    return Problem(arrays, dtype=dtype)


SUITE = Suite(
    "layernorm",
    layernorm,
    layernorm_tolerance,
    (
        *(_case(tier, shape) for tier, shape in _SHAPES),
        _case("small", (2, 40), dtype=np.float16),
        _case("edge", (5, 771), dtype=np.float16),
        _case("edge", (3, 4, 5, 7), axis=1),
        _case("edge", (3, 4, 5, 7), axis=-2, bias=False),
        _case("edge", (6, 33), axis=0, dtype=np.float16, bias=False),
        _case("small", (2, 50), _far, "mean 10000, spread 1"),
        _case("edge", (5, 1000), _far, "mean 10000, spread 1"),
        _case("edge", (3, 333), _constant, "constant"),
        _case("small", (2, 83), _peak_last, "weight in the last column", epsilon=1e-3),
        _case("small", (6, 33), _special, "NaN and infinities"),
        _case("edge", (6, 2001), _special, "NaN and infinities"),
    ),
    random=_random,
    bench=Bench({"R": None, "C": None, "half": 0}, _problem, example="512x768"),
)
