"""Cases of ``conv_transpose``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.reference.conv_transpose import conv_transpose, conv_transpose_tolerance
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
        # Weights of the size that keeps the output's like x's: fp16 must not overflow.
        scale = 1 / math.sqrt(max(w[0] * math.prod(w[2:]), 1))
        arrays = (
            rng.standard_normal(x),
            rng.standard_normal(w) * scale,
            rng.standard_normal(w[1] * keywords.get("group", 1)) if bias else None,
            rng.standard_normal(residual) if residual is not None else None,
        )
        return tuple(None if one is None else one.astype(dtype) for one in arrays)

    return Case(name, tier, inputs, keywords, dtype)


def _special(rng: np.random.Generator) -> Arrays:
    """A NaN and an infinity in x spoil what they reach; an infinite weight makes NaN of the zeros beyond the edges."""
    x, w = rng.standard_normal((2, 3, 4, 5), dtype=np.float32), rng.standard_normal((3, 5, 3, 2), dtype=np.float32)
    x[0, 1, 2, 3] = np.nan
    x[1, 2, 0, 0] = np.inf
    w[2, 4, 0, 1] = np.inf
    return x, w


_F16 = np.float16
# Strides that do and do not divide the kernel, phases without a position, filters around panels, every keyword.
_CASES = (
    _case("small", "stride 2", (2, 3, 4, 5), (3, 5, 3, 3), strides=(2, 2), pads=(1, 1, 1, 1), output_padding=(1, 1),
          bias=True),
    _case("small", "stride 1", (1, 4, 3, 6), (4, 17, 2, 3), pads=(0, 1, 1, 0), residual=(1, 17, 3, 7),
          activation="relu"),
    _case("small", "two groups, one axis, fp16", (1, 4, 7), (4, 3, 4), strides=(3,), group=2, dtype=_F16),
    Case("NaN and infinities", "small", _special, {"strides": (2, 1), "pads": (0, 1, 1, 0)}),
    _case("edge", "no images", (0, 3, 4, 4), (3, 2, 3, 3)),
    _case("edge", "no filters", (2, 3, 4, 4), (3, 0, 3, 3)),
    _case("edge", "no channels", (2, 0, 4, 4), (0, 3, 3, 3), bias=True),
    _case("edge", "1x1x1x1", (1, 1, 1, 1), (1, 1, 1, 1)),
    _case("edge", "stride beyond the kernel", (2, 5, 6, 7), (5, 16, 2, 2), strides=(5, 3), bias=True),
    _case("edge", "dilation 3 and 2", (1, 7, 9, 8), (7, 33, 3, 3), dilations=(3, 2), strides=(2, 3), pads=(1, 0, 2, 3)),
    _case("edge", "output padding beyond what is reached", (1, 6, 5, 5), (6, 15, 2, 2), strides=(4, 4),
          output_padding=(3, 2)),
    _case("edge", "65 filters, silu", (2, 16, 5, 6), (16, 65, 4, 4), strides=(2, 2), pads=(1, 1, 1, 1), bias=True,
          activation="silu"),
    _case("edge", "three groups", (1, 15, 8, 7), (15, 7, 3, 3), group=3, strides=(2, 1), pads=(1, 2, 0, 1)),
    _case("edge", "depthwise", (1, 19, 8, 9), (19, 1, 4, 4), group=19, strides=(2, 2), pads=(1, 1, 1, 1)),
    _case("edge", "one axis", (2, 6, 50), (6, 20, 5), strides=(2,), pads=(4, 0), dilations=(3,), bias=True),
    _case("edge", "three axes", (1, 4, 3, 4, 5), (4, 18, 2, 3, 3), strides=(1, 2, 2), pads=(0, 1, 0, 1, 0, 1),
          output_padding=(0, 1, 1), bias=True),
    _case("edge", "fp16", (2, 24, 6, 7), (24, 40, 3, 3), strides=(2, 2), pads=(1, 1, 1, 1), bias=True,
          residual=(2, 40, 11, 13), activation="relu", dtype=_F16),
    _case("large", "64 channels of 28x28", (1, 64, 28, 28), (64, 48, 4, 4), strides=(2, 2), pads=(1, 1, 1, 1)),
    _case("large", "irregular", (2, 67, 21, 23), (67, 45, 3, 5), strides=(1, 3), pads=(1, 0, 2, 3), bias=True),
)  # fmt: skip


def _random(rng: np.random.Generator) -> Case:
    rank = int(rng.integers(1, 4))
    kernel = tuple(int(k) for k in rng.integers(1, {1: 8, 2: 6, 3: 4}[rank], rank))
    strides, dilations = (tuple(int(n) for n in rng.integers(1, 4, rank)) for _ in range(2))
    extra = tuple(int(rng.integers(0, max(stride, spread))) for stride, spread in zip(strides, dilations, strict=True))
    size = tuple(int(n) for n in rng.integers(1, {1: 60, 2: 13, 3: 6}[rank], rank))
    full = [strides[i] * (size[i] - 1) + extra[i] + (kernel[i] - 1) * dilations[i] + 1 for i in range(rank)]
    cut = [int(rng.integers(0, min(n, 5))) for n in full]
    begins = [int(rng.integers(0, n + 1)) for n in cut]
    pads = (*begins, *(n - begin for n, begin in zip(cut, begins, strict=True)))
    group = int(rng.choice((1, 1, 1, 2, 3, 5)))
    each_c, each_k = (int(10 ** rng.uniform(0, 1.4 if group == 1 else 0.8)) for _ in range(2))
    x, w = (int(rng.integers(0, 4)), group * each_c, *size), (group * each_c, each_k, *kernel)
    out = (x[0], group * each_k, *(n - less for n, less in zip(full, cut, strict=True)))
    residual = out if rng.random() < 0.3 else None
    bias, dtype = bool(rng.random() < 0.5), np.float16 if rng.random() < 0.3 else np.float32
    # Few of them: each is a build of every template, and each has its own tests.
    activation = (None, None, "relu", "silu" if dtype == np.float32 else "relu")[rng.integers(4)]
    keywords: dict[str, Any] = {
        "strides": strides, "dilations": dilations, "pads": pads, "output_padding": extra, "group": group,
        "activation": activation,
    }  # fmt: skip
    name = f"{x} by {w}, bias {bias}, residual {residual is not None}, {np.dtype(dtype)}, {keywords}"
    return _case("edge", name, x, w, bias=bias, residual=residual, dtype=dtype, **keywords)


def _bench(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    x = (sizes["B"], sizes["C"], sizes["H"], sizes["W"] or sizes["H"])
    w = (sizes["C"], sizes["K"] // sizes["group"], sizes["R"], sizes["S"] or sizes["R"])
    keywords: dict[str, Any] = {
        "strides": (sizes["stride"],) * 2, "pads": (sizes["pad"],) * 4, "group": sizes["group"],
    }  # fmt: skip
    made = _case("large", "", x, w, bias=bool(sizes["bias"]), **keywords)
    return Problem(made.inputs(rng), keywords)


SUITE = Suite(
    "conv_transpose",
    conv_transpose,
    conv_transpose_tolerance,
    _CASES,
    random=_random,
    bench=Bench(
        # W=0 and S=0 are as H and R.
        {"C": None, "K": None, "H": None, "W": 0, "R": 4, "S": 0, "B": 1, "stride": 2, "pad": 1, "group": 1, "bias": 0},
        _bench,
        example="16x24x14",
    ),
)
