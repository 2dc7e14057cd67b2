"""Cases of ``triad``: copy's sizes, since the kernels walk memory alike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rx580lab.reference.triad import triad, triad_tolerance
from rx580lab.selftest.case import Arrays, Bench, Case, Problem, Suite, Tier
from rx580lab.selftest.suites.copy import SIZES, a_size

__all__ = ["SUITE"]

Pair = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def _ordinary(rng: np.random.Generator, n: int) -> Pair:
    return rng.standard_normal(n, dtype=np.float32), rng.standard_normal(n, dtype=np.float32)


def _special(rng: np.random.Generator, n: int) -> Arrays:
    # 3 * 1e38 is still finite: had the product overflowed, a fused and a separate multiply-add would rightly differ.
    values = np.array([0.0, -0.0, 1.0, -1.0, 1e38, -1e38, np.inf, -np.inf, np.nan], np.float32)
    return rng.choice(values, n), rng.choice(values, n)


def _case(tier: Tier, n: int) -> Case:
    return Case(f"N={n}", tier, lambda rng: _ordinary(rng, n))


def _random(rng: np.random.Generator) -> Case:
    n, s = a_size(rng), round(float(rng.normal()), 3)
    return Case(f"N={n}, s={s}", "edge", lambda rng: _ordinary(rng, n), {"s": s})


SUITE = Suite(
    "triad",
    triad,
    triad_tolerance,
    (
        *(_case(tier, n) for tier, n in SIZES),
        Case("NaN, infinities, overflow", "small", lambda rng: _special(rng, 300)),
        Case("s=-0.37", "edge", lambda rng: _ordinary(rng, 1000), {"s": -0.37}),
        Case("rank 3", "edge", lambda rng: tuple(a.reshape(5, 6, 7) for a in _ordinary(rng, 210))),
    ),
    random=_random,
    bench=Bench({"N": None}, lambda sizes, rng: Problem(_ordinary(rng, sizes["N"])), example="4194304"),
)
