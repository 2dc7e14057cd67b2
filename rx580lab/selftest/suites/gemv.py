"""Cases of ``gemv``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rx580lab.ops.epilogue import ACTIVATIONS, Epilogue
from rx580lab.reference.gemv import gemv, gemv_tolerance
from rx580lab.selftest.case import AnyArray, Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

# half: fp16 weights. half_values: fp16 vectors too. Of a benchmark and of cases by chance.
_SWITCHES = ("half", "half_values", "bias", "residual")


def _arrays(rng: np.random.Generator, n: int, k: int, batch: tuple[int, ...], on: frozenset[str]) -> Arrays:
    def normal(half: bool, *shape: int) -> AnyArray:
        return rng.standard_normal(shape, dtype=np.float32).astype(np.float16 if half else np.float32)

    half_values = "half_values" in on
    found: list[AnyArray | None] = [normal("half" in on or half_values, n, k), normal(half_values, *batch, k)]
    if on & {"bias", "residual"}:
        found.append(normal(half_values, n) if "bias" in on else None)
        found.append(normal(half_values, *batch, n) if "residual" in on else None)
    return tuple(found)


def _case(
    tier: Tier,
    n: int,
    k: int,
    batch: tuple[int, ...] = (),
    switches: str = "",
    keywords: Mapping[str, Any] | None = None,
) -> Case:
    on = frozenset(switches.split())
    given = dict(keywords or {})
    words = [f"{n}x{k}", f"batch {batch}" if batch else "", *sorted(on)]
    words += [f"alpha {given['alpha']:g}"] if "alpha" in given else []
    words += [str(given["epilogue"].activation)] if "epilogue" in given else []
    dtype = np.float16 if "half_values" in on else np.float32
    name = ", ".join(word for word in words if word)
    return Case(name, tier, lambda rng: _arrays(rng, n, k, batch, on), given, dtype)


def _special(rng: np.random.Generator) -> Arrays:
    """A NaN in W spoils one value, an infinity in x those of one vector."""
    w, x = rng.standard_normal((9, 37), dtype=np.float32), rng.standard_normal((2, 37), dtype=np.float32)
    w[4, 36] = np.nan
    x[1, 0] = np.inf
    return w, x


def _random(rng: np.random.Generator) -> Case:
    n, k = (int(10 ** rng.uniform(0, 2.5)) for _ in range(2))
    batch = tuple(int(rng.integers(1, 4)) for _ in range(rng.integers(0, 3)))
    switches = " ".join(name for name in _SWITCHES if rng.random() < 0.4)
    keywords: dict[str, Any] = {}
    if rng.random() < 0.3:
        activation = str(rng.choice(sorted(ACTIVATIONS)))
        keywords = {"alpha": float(np.float32(rng.normal())), "epilogue": Epilogue(activation)}
    return _case("edge", n, k, batch, switches, keywords)


def _problem(sizes: Mapping[str, int], rng: np.random.Generator) -> Problem:
    on = frozenset(name for name in _SWITCHES if sizes[name])
    batch = (sizes["R"],) if sizes["R"] > 1 else ()
    dtype = np.float16 if "half_values" in on else np.float32
    return Problem(_arrays(rng, sizes["N"], sizes["K"], batch, on), dtype=dtype)


_FULL = {"alpha": -0.375, "epilogue": Epilogue("relu")}

# Element types and activations are builds of their own: few combinations. Lengths around the rows that are read at once
# (8), vectors along K (8) and those of a wavefront (256), a work-item's rows (64); irregular; sums of length 0.
SUITE = Suite(
    "gemv",
    gemv,
    gemv_tolerance,
    (
        _case("small", 1, 1),
        _case("small", 5, 17),
        _case("small", 6, 300, (2,), "bias residual", _FULL),
        _case("small", 7, 21, (), "half"),
        _case("small", 3, 40, (2,), "half_values bias residual", _FULL),
        _case("edge", 0, 3),
        _case("edge", 3, 0),
        _case("edge", 4, 5, (0,)),
        _case("edge", 3, 0, (2,), "bias residual", _FULL),
        _case("edge", 65, 255),
        _case("edge", 17, 257),
        _case("edge", 31, 33, (3, 2), "bias"),
        _case("edge", 255, 63, (), "residual"),
        _case("edge", 130, 1025, (1,), "half bias"),
        _case("edge", 100, 513, (2,), "half residual", {"alpha": -0.375}),
        _case("edge", 33, 2049, (), "half_values", {"epilogue": Epilogue("relu")}),
        _case("large", 1823, 781),
        _case("large", 4099, 2053, (3,), "half bias residual"),
        Case("NaN and infinity", "small", _special),
    ),
    random=_random,
    bench=Bench({"N": None, "K": None, "R": 1, **dict.fromkeys(_SWITCHES, 0)}, _problem, example="1024x1024"),
)
