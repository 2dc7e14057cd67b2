"""Cases of ``conv_i8_i8``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.reference.conv_i8_i8 import conv_i8_i8, conv_i8_i8_tolerance
from rx580lab.selftest.case import Arrays, Bench, Case, Problem, Suite, Tier
from rx580lab.selftest.suites.gemm_i8_i8 import BYTES, OUTPUTS, any_bytes

__all__ = ["SUITE"]

Lengths = tuple[int, ...]


def _inputs(
    rng: np.random.Generator, x: Lengths, w: Lengths, types: tuple[npt.DTypeLike, npt.DTypeLike], given: str
) -> Arrays:
    """``given``: which optional arrays there are, and how: z for zero points of one value each, k for one per filter,
    b for bias, s for one scale, S for one per filter.
    """
    depth = max(math.prod(w[1:]), 1)
    scales = (rng.uniform(0.2, 1, w[0] if "S" in given else 1) * 300 / (127 * 127 * depth**0.5)).astype(np.float32)
    return (
        any_bytes(rng, x, types[0]),
        any_bytes(rng, w, types[1]),
        any_bytes(rng, 1, types[0]) if set(given) & set("zk") else None,
        any_bytes(rng, w[0] if "k" in given else 1, types[1]) if set(given) & set("zk") else None,
        rng.integers(-(2**20), 2**20, w[0], np.int32) if "b" in given else None,
        scales if set(given) & set("sS") else None,
    )


def _case(
    tier: Tier,
    x: Lengths,
    w: Lengths,
    given: str = "",
    types: tuple[npt.DTypeLike, npt.DTypeLike] = (np.uint8, np.int8),
    dtype: npt.DTypeLike = np.int32,
    zero_point: int = 0,
    **window: Any,
) -> Case:
    names = " ".join(np.dtype(one).name for one in (*types, dtype))
    name = f"{'x'.join(map(str, x))} by {'x'.join(map(str, w))}, {names} {zero_point}, {given or 'bare'}, {window}"
    keywords = {"dtype": dtype, "out_zero_point": zero_point, **window}
    return Case(name, tier, lambda rng: _inputs(rng, x, w, types, given), keywords, dtype)


_U8, _I8 = np.uint8, np.int8
# Filters around panels (16), pixels around strips (6) and tiles, odd and even depths, groups, one to three axes.
_CASES = (
    _case("small", (2, 3, 5, 7), (5, 3, 3, 2), "kb", pads=(1, 0, 2, 1)),
    _case("small", (1, 4, 6, 5), (34, 2, 2, 3), "z", (_I8, _U8), strides=(2, 1), group=2, pads=(1, 1, 1, 1)),
    _case("small", (1, 3, 9), (4, 3, 4), "zbs", dtype=_U8, zero_point=128, dilations=(2,), pads=(3, 1)),
    _case("edge", (0, 3, 4, 4), (2, 3, 3, 3)),
    _case("edge", (2, 3, 4, 4), (0, 3, 3, 3)),
    _case("edge", (2, 0, 4, 4), (3, 0, 3, 3), "b"),
    _case("edge", (1, 2, 0, 3), (3, 2, 2, 2), "z", pads=(1, 0, 1, 1)),
    _case("edge", (1, 1, 1, 1), (1, 1, 1, 1), types=(_I8, _I8)),
    _case("edge", (1, 3, 2, 3), (4, 3, 5, 7), "k", pads=(2, 3, 2, 3)),
    _case("edge", (2, 5, 17, 16), (16, 5, 2, 2), "kS", dtype=_I8, zero_point=-3, strides=(5, 3), pads=(0, 1, 1, 0)),
    _case("edge", (1, 7, 15, 16), (33, 7, 3, 3), "zS", (_I8, _I8), np.float32, dilations=(3, 2), pads=(3, 2, 3, 2)),
    _case("edge", (1, 255, 4, 5), (31, 255, 1, 1), "kb", (_U8, _U8)),
    _case("edge", (1, 3, 33, 31), (64, 3, 7, 7), "zbS", dtype=_U8, zero_point=7, strides=(2, 2), pads=(3, 3, 3, 3)),
    _case("edge", (2, 15, 8, 7), (21, 5, 3, 3), "kb", group=3, pads=(1, 2, 0, 1)),
    _case("edge", (1, 18, 6, 19), (18, 1, 3, 3), "kS", dtype=_U8, group=18, pads=(1, 1, 1, 1)),
    _case("edge", (2, 3, 5, 6, 7), (17, 3, 2, 3, 2), "kb", strides=(1, 2, 1), pads=(1, 0, 1, 0, 1, 1)),
    _case("large", (2, 64, 28, 28), (96, 64, 3, 3), "zbS", dtype=_U8, zero_point=100, pads=(1, 1, 1, 1)),
)


def _random(rng: np.random.Generator) -> Case:
    rank = int(rng.integers(1, 4))
    kernel = tuple(int(k) for k in rng.integers(1, {1: 8, 2: 5, 3: 4}[rank], rank))
    strides, dilations = (tuple(int(n) for n in rng.integers(1, 4, rank)) for _ in range(2))
    pads = tuple(int(n) for n in rng.integers(0, 3, 2 * rank))
    least = [(k - 1) * d + 1 - pads[i] - pads[rank + i] for i, (k, d) in enumerate(zip(kernel, dilations, strict=True))]
    longest = {1: 80, 2: 20, 3: 8}[rank]
    size = tuple(max(low, 0) + int(rng.integers(0, longest)) for low in least)
    group = int(rng.choice((1, 1, 2, 3)))
    each_c, each_k = (int(10 ** rng.uniform(0, 1.5)) for _ in range(2))
    given = "".join(letter for letter in "zkbsS" if rng.random() < 0.4)
    dtype = OUTPUTS[rng.integers(len(OUTPUTS))]
    limits = np.iinfo(np.dtype(dtype)) if np.dtype(dtype).itemsize == 1 else None
    zero_point = int(rng.integers(limits.min, limits.max, endpoint=True)) if limits else 0
    types = BYTES[rng.integers(2)], BYTES[rng.integers(2)]
    x, w = (int(rng.integers(0, 3)), group * each_c, *size), (group * each_k, each_c, *kernel)
    return _case(
        "edge", x, w, given, types, dtype, zero_point, strides=strides, dilations=dilations, pads=pads, group=group
    )


def _problem(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    """Activations uint8 with a zero point, weights int8 with a scale per filter, back to uint8: a quantized layer."""
    x, w = (1, sizes["C"], sizes["H"], sizes["H"]), (sizes["K"], sizes["C"], sizes["R"], sizes["R"])
    window = {"pads": (sizes["R"] // 2,) * 4, "strides": (sizes["stride"],) * 2}
    arrays = _inputs(rng, x, w, (_U8, _I8), "zbS")
    return Problem(arrays, {"dtype": _U8, "out_zero_point": 128, **window}, _U8)


SUITE = Suite(
    "conv_i8_i8",
    conv_i8_i8,
    conv_i8_i8_tolerance,
    _CASES,
    random=_random,
    bench=Bench({"C": None, "K": None, "H": None, "R": 3, "stride": 1}, _problem, example="64x64x28"),
    dtype=np.int32,
)
