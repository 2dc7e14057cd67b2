"""Cases of ``lstm``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.reference.lstm import lstm, lstm_tolerance
from rx580lab.selftest.case import Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

# (T, B, H) around the cpu template's tiles (64) and its four elements at a time, and the plain one's groups (64).
_SHAPES: tuple[tuple[Tier, tuple[int, int, int]], ...] = (
    ("small", (3, 2, 5)),
    ("edge", (1, 1, 1)),
    ("edge", (2, 0, 3)),
    ("edge", (2, 3, 0)),
    ("edge", (4, 3, 16)),
    ("edge", (5, 1, 63)),
    ("edge", (2, 2, 64)),
    ("edge", (3, 1, 65)),
    ("edge", (7, 2, 130)),
    ("large", (4, 3, 300)),
)
_DIRECTIONS = ("forward", "reverse", "bidirectional")


def _inputs(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    direction: str,
    given: str,
    dtype: npt.DTypeLike = np.float32,
) -> Arrays:
    """``given``: which optional arrays there are: b bias, h and c initial states, l lengths, p peephole, s scales of
    each column instead of each direction.
    """
    steps, batch, units = shape
    d = 2 if direction == "bidirectional" else 1

    def normal(*lengths: int, size: float = 1.0) -> npt.NDArray[np.float32]:
        return (rng.standard_normal(lengths) * size).astype(np.float32)

    arrays: dict[str, Any] = {
        "b": normal(d, 8 * units, size=0.3),
        "h": np.tanh(normal(d, batch, units)),
        "c": normal(d, batch, units),
        "l": rng.integers(0, steps + 1, batch, np.int32),
        "p": normal(d, 3 * units, size=0.3),
    }
    gates = normal(d, steps, batch, 4 * units)
    optional = [value if letter in given else None for letter, value in arrays.items()]
    if np.dtype(dtype) == np.float32:
        return gates, normal(d, units, 4 * units, size=max(units, 1) ** -0.5), *optional, None, None
    limits = np.iinfo(np.dtype(dtype))
    r = rng.integers(limits.min, limits.max, (d, units, 4 * units), dtype, endpoint=True)
    lengths = (d, 4 * units) if "s" in given else (d,)
    scale = (rng.uniform(0.5, 1.5, lengths) / (100 * max(units, 1) ** 0.5)).astype(np.float32)
    zero = rng.integers(-20, 20, lengths) + (128 if limits.min == 0 else 0)
    return gates, r, *optional, scale, zero.astype(dtype)


def _case(
    tier: Tier,
    shape: tuple[int, int, int],
    direction: str = "forward",
    given: str = "",
    dtype: npt.DTypeLike = np.float32,
    **keywords: Any,
) -> Case:
    more = " ".join(f"{name} {value}" for name, value in keywords.items())
    name = f"{'x'.join(map(str, shape))} {direction} {np.dtype(dtype).name} {given} {more}".strip()
    every: Mapping[str, Any] = {"direction": direction, **keywords}
    return Case(name, tier, lambda rng: _inputs(rng, shape, direction, given, dtype), every)


def _random(rng: np.random.Generator) -> Case:
    shape = int(rng.integers(1, 7)), int(rng.integers(1, 4)), int(10 ** rng.uniform(0, 2))
    given = "".join(letter for letter in "bhclps" if rng.random() < 0.5)
    dtype = (np.float32, np.int8, np.uint8)[rng.integers(3)]
    return _case("edge", shape, str(rng.choice(_DIRECTIONS)), given, dtype)


def _problem(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    dtype = np.int8 if sizes["bytes"] else np.float32
    shape = sizes["T"], sizes["B"], sizes["H"]
    return Problem(_inputs(rng, shape, "bidirectional", "bhc", dtype), {"direction": "bidirectional"})


SUITE = Suite(
    "lstm",
    lstm,
    lstm_tolerance,
    (
        *(_case(tier, shape, direction) for tier, shape in _SHAPES for direction in _DIRECTIONS),
        *(_case("edge", (6, 3, 33), direction, "bhclp") for direction in _DIRECTIONS),
        _case("edge", (4, 2, 20), "bidirectional", "bp", clip=0.3),
        *(
            _case("small", (3, 2, 7), "bidirectional", given, dtype)
            for given in ("bhcl", "bs")
            for dtype in (np.int8, np.uint8)
        ),
        *(_case("edge", (5, 1, 67), direction, "bhcp", np.int8) for direction in _DIRECTIONS),
        _case("edge", (3, 3, 130), "forward", "bhcs", np.uint8),
    ),
    random=_random,
    bench=Bench({"T": None, "B": None, "H": None, "bytes": 0}, _problem, example="32x1x256"),
)
