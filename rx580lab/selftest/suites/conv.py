"""Cases of ``conv``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.reference.conv import conv, conv_tolerance
from rx580lab.selftest.case import Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

Lengths = tuple[int, ...]


def _case(
    tier: Tier,
    name: str,
    x: Lengths,
    w: Lengths,
    *,
    bias: bool = False,
    residual: Lengths | None = None,
    dtype: npt.DTypeLike = np.float32,
    **keywords: Any,
) -> Case:
    """``residual``: the shape of out, where one is added."""

    def inputs(rng: np.random.Generator) -> Arrays:
        # Weights of the size that keeps the output's like x's, as trained ones have it: fp16 must not overflow.
        scale = 1 / math.sqrt(max(math.prod(w[1:]), 1))
        arrays = (
            rng.standard_normal(x),
            rng.standard_normal(w) * scale,
            rng.standard_normal(w[0]) if bias else None,
            rng.standard_normal(residual) if residual is not None else None,
        )
        return tuple(None if one is None else one.astype(dtype) for one in arrays)

    return Case(name, tier, inputs, keywords, dtype)


def _special(rng: np.random.Generator) -> Arrays:
    """A NaN and an infinity in x spoil the windows that hold them; an infinite weight its filter, by padding NaN."""
    x, w = rng.standard_normal((2, 3, 9, 8), dtype=np.float32), rng.standard_normal((18, 3, 3, 3), dtype=np.float32)
    x[0, 1, 4, 5] = np.nan
    x[1, 2, 0, 0] = np.inf
    x[1, 0, 8, 7] = -np.inf
    w[17, 2, 0, 1] = np.inf
    return x, w


_F16 = np.float16
# Filters around panels (16, 64), pixels around strips (6) and tiles, channels around unrolled turns (4); rows whose
# ends matter; every keyword; each axis of its own length, so that a swapped one shows.
_CASES = (
    _case("small", "2x3x5x7 by 5x3x3x2", (2, 3, 5, 7), (5, 3, 3, 2), pads=(1, 0, 2, 1), bias=True),
    _case("small", "17 filters, 1x1, relu", (1, 5, 3, 3), (17, 5, 1, 1), residual=(1, 17, 3, 3), activation="relu"),
    _case("small", "two groups, stride 2", (1, 4, 6, 5), (6, 2, 2, 3), strides=(2, 1), group=2, bias=True),
    _case("small", "depthwise 3x3", (1, 18, 6, 19), (18, 1, 3, 3), pads=(1, 1, 1, 1), group=18, bias=True),
    _case("small", "depthwise, steps of 2", (1, 2, 4, 37), (2, 1, 2, 3), strides=(1, 2), pads=(1, 1, 0, 1), group=2),
    _case("small", "depthwise, steps of 3", (1, 2, 3, 50), (2, 1, 1, 2), strides=(2, 3), group=2),
    _case("small", "one axis, fp16", (1, 3, 11), (4, 3, 4), dilations=(2,), pads=(3, 1), dtype=_F16),
    Case("NaN and infinities", "small", _special, {"pads": (1, 1, 1, 1)}),
    _case("edge", "no images", (0, 3, 4, 4), (2, 3, 3, 3)),
    _case("edge", "no filters", (2, 3, 4, 4), (0, 3, 3, 3)),
    _case("edge", "no channels", (2, 0, 4, 4), (3, 0, 3, 3), bias=True),
    _case("edge", "nothing but padding", (1, 2, 0, 3), (3, 2, 2, 2), pads=(1, 0, 1, 1), bias=True),
    _case("edge", "1x1x1x1", (1, 1, 1, 1), (1, 1, 1, 1)),
    _case("edge", "kernel larger than x", (1, 3, 2, 3), (4, 3, 5, 7), pads=(2, 3, 2, 3)),
    _case("edge", "stride beyond the kernel", (2, 5, 17, 16), (16, 5, 2, 2), strides=(5, 3), pads=(0, 1, 1, 0)),
    _case("edge", "dilation 3 and 2", (1, 7, 15, 16), (33, 7, 3, 3), dilations=(3, 2), pads=(3, 2, 3, 2)),
    _case("edge", "15 filters", (1, 16, 5, 13), (15, 16, 3, 3), pads=(1, 1, 1, 1), bias=True),
    _case("edge", "63 filters", (1, 9, 7, 9), (63, 9, 3, 3), pads=(1, 1, 1, 1), activation="silu"),
    _case("edge", "65 filters, residual", (1, 8, 9, 7), (65, 8, 3, 3), residual=(1, 65, 7, 5), activation="silu"),
    _case("edge", "255 channels", (1, 255, 4, 5), (31, 255, 1, 1), bias=True),
    _case("edge", "257 filters, 1x1", (3, 17, 6, 5), (257, 17, 1, 1), bias=True, residual=(3, 257, 6, 5)),
    _case("edge", "7x7 stem", (1, 3, 33, 31), (64, 3, 7, 7), strides=(2, 2), pads=(3, 3, 3, 3), bias=True),
    _case("edge", "three groups of 5", (2, 15, 8, 7), (21, 5, 3, 3), group=3, pads=(1, 2, 0, 1), activation="relu"),
    _case("edge", "grouped, dilated", (1, 32, 9, 11), (64, 16, 3, 3), group=2, dilations=(2, 2), pads=(2, 2, 2, 2)),
    _case("edge", "one filter per channel", (1, 37, 1, 40), (37, 1, 1, 5), group=37, pads=(0, 2, 0, 2)),
    _case("edge", "two filters per channel", (1, 9, 12, 11), (18, 1, 3, 3), group=9, bias=True),
    _case("edge", "depthwise, stride 2", (2, 33, 17, 33), (33, 1, 3, 3), group=33, strides=(2, 2), pads=(0, 1, 1, 0)),
    _case("edge", "depthwise, dilation 2", (1, 8, 20, 50), (8, 1, 3, 3), group=8, dilations=(2, 2), pads=(2, 2, 2, 2)),
    _case("edge", "depthwise 5x5, silu", (1, 16, 21, 65), (16, 1, 5, 5), group=16, pads=(2, 2, 2, 2), bias=True,
          residual=(1, 16, 21, 65), activation="silu"),
    _case("edge", "depthwise, three axes", (1, 4, 5, 6, 17), (4, 1, 3, 3, 3), group=4, pads=(1, 1, 1, 1, 1, 1)),
    _case("edge", "one axis", (2, 6, 100), (20, 6, 5), strides=(2,), pads=(4, 0), dilations=(3,), bias=True),
    _case("edge", "three axes", (1, 4, 5, 6, 7), (18, 4, 2, 3, 3), strides=(1, 2, 1), pads=(1, 0, 1, 0, 1, 1),
          dilations=(2, 1, 2), bias=True),
    _case("edge", "fp16", (2, 24, 9, 9), (40, 24, 3, 3), pads=(1, 1, 1, 1), bias=True, residual=(2, 40, 9, 9),
          activation="relu", dtype=_F16),
    _case("edge", "fp16, depthwise", (1, 19, 9, 35), (19, 1, 3, 3), pads=(1, 1, 1, 1), group=19, dtype=_F16),
    _case("edge", "8 filters, residual", (1, 3, 6, 6), (8, 3, 3, 3), residual=(1, 8, 4, 4)),
    _case("large", "64 channels of 56x56", (1, 64, 56, 56), (64, 64, 3, 3), pads=(1, 1, 1, 1)),
    _case("large", "irregular", (2, 67, 41, 53), (101, 67, 3, 5), strides=(1, 2), pads=(1, 0, 2, 3), bias=True),
    _case("large", "depthwise 112x112", (1, 96, 112, 112), (96, 1, 3, 3), group=96, pads=(1, 1, 1, 1), bias=True),
)  # fmt: skip


def _random(rng: np.random.Generator) -> Case:
    rank = int(rng.integers(1, 4))
    kernel = tuple(int(k) for k in rng.integers(1, {1: 8, 2: 6, 3: 4}[rank], rank))
    strides, dilations = (tuple(int(n) for n in rng.integers(1, 4, rank)) for _ in range(2))
    pads = tuple(int(n) for n in rng.integers(0, 4, 2 * rank))
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    longest = {1: 90, 2: 22, 3: 9}[rank]
    least = [max(extent - pads[i] - pads[rank + i], 0) for i, extent in enumerate(extents)]
    size = tuple(low + int(rng.integers(0, longest)) for low in least)
    group = int(rng.choice((1, 1, 1, 2, 3, 5)))
    each_c, each_k = (int(10 ** rng.uniform(0, 1.5 if group == 1 else 0.8)) for _ in range(2))
    if rng.random() < 0.2:  # depthwise
        group, each_c, each_k = int(10 ** rng.uniform(0, 1.7)), 1, 1
    x = (int(rng.integers(0, 4)), group * each_c, *size)
    w = (group * each_k, each_c, *kernel)
    out = [(n + pads[i] + pads[rank + i] - extents[i]) // strides[i] + 1 for i, n in enumerate(size)]
    residual = (x[0], w[0], *out) if rng.random() < 0.3 else None
    bias, dtype = bool(rng.random() < 0.5), np.float16 if rng.random() < 0.3 else np.float32
    # Few of them: each is a build of every template, and each has its own tests.
    activation = (None, None, "relu", "silu" if dtype == np.float32 else "relu")[rng.integers(4)]
    keywords: dict[str, Any] = {
        "strides": strides,
        "dilations": dilations,
        "pads": pads,
        "group": group,
        "activation": activation,
    }
    name = f"{x} by {w}, bias {bias}, residual {residual is not None}, {np.dtype(dtype)}, {keywords}"
    return _case("edge", name, x, w, bias=bias, residual=residual, dtype=dtype, **keywords)


def _bench(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    channels, filters, group = sizes["C"], sizes["K"], sizes["group"] or sizes["C"]
    x = (sizes["B"], channels, sizes["H"], sizes["W"] or sizes["H"])
    w = (filters, channels // group, sizes["R"], sizes["S"] or sizes["R"])
    spread = sizes["dilation"]
    pad = [spread * (k - 1) // 2 if sizes["pad"] else 0 for k in w[2:]]
    keywords: dict[str, Any] = {
        "strides": (sizes["stride"],) * 2, "dilations": (spread,) * 2, "pads": (*pad, *pad), "group": group,
    }  # fmt: skip
    made = _case("large", "", x, w, bias=bool(sizes["bias"]), **keywords)
    return Problem(made.inputs(rng), keywords)


SUITE = Suite(
    "conv",
    conv,
    conv_tolerance,
    _CASES,
    random=_random,
    bench=Bench(
        # group=0 is depthwise, W=0 and S=0 are as H and R, pad=1 keeps the size at stride 1.
        {"C": None, "K": None, "H": None, "W": 0, "R": 3, "S": 0, "B": 1, "stride": 1, "dilation": 1, "pad": 1,
         "group": 1, "bias": 0},
        _bench,
        example="16x24x14 R=3",
    ),
)  # fmt: skip
