"""Cases of ``attention``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rx580lab.reference.attention import attention, attention_tolerance
from rx580lab.selftest.case import AnyArray, Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

# B, H, G, T, S, D, E
Lengths = tuple[int, int, int, int, int, int, int]


def _arrays(rng: np.random.Generator, lengths: Lengths, dtype: Any, spread: float = 1.0) -> tuple[AnyArray, ...]:
    b, h, g, t, s, d, e = lengths
    shapes = (b, h, t, d), (b, g, s, d), (b, g, s, e)
    return tuple((rng.standard_normal(shape) * spread).astype(dtype) for shape in shapes)


def _mask(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> AnyArray:
    """Some of it -infinity; the first row all of it, which must give zeros."""
    mask = rng.standard_normal(shape)
    mask[rng.random(shape) < 0.3] = -np.inf
    mask.reshape(-1, shape[-1])[0] = -np.inf
    return np.asarray(mask.astype(dtype))


def _case(
    tier: Tier,
    lengths: Lengths,
    note: str = "",
    *,
    mask: tuple[int, ...] | None = None,
    dtype: Any = np.float32,
    spread: float = 1.0,
    **keywords: Any,
) -> Case:
    words = [note, f"mask {'x'.join(map(str, mask))}" if mask else "", "fp16" * (dtype == np.float16)]
    words += [name if value is True else f"{name} {value}" for name, value in keywords.items()]
    name = ", ".join([" ".join(map("{}{}".format, "BHGTSDE", lengths)), *(word for word in words if word)])

    def inputs(rng: np.random.Generator) -> Arrays:
        given = _arrays(rng, lengths, dtype, spread)
        return *given, None if mask is None else _mask(rng, mask, dtype)

    return Case(name, tier, inputs, keywords, dtype)


def _special(rng: np.random.Generator) -> Arrays:
    """NaN and infinity: in a query, spoils its row; in a key, those that see it; in a value, its column; in a mask."""
    q, k, v = _arrays(rng, (2, 2, 2, 9, 37, 20, 24), np.float32)
    mask = np.zeros((2, 2, 9, 37), np.float32)
    q[0, 0, 3, 19], q[0, 0, 5, 0] = np.nan, np.inf
    k[0, 1, 36, 0] = np.nan
    v[1, 0, 5, 23] = np.nan
    mask[1, 1, 2, 36], mask[1, 1, 3, 0] = np.nan, np.inf
    return q, k, v, mask


def _hidden(rng: np.random.Generator) -> Arrays:
    """What causal attention hides may be anything, as the unused end of a cache of keys is."""
    q, k, v = _arrays(rng, (1, 3, 1, 5, 140, 17, 16), np.float32)
    k[:, :, 130:] = np.nan
    return q, k, v


def _rising(rng: np.random.Generator) -> Arrays:
    """Each key scores higher than all before it: every block rescales what was summed."""
    q, k, v = _arrays(rng, (1, 1, 1, 20, 300, 8, 8), np.float32)
    q[...], k[...] = 1.0, np.arange(300)[:, None] / 40
    return q, k, v


# Rows around a panel (16), a strip (6), a tile (48) and the step between templates (8); keys around a strip, a block of
# either template (64, 96) and a vector of weights (16); heads around vectors (8, 16) and the widest.
_LENGTHS: tuple[tuple[Tier, Lengths], ...] = (
    ("small", (1, 2, 1, 3, 20, 9, 5)),
    ("small", (2, 2, 2, 17, 7, 4, 16)),
    ("edge", (0, 2, 2, 3, 4, 8, 8)),
    ("edge", (1, 2, 1, 0, 4, 8, 8)),
    ("edge", (1, 2, 2, 3, 0, 8, 8)),
    ("edge", (1, 2, 2, 3, 4, 0, 8)),
    ("edge", (1, 2, 2, 3, 4, 8, 0)),
    ("edge", (1, 1, 1, 1, 1, 1, 1)),
    ("edge", (1, 1, 1, 1, 129, 64, 64)),
    ("edge", (2, 6, 2, 2, 65, 33, 63)),
    ("edge", (1, 9, 3, 3, 95, 64, 64)),
    ("edge", (3, 1, 1, 15, 97, 15, 17)),
    ("edge", (1, 2, 2, 49, 96, 64, 64)),
    ("edge", (1, 4, 1, 33, 63, 40, 31)),
    ("edge", (1, 1, 1, 31, 193, 255, 256)),
    ("edge", (1, 1, 1, 5, 257, 256, 129)),
    ("large", (1, 3, 3, 413, 1021, 64, 64)),
)


def _random(rng: np.random.Generator) -> Case:
    g = int(rng.integers(1, 4))
    b, h = int(rng.integers(1, 3)), g * int(rng.integers(1, 4))
    t, s = (int(10 ** rng.uniform(0, 2.1)) for _ in range(2))
    d, e = (int(10 ** rng.uniform(0, 1.9 if t * s > 2000 else 2.408)) for _ in range(2))
    mask = None
    if rng.random() < 0.4:
        whole = (b, h, t, s)
        mask = tuple(n if rng.random() < 0.6 else 1 for n in whole)[int(rng.integers(4)) :]
    keywords: dict[str, Any] = {}
    if rng.random() < 0.4:
        keywords |= {"causal": True, "past": int(rng.integers(0, s + 3))}
    if rng.random() < 0.3:
        keywords["scale"] = round(float(rng.uniform(-1, 1)), 3)
    dtype = np.float16 if rng.random() < 0.3 else np.float32
    spread = 1.0 if rng.random() < 0.7 else 3.0
    return _case("edge", (b, h, g, t, s, d, e), f"spread {spread}", mask=mask, dtype=dtype, spread=spread, **keywords)


def _problem(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    h, t, s = sizes["H"], sizes["T"], sizes["S"] or sizes["T"]
    lengths = sizes["B"], h, sizes["G"] or h, t, s, sizes["D"], sizes["E"] or sizes["D"]
    dtype = np.float16 if sizes["half"] else np.float32
    mask = rng.standard_normal((1, 1, t, s)).astype(dtype) if sizes["mask"] else None
    keywords = {"causal": True, "past": s - t} if sizes["causal"] else {}
    return Problem((*_arrays(rng, lengths, dtype), mask), keywords, dtype)


SUITE = Suite(
    "attention",
    attention,
    attention_tolerance,
    (
        *(_case(tier, lengths) for tier, lengths in _LENGTHS),
        _case("small", (1, 2, 1, 9, 21, 8, 6), mask=(1, 2, 9, 21), dtype=np.float16, causal=True, past=11),
        _case("small", (1, 1, 1, 2, 19, 8, 6), mask=(19,), dtype=np.float16, causal=True, past=16),
        _case("edge", (2, 4, 2, 50, 70, 32, 32), causal=True),
        _case("edge", (2, 4, 2, 50, 170, 32, 33), causal=True, past=120),
        _case("edge", (1, 2, 1, 1, 200, 64, 64), causal=True, past=150),
        _case("edge", (1, 3, 1, 70, 20, 16, 16), causal=True),
        _case("edge", (2, 4, 2, 17, 101, 24, 24), mask=(2, 4, 17, 101)),
        _case("edge", (2, 4, 2, 17, 101, 24, 24), mask=(2, 1, 1, 101)),
        _case("edge", (2, 4, 2, 17, 101, 24, 24), mask=(4, 1, 101)),
        _case("edge", (2, 4, 2, 17, 101, 24, 24), mask=(2, 1, 17, 1)),
        _case("edge", (2, 4, 2, 3, 101, 24, 24), mask=(3, 101), causal=True, past=90),
        _case("edge", (1, 3, 3, 50, 110, 24, 40), mask=(50, 110), dtype=np.float16),
        _case("edge", (2, 4, 2, 3, 101, 36, 20), mask=(2, 4, 3, 101), dtype=np.float16),
        _case("edge", (1, 2, 1, 20, 130, 64, 64), "scores of hundreds", spread=8.0),
        _case("edge", (1, 2, 1, 4, 130, 64, 64), "scores of hundreds", spread=8.0, scale=-0.5),
        Case("NaN and infinity", "small", _special),
        Case("NaN past what is seen", "edge", _hidden, {"causal": True, "past": 125}),
        Case("each key above those before", "edge", _rising, {"scale": 2.0}),
    ),
    random=_random,
    bench=Bench(
        {"B": 1, "H": None, "T": None, "D": None, "S": 0, "G": 0, "E": 0, "causal": 0, "mask": 0, "half": 0},
        _problem,
        example="H=9 T=256 D=64",
    ),
)
