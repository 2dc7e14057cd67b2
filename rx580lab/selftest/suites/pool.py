"""Cases of ``pool``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.reference.pool import pool, pool_tolerance
from rx580lab.selftest.case import AnyArray, Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

MAX, MEAN = {"mode": "max"}, {"mode": "average"}


def _ordinary(rng: np.random.Generator, shape: tuple[int, ...], dtype: npt.DTypeLike) -> AnyArray:
    if np.dtype(dtype).kind == "f":
        return (rng.standard_normal(shape) * 4 + 1).astype(dtype)
    limits = np.iinfo(np.dtype(dtype))
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def _special(rng: np.random.Generator, shape: tuple[int, ...], dtype: npt.DTypeLike) -> AnyArray:
    """Ordinary values with NaN, infinities and zeros of both signs here and there; the last plane is -infinity."""
    x = _ordinary(rng, shape, dtype)
    flat = x.reshape(-1)
    for value in (np.nan, np.inf, -np.inf, 0.0, -0.0):
        places = rng.integers(1, flat.size, 3)
        flat[places], flat[places - 1] = value, value  # two in one window, the first of which counts
    x[-1, -1] = -np.inf
    return x


def _case(
    tier: Tier,
    shape: tuple[int, ...],
    keywords: Mapping[str, Any],
    dtype: npt.DTypeLike = np.float32,
    make: Any = _ordinary,
    note: str = "",
) -> Case:
    words = " ".join(f"{name}={value}" for name, value in keywords.items()).replace(", ", ",")
    name = f"{'x'.join(map(str, shape))} {np.dtype(dtype).name} {words}{note}"

    def inputs(rng: np.random.Generator) -> Arrays:
        return (make(rng, shape, dtype),)

    return Case(name, tier, inputs, keywords, dtype)


def _window(kernel: tuple[int, ...], **others: Any) -> dict[str, Any]:
    return {"kernel_shape": kernel, **others}


# Rows around vectors (4, 16, 32), the cpu template's blocks of columns (2048) and wavefronts; strides 1, 2 (which have
# vector code) and more; padding on either side, wider than some rows; one to three axes.
_WINDOWS: tuple[tuple[Tier, tuple[int, ...], dict[str, Any]], ...] = (
    ("small", (1, 2, 7, 17), _window((3, 3), strides=(2, 2), pads=(1, 1, 1, 1))),
    ("small", (1, 1, 3, 4, 5), _window((2, 3, 2), pads=(1, 0, 1, 0, 2, 0), ceil_mode=True, strides=(2, 1, 3))),
    ("small", (2, 1, 37), _window((5,), dilations=(2,), pads=(3, 4))),
    ("edge", (1, 1, 1), _window((1,))),
    ("edge", (1, 1, 1), _window((2,), dilations=(2,), pads=(1, 1))),  # no tap inside
    ("edge", (1, 2, 3, 2), _window((3, 2), dilations=(2, 3), pads=(4, 3, 2, 3))),
    ("edge", (0, 3, 8, 8), _window((2, 2))),
    ("edge", (2, 3, 16, 31), _window((2, 2), strides=(1, 1))),
    ("edge", (2, 3, 15, 33), _window((3, 3), strides=(2, 2), pads=(0, 0, 1, 1))),
    ("edge", (1, 5, 14, 14), _window((5, 5), strides=(1, 1), pads=(2, 2, 2, 2))),
    ("edge", (3, 2, 9, 65), _window((1, 7), strides=(1, 3), pads=(0, 6, 0, 5), ceil_mode=True)),
    ("edge", (1, 3, 64, 3), _window((9, 3), strides=(4, 1), pads=(8, 2, 0, 1))),
    ("edge", (1, 2, 255), _window((2,), strides=(2,), ceil_mode=True)),
    ("edge", (1, 2, 257), _window((17,), strides=(2,), dilations=(3,), pads=(48, 1))),
    ("edge", (1, 1, 2, 4097), _window((2, 3), pads=(0, 1, 0, 1))),
    ("edge", (1, 1, 5000), _window((300,), strides=(7,), dilations=(6,))),
    ("edge", (1, 2, 5, 7, 35), _window((2, 3, 4), strides=(1, 2, 2), dilations=(2, 1, 2), pads=(0, 1, 3, 1, 0, 2))),
    ("edge", (1, 2, 4, 6, 5), _window((4, 6, 5), strides=(3, 1, 2), ceil_mode=True)),  # a whole plane by its sizes
    ("edge", (1, 129, 7, 7), _window((3, 3), pads=(1, 1, 1, 1))),
    ("large", (2, 64, 112, 113), _window((3, 3), strides=(2, 2), pads=(1, 1, 1, 1))),
)
_PLANES: tuple[tuple[Tier, tuple[int, ...]], ...] = (
    ("small", (1, 3, 5)),
    ("small", (1, 5, 9, 31)),
    ("edge", (2, 0, 4, 4)),
    ("edge", (3, 7, 1)),
    ("edge", (2, 33, 7, 7)),
    ("edge", (1, 9, 4, 4, 16)),
    ("edge", (1, 2, 3, 5, 3, 17)),
    ("edge", (5, 1, 255)),
    ("edge", (1, 3, 64, 65)),
    ("large", (1, 3, 1823, 781)),
)


def _cases() -> list[Case]:
    found = []
    for tier, shape, keywords in _WINDOWS:
        found += [_case(tier, shape, {**MAX, **keywords}), _case(tier, shape, {**MEAN, **keywords})]
        if tier == "edge":
            found += [_case(tier, shape, {**MEAN, **keywords, "count_include_pad": True})]
    found += [_case(tier, shape, mode) for tier, shape in _PLANES for mode in (MAX, MEAN)]
    some = _WINDOWS[0][2]
    for kind in (np.float16, np.int8, np.uint8):
        found += [_case("small", (1, 2, 9, 35), {**MAX, **some}, kind), _case("edge", (2, 3, 41), MAX, kind)]
    found += [_case("small", (1, 2, 9, 35), {**MEAN, **some}, np.float16), _case("edge", (2, 3, 41), MEAN, np.float16)]
    for order in (0, 1):
        for tier, shape, keywords in (*_WINDOWS[:6], _WINDOWS[8], _WINDOWS[16]):
            found.append(_case(tier, shape, {**MAX, **keywords, "indices": True, "storage_order": order}))
    for mode in (MAX, MEAN):
        found += [
            _case("edge", (2, 3, 11, 37), {**mode, **some}, make=_special, note=", special values"),
            _case("edge", (2, 3, 11, 37), {**mode, **some}, np.float16, _special, ", special values"),
            _case("edge", (2, 3, 11, 37), mode, make=_special, note=", special values"),
        ]
    return [*found, _case("edge", (2, 3, 12, 21), {**MAX, **some, "indices": True}, make=_special, note=", special")]


def _random(rng: np.random.Generator) -> Case:
    """Any rank, window and mode; about one in seven a whole plane."""
    rank = int(rng.integers(1, 4))
    lengths = tuple(int(10 ** rng.uniform(0, (3.3, 1.8, 1.2)[rank - 1])) for _ in range(rank))
    shape = (int(rng.integers(1, 4)), int(rng.integers(1, 6)), *lengths)
    dtype = np.dtype(str(rng.choice(["float32", "float16", "int8", "uint8"])))
    mode = MEAN if dtype.kind == "f" and rng.integers(2) else MAX
    if rng.integers(7) == 0:
        return _case("edge", shape, mode, dtype)
    kernel = tuple(int(rng.integers(1, 6)) for _ in range(rank))
    gaps = tuple(int(rng.choice([1, 1, 1, 2, 3])) for _ in range(rank))
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, gaps, strict=True)]
    before, after = ([int(rng.integers(0, extent)) for extent in extents] for _ in range(2))
    # A window must fit: what it lacks becomes length.
    lacking = [e - n - b - a for e, n, b, a in zip(extents, lengths, before, after, strict=True)]
    shape = (*shape[:2], *(n + max(lack, 0) for n, lack in zip(lengths, lacking, strict=True)))
    keywords = _window(
        kernel,
        strides=tuple(int(rng.choice([1, 2, 3, 5])) for _ in range(rank)),
        dilations=gaps,
        pads=(*before, *after),
        ceil_mode=bool(rng.integers(2)),
    )
    if mode is MEAN:
        keywords["count_include_pad"] = bool(rng.integers(2))
    elif rng.integers(4) == 0:
        keywords |= {"indices": True, "storage_order": int(rng.integers(2))}
    return _case("edge", shape, {**mode, **keywords}, dtype)


def _problem(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    """Square windows over images; ``kernel`` 0 takes whole planes, ``average`` 1 their means."""
    dtype = np.float16 if sizes["half"] else np.float32
    x = rng.standard_normal((sizes["N"], sizes["C"], sizes["H"], sizes["W"])).astype(dtype)
    keywords: dict[str, Any] = dict(MEAN if sizes["average"] else MAX)
    if sizes["kernel"]:
        keywords |= _window((sizes["kernel"],) * 2, strides=(sizes["stride"],) * 2, pads=(sizes["pad"],) * 4)
    return Problem((x,), keywords, dtype)


SUITE = Suite(
    "pool",
    pool,
    pool_tolerance,
    tuple(_cases()),
    random=_random,
    bench=Bench(
        {"C": None, "H": None, "W": None, "kernel": 3, "stride": 2, "pad": 1, "average": 0, "N": 1, "half": 0},
        _problem,
        example="64x112x112",
    ),
)
