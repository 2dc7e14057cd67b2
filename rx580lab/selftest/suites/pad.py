"""Cases of ``pad``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rx580lab.reference.pad import pad, pad_tolerance
from rx580lab.selftest.bits import a_dtype, a_shape, any_bits
from rx580lab.selftest.case import Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

MODES = ("constant", "edge", "reflect", "wrap")

# Margins of the innermost axis, of outer ones, of all; odd and even ones, so that elements widen or must not; margins
# longer than x, of x of length 1, of nothing; crops, alone and beside margins; axes that join across the margin's.
_CASES: tuple[tuple[Tier, str, tuple[int, ...], tuple[int, ...], str, float], ...] = (
    ("small", "float32", (4, 37), (1, 3, 2, 5), "constant", -1.5),
    ("small", "int8", (3, 40), (0, 9, 1, 7), "edge", 0),
    ("small", "float16", (5, 6, 4), (1, 3, 0, 2, 2, 0), "reflect", 0),
    ("small", "int64", (3, 5), (4, 6, 7, 1), "wrap", 0),
    ("small", "bool", (2, 3, 16), (0, 1, 16, 1, 0, 0), "constant", True),
    ("small", "float32", (3, 8, 8), (0, 1, 0, 0, 1, 0), "constant", np.inf),
    ("edge", "float32", (), (), "constant", 1),
    ("edge", "float32", (0, 3), (2, 1, 0, 1), "constant", 7),
    ("edge", "float32", (3, 4), (-3, 1, 0, 1), "constant", 7),
    ("edge", "float32", (0, 3), (0, 1, 0, 2), "edge", 0),
    ("edge", "int32", (1,), (5, 300), "reflect", 0),
    ("edge", "int32", (31,), (100, 255), "reflect", 0),
    ("edge", "int32", (31,), (100, 257), "wrap", 0),
    ("edge", "int64", (17, 33), (-1, -2, -3, -4), "constant", 0),
    ("edge", "uint8", (17, 33), (-2, 20, 5, -3), "reflect", 0),
    ("edge", "uint8", (65, 15), (-2, 20, 5, -3), "wrap", 0),
    ("edge", "float16", (15, 255), (3, -5, -4, 6), "edge", 0),
    ("edge", "float32", (2, 3, 14, 15), (0, 0, 1, 1, 0, 0, 1, 1), "constant", 0),
    ("edge", "float32", (2, 3, 14, 16), (0, 0, 3, 4, 0, 0, 3, 4), "constant", np.nan),
    ("edge", "float32", (2, 3, 14, 15), (0, 0, 2, 2, 0, 0, 2, 2), "reflect", 0),
    ("edge", "float32", (2, 14, 15, 8), (0, 1, 1, 0, 0, 1, 1, 0), "edge", 0),
    ("edge", "float32", (2, 14, 15, 8), (0, 1, 1, 0, 0, 1, 1, 0), "constant", 2),
    ("edge", "int8", (2, 1, 3, 2, 1, 2, 3, 2), (1, 0, 2, 1, 0, 1, 1, 1, 0, 1, 1, 0, 2, 1, 0, 1), "constant", -7),
    ("edge", "bool", (2, 1, 3, 2, 1, 2, 3, 2), (1, 0, 2, 1, 0, 1, 1, 1, 0, 1, 1, 0, 2, 1, 0, 1), "reflect", 0),
    ("edge", "float32", (200003,), (5, 7), "constant", 3),
    ("large", "float32", (3, 500, 781), (0, 3, 1, 1, 0, 3), "constant", 3),
)


def _case(tier: Tier, dtype: str, shape: tuple[int, ...], pads: tuple[int, ...], mode: str, value: float) -> Case:
    name = f"{dtype} {'x'.join(map(str, shape)) or 'scalar'}, {mode} {value} {pads}"
    keywords: dict[str, Any] = {"pads": pads, "mode": mode, "constant_value": value}
    return Case(name, tier, lambda rng: (any_bits(rng, shape, dtype),), keywords, dtype)


def _random(rng: np.random.Generator) -> Case:
    shape = a_shape(rng, int(rng.integers(0, 9)), 1e4)
    axes = tuple(int(axis) for axis in rng.permutation(len(shape))[: rng.integers(0, len(shape) + 1)])
    most = 12 if len(axes) < 4 else 2
    front = [int(rng.integers(-(shape[axis] // 3), most)) for axis in axes]
    behind = [int(rng.integers(-(shape[axis] // 3), most)) for axis in axes]
    case = _case("edge", a_dtype(rng), shape, (*front, *behind), MODES[rng.integers(4)], int(rng.integers(0, 2)))
    return Case(f"{case.name} of axes {axes}", "edge", case.inputs, {**case.keywords, "axes": axes}, case.dtype)


def _image(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    x = rng.standard_normal((sizes["C"], sizes["H"], sizes["W"]), dtype=np.float32)
    border = sizes["border"]
    return Problem((x,), {"pads": (0, border, border) * 2, "mode": MODES[sizes["mode"]]})


SUITE = Suite(
    "pad",
    pad,
    pad_tolerance,
    tuple(_case(*each) for each in _CASES),
    random=_random,
    bench=Bench({"C": None, "H": None, "W": None, "border": 1, "mode": 0}, _image, example="64x56x56"),
)
