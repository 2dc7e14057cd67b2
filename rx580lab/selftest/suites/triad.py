"""Cases of ``triad``: copy's sizes, since the kernels walk memory alike."""

from __future__ import annotations

import numpy as np

from rx580lab.reference.triad import triad, triad_tolerance
from rx580lab.selftest.case import Arrays, Case, Suite, Tier
from rx580lab.selftest.suites.copy import SIZES

__all__ = ["SUITE"]


def _ordinary(rng: np.random.Generator, n: int) -> Arrays:
    return rng.standard_normal(n, dtype=np.float32), rng.standard_normal(n, dtype=np.float32)


def _special(rng: np.random.Generator, n: int) -> Arrays:
    # 3 * 1e38 is still finite: had the product overflowed, a fused and a separate multiply-add would rightly differ.
    values = np.array([0.0, -0.0, 1.0, -1.0, 1e38, -1e38, np.inf, -np.inf, np.nan], np.float32)
    return rng.choice(values, n), rng.choice(values, n)


def _case(tier: Tier, n: int) -> Case:
    return Case(f"N={n}", tier, {"N": n}, lambda rng: _ordinary(rng, n))


SUITE = Suite(
    "triad",
    triad,
    triad_tolerance,
    (
        *(_case(tier, n) for tier, n in SIZES),
        Case("NaN, infinities, overflow", "small", {"N": 300}, lambda rng: _special(rng, 300)),
        Case("s=-0.37", "edge", {"N": 1000}, lambda rng: _ordinary(rng, 1000), {"s": -0.37}),
        Case("rank 3", "edge", {"N": 210}, lambda rng: tuple(a.reshape(5, 6, 7) for a in _ordinary(rng, 210))),
    ),
)
