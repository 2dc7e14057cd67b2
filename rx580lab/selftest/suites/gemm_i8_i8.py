"""Cases of ``gemm_i8_i8``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.reference.gemm_i8_i8 import gemm_i8_i8, gemm_i8_i8_tolerance
from rx580lab.selftest.case import AnyArray, Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["BYTES", "OUTPUTS", "SUITE", "any_bytes"]

BYTES: tuple[npt.DTypeLike, ...] = (np.int8, np.uint8)
OUTPUTS: tuple[npt.DTypeLike, ...] = (np.int32, np.float32, np.int8, np.uint8)
# (M, N, K) around the cpu template's micro-tile (6x16) and pairs, the gpu template's tiles (64, 16); sums of length 0.
_SHAPES: tuple[tuple[Tier, tuple[int, int, int]], ...] = (
    ("small", (7, 17, 5)),
    ("small", (13, 35, 34)),
    ("edge", (1, 1, 1)),
    ("edge", (0, 4, 3)),
    ("edge", (4, 0, 3)),
    ("edge", (3, 5, 0)),
    ("edge", (6, 16, 4)),
    ("edge", (31, 33, 32)),
    ("edge", (64, 65, 63)),
    ("edge", (1, 257, 300)),
    ("edge", (255, 1, 129)),
    ("edge", (97, 130, 1025)),
    ("large", (317, 533, 781)),
)


def any_bytes(rng: np.random.Generator, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> AnyArray:
    """Any bytes, the extremes often: they are what saturates and overflows."""
    limits = np.iinfo(np.dtype(dtype))
    found = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return np.where(rng.random(shape) < 0.1, rng.choice([limits.min, limits.max], shape), found).astype(dtype)


def _inputs(
    rng: np.random.Generator, m: int, n: int, k: int, types: tuple[npt.DTypeLike, npt.DTypeLike], given: str
) -> Arrays:
    """``given``: which optional arrays there are, and how: r and c for zero points of rows and columns, 1 for one
    value each, b for bias, s for one scale, S for one per column, R for one per row.
    """
    a, b = any_bytes(rng, (m, k), types[0]), any_bytes(rng, (k, n), types[1])
    a_zero = any_bytes(rng, m if "r" in given else 1, types[0]) if set(given) & set("r1") else None
    b_zero = any_bytes(rng, n if "c" in given else 1, types[1]) if set(given) & set("c1") else None
    bias = rng.integers(-(2**31), 2**31, n, np.int32) if "b" in given else None
    # So that scaled sums cover the bytes and go beyond.
    size = 300 / (127 * 127 * max(k, 1) ** 0.5)
    scale = (
        (rng.uniform(0.2, 1, n if "S" in given else 1) * size).astype(np.float32) if set(given) & set("sS") else None
    )
    row_scale = rng.uniform(0.2, 2, m).astype(np.float32) if "R" in given else None
    return a, b, a_zero, b_zero, bias, scale, row_scale


def _case(
    tier: Tier,
    shape: tuple[int, int, int],
    types: tuple[npt.DTypeLike, npt.DTypeLike] = (np.int8, np.int8),
    given: str = "",
    dtype: npt.DTypeLike = np.int32,
    zero_point: int = 0,
) -> Case:
    words = [np.dtype(one).name for one in (*types, dtype)]
    keywords: Mapping[str, Any] = {"dtype": dtype, "out_zero_point": zero_point}
    name = f"{'x'.join(map(str, shape))} {words[0]} {words[1]} {given} -> {words[2]} {zero_point}"
    return Case(name, tier, lambda rng: _inputs(rng, *shape, types, given), keywords, dtype)


def _random(rng: np.random.Generator) -> Case:
    m, n, k = (int(10 ** rng.uniform(0, 2.2)) for _ in range(3))
    given = "".join(letter for letter in "rc1bsSR" if rng.random() < 0.4)
    types = BYTES[rng.integers(2)], BYTES[rng.integers(2)]
    dtype = OUTPUTS[rng.integers(4)]
    limits = np.iinfo(np.dtype(dtype)) if np.dtype(dtype).itemsize == 1 else None
    zero_point = int(rng.integers(limits.min, limits.max, endpoint=True)) if limits else 0
    return _case("edge", (m, n, k), types, given, dtype, zero_point)


def _batched(rng: np.random.Generator) -> Arrays:
    a, *rest = _inputs(rng, 10, 19, 21, (np.uint8, np.int8), "1cbS")
    return (None if a is None else a.reshape(2, 5, 21), *rest)


def _problem(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    """Activations uint8 with a zero point, weights int8 per column, back to uint8: a quantized layer."""
    arrays = _inputs(rng, sizes["M"], sizes["N"], sizes["K"], (np.uint8, np.int8), "1bS")
    return Problem(arrays, {"dtype": np.uint8, "out_zero_point": 128}, np.uint8)


SUITE = Suite(
    "gemm_i8_i8",
    gemm_i8_i8,
    gemm_i8_i8_tolerance,
    (
        *(_case(tier, shape) for tier, shape in _SHAPES),
        *(_case("edge", (21, 37, 26), types, "rcb") for types in ((np.uint8, np.int8), (np.int8, np.uint8))),
        _case("small", (8, 20, 9), (np.uint8, np.uint8), "rcb"),
        _case("small", (8, 20, 9), (np.uint8, np.int8), "1bs", np.uint8, 128),
        _case("edge", (41, 50, 67), (np.uint8, np.int8), "rcSR", np.int8, -7),
        _case("edge", (41, 50, 67), (np.int8, np.int8), "bSR", np.float32),
        _case("edge", (5, 18, 40), (np.int8, np.uint8), "1s", np.int8, 127),
        # 2**31 and more: sums wrap around.
        _case("edge", (3, 18, 70000), (np.uint8, np.uint8), "b"),
        Case("rank 3", "edge", _batched, {"dtype": np.uint8, "out_zero_point": 3}, np.uint8),
    ),
    random=_random,
    bench=Bench({"M": None, "N": None, "K": None}, _problem, example="256x256x256"),
    dtype=np.int32,
)
