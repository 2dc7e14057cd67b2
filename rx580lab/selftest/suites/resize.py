"""Cases of ``resize``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rx580lab.reference.resize import resize, resize_tolerance
from rx580lab.selftest.bits import a_dtype, any_bits
from rx580lab.selftest.case import AnyArray, Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

MODES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
)
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def _made(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, keywords: Mapping[str, Any]) -> AnyArray:
    if keywords.get("mode", "nearest") == "nearest":
        return any_bits(rng, shape, dtype)
    return (rng.standard_normal(shape) * 4 + 1).astype(dtype)


def _case(tier: Tier, shape: tuple[int, ...], keywords: Mapping[str, Any], dtype: str = "float32") -> Case:
    words = " ".join(f"{name}={value}" for name, value in keywords.items()).replace(", ", ",")

    def inputs(rng: np.random.Generator) -> Arrays:
        return (_made(rng, shape, dtype, keywords),)

    return Case(f"{'x'.join(map(str, shape))} {dtype} {words}", tier, inputs, keywords, dtype)


def _special(rng: np.random.Generator) -> Arrays:
    """NaN and infinities spoil what has a tap on them, and nothing else."""
    x = rng.standard_normal((1, 2, 9, 19)).astype(np.float32)
    x[0, 0, 4, 3], x[0, 0, 0, 18], x[0, 1, 8, 0] = np.nan, np.inf, -np.inf
    return (x,)


# Rows around vectors (16) and the cpu template's columns (256); one to three axes, kept ones between them and after
# them, and too many for one launch; growing, shrinking, staying and unequal axes; scales that do not divide.
_SHAPES: tuple[tuple[Tier, tuple[int, ...], dict[str, Any]], ...] = (
    ("small", (1, 2, 5, 9), {"scales": (1, 1, 2, 2)}),
    ("small", (2, 3, 7), {"sizes": (17,), "axes": (2,)}),
    ("small", (2, 4, 5, 3), {"sizes": (3, 8), "axes": (1, 2)}),
    ("edge", (7,), {"sizes": (1,)}),
    ("edge", (1, 1, 1), {"sizes": (1, 3, 4)}),
    ("edge", (3, 4, 4), {"sizes": (3, 0, 4)}),
    ("edge", (0, 4, 4), {"scales": (1, 2, 0.5)}),
    ("edge", (2, 3, 15, 16), {"scales": (2, 2), "axes": (-1, -2)}),
    ("edge", (1, 2, 33, 31), {"scales": (1, 1, 0.6, 0.6)}),
    ("edge", (1, 3, 17, 65), {"sizes": (1, 3, 40, 257)}),
    ("edge", (1, 2, 6, 5, 7), {"sizes": (9, 5, 17), "axes": (2, 3, 4)}),
    ("edge", (2, 3, 4, 5), {"sizes": (3, 4, 7, 2)}),
    ("edge", (5, 6, 3, 1, 4), {"scales": (1.5, 2.3), "axes": (4, 0)}),
    ("edge", (1, 64, 20), {"scales": (3,), "axes": (1,)}),
    ("edge", (2, 30, 40), {"sizes": (20, 50), "axes": (1, 2), "keep_aspect_ratio_policy": "not_larger"}),
    ("edge", (2, 30, 40), {"sizes": (20, 50), "axes": (1, 2), "keep_aspect_ratio_policy": "not_smaller"}),
    ("edge", (2, 9, 300), {"scales": (1, 1, 1)}),
)
_CROPS: tuple[dict[str, Any], ...] = (
    {"sizes": (7, 20), "axes": (1, 2), "roi": (0.4, 0.6, 0.6, 0.8)},
    {"sizes": (1, 40), "axes": (2, 1), "roi": (-0.3, 0.2, 1.2, 1.5), "extrapolation_value": 10.0},
    {"scales": (1, 3, 0.5), "roi": (0, 0.9, -0.4, 1, 0.1, 1.3), "extrapolation_value": -2.5},
)


def _cases() -> list[Case]:
    found: list[Case] = []
    for tier, shape, keywords in _SHAPES:
        for way in (
            {"mode": "nearest"},
            {"mode": "linear"},
            {"mode": "cubic"},
            {"mode": "linear", "antialias": True},
        ):
            if tier != "small" or len(found) < 8:
                found.append(_case(tier, shape, {**keywords, **way}))
    found += [
        _case("edge", (1, 2, 11, 23), {"mode": mode, "coordinate_transformation_mode": way, "scales": (1, 1, *by)})
        for mode in ("nearest", "linear", "cubic")
        for way in MODES[:-1]
        for by in ((1.7, 2.0), (0.3, 0.45))
    ]
    found += [
        _case("edge", (4, 27), {"nearest_mode": how, "coordinate_transformation_mode": way, "sizes": (10, 18)})
        for how in NEAREST
        for way in MODES[:-1]
    ]
    crop = {"coordinate_transformation_mode": "tf_crop_and_resize"}
    for place, keywords in enumerate(_CROPS):
        for mode in ("nearest", "linear", "cubic"):
            found.append(_case("edge" if place else "small", (2, 10, 12), {**keywords, **crop, "mode": mode}))
    found += [_case("small", (2, 5, 33), {"scales": (2, 1.5), "axes": (1, 2)}, kind) for kind in ("int8", "int64")]
    found += [_case("edge", (2, 9, 33), {**_CROPS[1], **crop}, kind) for kind in ("bool", "int8", "float16", "int64")]
    for way in ({"mode": "linear"}, {"mode": "cubic", "exclude_outside": True, "cubic_coeff_a": -0.5}):
        found += [_case("small", (1, 2, 6, 19), {"scales": (1, 1, 1.5, 2), **way}, "float16")]
        found += [_case("edge", (2, 3, 4, 25), {"sizes": (3, 4, 7, 11), **way}, "float16")]
        found += [_case("edge", (1, 2, 12, 55), {"scales": (1, 1, 0.3, 0.7), "antialias": True, **way})]
    for mode in ("linear", "cubic"):
        for where in ("half_pixel", "asymmetric"):  # the latter has whole coordinates
            keywords = {"scales": (1, 1, 2, 2), "mode": mode, "coordinate_transformation_mode": where}
            found.append(Case(f"special values {mode} {where}", "edge", _special, keywords))
    large = [
        _case("large", (1, 16, 301, 257), {"scales": (1, 1, 2, 2), "mode": mode}) for mode in ("nearest", "linear")
    ]
    return [*found, *large, _case("large", (1, 8, 781, 1823), {"sizes": (224, 224), "axes": (2, 3), "mode": "cubic"})]


def _random(rng: np.random.Generator) -> Case:
    """Any rank, axes, lengths and way to resample."""
    rank = int(rng.integers(1, 6))
    shape = tuple(int(10 ** rng.uniform(0, (2.5, 1.6, 1.1, 0.8, 0.6)[rank - 1])) for _ in range(rank))
    axes = tuple(int(axis) for axis in rng.permutation(rank)[: rng.integers(1, rank + 1)])
    mode = str(rng.choice(["nearest", "linear", "cubic"]))
    keywords: dict[str, Any] = {"mode": mode, "axes": axes, "coordinate_transformation_mode": str(rng.choice(MODES))}
    if rng.integers(2):
        keywords["scales"] = tuple(round(float(2 ** rng.uniform(-2, 1.5)), 3) for _ in axes)
    else:
        keywords["sizes"] = tuple(max(1, int(shape[axis] * 2 ** rng.uniform(-2, 1.5))) for axis in axes)
        keywords["keep_aspect_ratio_policy"] = str(rng.choice(["stretch", "stretch", "not_larger", "not_smaller"]))
    if keywords["coordinate_transformation_mode"] == MODES[-1]:
        starts = [round(float(rng.uniform(-0.5, 0.9)), 3) for _ in axes]
        keywords["roi"] = (*starts, *(round(start + float(rng.uniform(-0.2, 1.0)), 3) for start in starts))
        keywords["extrapolation_value"] = float(rng.integers(0, 100))
    if mode == "nearest":
        keywords["nearest_mode"] = str(rng.choice(NEAREST))
        return _case("edge", shape, keywords, a_dtype(rng))
    keywords |= {"antialias": bool(rng.integers(2)), "exclude_outside": bool(rng.integers(2))}
    if mode == "cubic":
        keywords["cubic_coeff_a"] = float(rng.choice([-0.75, -0.5]))
    return _case("edge", shape, keywords, str(rng.choice(["float32", "float16"])))


def _problem(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    """Images to a percentage of their sides; ``mode`` is 0 nearest, 1 linear, 2 cubic."""
    x = rng.standard_normal((1, sizes["C"], sizes["H"], sizes["W"]), dtype=np.float32)
    by = sizes["percent"] / 100
    mode = ("nearest", "linear", "cubic")[sizes["mode"]]
    return Problem((x,), {"scales": (1.0, 1.0, by, by), "mode": mode, "antialias": bool(sizes["antialias"])})


SUITE = Suite(
    "resize",
    resize,
    resize_tolerance,
    tuple(_cases()),
    random=_random,
    bench=Bench(
        {"C": None, "H": None, "W": None, "percent": 200, "mode": 1, "antialias": 0},
        _problem,
        example="64x56x56",
    ),
)
