"""Cases of ``dequantize``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.reference.dequantize import dequantize, dequantize_tolerance
from rx580lab.selftest.case import AnyArray, Arrays, Bench, Case, Problem, Suite, Tier
from rx580lab.selftest.suites.quantize import LAYOUTS, parameters, random_layout

__all__ = ["SUITE"]

KINDS: tuple[npt.DTypeLike, ...] = (np.int8, np.uint8, np.int32)


def _values(rng: np.random.Generator, shape: tuple[int, ...], dtype: npt.DTypeLike) -> AnyArray:
    limits = np.iinfo(np.dtype(dtype))
    return np.asarray(rng.integers(limits.min, limits.max, shape, dtype, endpoint=True))


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

    def inputs(rng: np.random.Generator) -> Arrays:
        scale, zero = parameters(rng, shape, axis, block, dtype)
        return _values(rng, shape, dtype), scale, zero if zeros else None

    sizes = "x".join(map(str, shape)) or "scalar"
    name = f"{sizes} {np.dtype(dtype).name} axis {axis} block {block}{'' if zeros else ' no zero point'}"
    return Case(name, tier, inputs, keywords)


def _random(rng: np.random.Generator) -> Case:
    shape, axis, block = random_layout(rng)
    return _case("edge", shape, axis, block, KINDS[rng.integers(3)], zeros=bool(rng.random() < 0.8))


def _problem(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    x = _values(rng, (sizes["N"], sizes["C"], sizes["I"]), np.int8)
    channels = sizes["C"] if sizes["per_channel"] else 1
    return Problem((x, np.full(channels, 0.02, np.float32), np.zeros(channels, np.int8)))


SUITE = Suite(
    "dequantize",
    dequantize,
    dequantize_tolerance,
    (
        *(_case(*one, dtype) for one in LAYOUTS for dtype in KINDS),
        *(_case("edge", (5, 33), axis, 0, dtype, zeros=False) for axis in (None, 0) for dtype in KINDS),
    ),
    random=_random,
    bench=Bench({"N": None, "C": None, "I": None, "per_channel": 0}, _problem, example="8x64x12544"),
)
