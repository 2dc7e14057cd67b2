"""Cases of ``quantize``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.reference.quantize import quantize, quantize_tolerance, spread_out
from rx580lab.selftest.case import AnyArray, Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["LAYOUTS", "SUITE", "parameters", "random_layout"]

# (tier, shape, axis or None for one scale, block) around the runs (16) and tiles of the cpu template; blocks that do
# not divide their axis; scalars, and nothing at all.
LAYOUTS: tuple[tuple[Tier, tuple[int, ...], int | None, int], ...] = (
    ("small", (3, 37), None, 0),
    ("small", (2, 3, 19), 1, 0),
    ("small", (4, 5), -1, 0),
    ("small", (2, 7, 3), 1, 3),
    ("edge", (), None, 0),
    ("edge", (0, 3), None, 0),
    ("edge", (0, 3), 1, 0),
    ("edge", (1, 1), 0, 0),
    ("edge", (1, 15), 0, 0),
    ("edge", (5, 16), 0, 0),
    ("edge", (3, 17, 33), 0, 0),
    ("edge", (2, 65, 64), 1, 0),
    ("edge", (257, 3), 1, 0),
    ("edge", (3, 128, 2), -2, 32),
    ("edge", (2, 3, 130), 2, 64),
    ("edge", (7, 40001), None, 0),
    ("large", (3, 61, 113, 97), 1, 0),
)


def parameters(
    rng: np.random.Generator, shape: tuple[int, ...], axis: int | None, block: int, dtype: npt.DTypeLike
) -> tuple[AnyArray, AnyArray]:
    """Scales and zero points for an array of ``shape``."""
    lengths = list(shape)
    if axis is None:
        lengths = []
    elif block:
        lengths[axis] = -(-shape[axis] // block)
    else:
        lengths = [shape[axis]]
    scale = (10 ** rng.uniform(-3, 1, lengths)).astype(np.float32)
    if np.dtype(dtype) == np.int32:
        return scale, rng.integers(-1000, 1000, lengths, np.int32)
    limits = np.iinfo(np.dtype(dtype))
    return scale, rng.integers(limits.min, limits.max, lengths, dtype, endpoint=True)


def random_layout(rng: np.random.Generator) -> tuple[tuple[int, ...], int | None, int]:
    """Any shape, axis and block."""
    rank = int(rng.integers(1, 5))
    shape = tuple(int(10 ** rng.uniform(0, 4.5 / rank)) for _ in range(rank))
    kind = rng.integers(3)
    axis = None if kind == 0 else int(rng.integers(-rank, rank))
    return shape, axis, int(rng.integers(1, 9)) if kind == 2 else 0


def _values(
    rng: np.random.Generator, shape: tuple[int, ...], scale: AnyArray, axis: int | None, block: int
) -> AnyArray:
    """Quotients that cover the bytes and go beyond; some of them ties, some huge."""
    steps = rng.uniform(-400, 400, shape)
    steps = np.where(rng.random(shape) < 0.1, np.rint(steps) + 0.5, steps)
    steps = np.where(rng.random(shape) < 0.02, steps * 1e12, steps)
    return np.asarray(steps * spread_out(scale, shape, 0 if axis is None else axis, block)).astype(np.float32)


def _case(
    tier: Tier,
    shape: tuple[int, ...],
    axis: int | None,
    block: int,
    dtype: npt.DTypeLike,
    *,
    zeros: bool = True,
) -> Case:
    keywords: dict[str, Any] = {"block": block, **({} if axis is None else {"axis": axis})}
    if not zeros:
        keywords["dtype"] = dtype

    def inputs(rng: np.random.Generator) -> Arrays:
        scale, zero = parameters(rng, shape, axis, block, dtype)
        return _values(rng, shape, scale, axis, block), scale, zero if zeros else None

    sizes = "x".join(map(str, shape)) or "scalar"
    name = f"{sizes} {np.dtype(dtype).name} axis {axis} block {block}{'' if zeros else ' no zero point'}"
    return Case(name, tier, inputs, keywords, dtype)


def _special(rng: np.random.Generator) -> Arrays:
    """NaN, infinities, zeros of both signs, subnormals."""
    x = rng.uniform(-30, 30, (3, 50)).astype(np.float32)
    x[0, :6] = np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-41
    return x, np.float32(0.25).reshape(1), np.array([7], np.int8)


def _random(rng: np.random.Generator) -> Case:
    dtype: npt.DTypeLike = (np.int8, np.uint8)[rng.integers(2)]
    shape, axis, block = random_layout(rng)
    return _case("edge", shape, axis, block, dtype, zeros=bool(rng.random() < 0.8))


def _problem(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    x = rng.standard_normal((sizes["N"], sizes["C"], sizes["I"]), dtype=np.float32)
    channels = sizes["C"] if sizes["per_channel"] else 1
    scale = np.full(channels, 0.02, np.float32)
    return Problem((x, scale, np.zeros(channels, np.int8)), {}, np.int8)


SUITE = Suite(
    "quantize",
    quantize,
    quantize_tolerance,
    (
        *(_case(*one, dtype) for one in LAYOUTS for dtype in (np.int8, np.uint8)),
        *(_case("edge", (5, 33), axis, 0, dtype, zeros=False) for axis in (None, 0) for dtype in (np.int8, np.uint8)),
        Case("NaN and infinities", "small", _special, {}, np.int8),
    ),
    random=_random,
    bench=Bench({"N": None, "C": None, "I": None, "per_channel": 0}, _problem, example="8x64x12544"),
    dtype=np.uint8,
)
