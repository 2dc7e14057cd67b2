"""Cases of ``fma_peak``."""

from __future__ import annotations

import numpy as np

from rx580lab.reference.fma_peak import fma_peak, fma_peak_tolerance
from rx580lab.selftest.case import Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

# (n, n_steps): n around the blocks of the cpu and gpu templates (96, 4096); steps around the unrolled 4 and 8.
_SIZES: tuple[tuple[Tier, int, int], ...] = (
    ("small", 1, 3),
    ("small", 97, 8),
    ("small", 4097, 5),
    ("edge", 0, 8),
    ("edge", 31, 0),
    ("edge", 65, 1),
    ("edge", 95, 7),
    ("edge", 96, 1024),
    ("edge", 191, 9),
    ("edge", 257, 1023),
    ("edge", 4095, 100),
    ("edge", 4096, 100),
    ("edge", 12345, 2048),
    ("large", 1000003, 256),
)


def _case(tier: Tier, n: int, n_steps: int) -> Case:
    return Case(
        f"N={n}, {n_steps} steps",
        tier,
        lambda rng: (rng.uniform(-2, 2, n).astype(np.float32),),
        {"n_steps": n_steps},
    )


def _random(rng: np.random.Generator) -> Case:
    return _case("edge", int(10 ** rng.uniform(0, 4)), int(rng.integers(0, 600)))


SUITE = Suite(
    "fma_peak",
    fma_peak,
    fma_peak_tolerance,
    tuple(_case(*size) for size in _SIZES),
    random=_random,
    bench=Bench(
        {"N": None},
        lambda sizes, rng: Problem((rng.standard_normal(sizes["N"], dtype=np.float32),)),
        example="98304",
    ),
)
