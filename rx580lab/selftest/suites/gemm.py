"""Cases of ``gemm``."""

from __future__ import annotations

import numpy as np

from rx580lab.reference.gemm import gemm, gemm_tolerance
from rx580lab.selftest.case import Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SUITE"]

# (M, N, K). All three differ wherever they can, so that a swapped or wrong leading dimension shows. Around the cpu
# template's micro-tile (6x16) and the gpu template's tiles (64, 16); skinny both ways; irregular; sums of length 0.
_SHAPES: tuple[tuple[Tier, tuple[int, int, int]], ...] = (
    ("small", (1, 1, 1)),
    ("small", (7, 17, 5)),
    ("small", (13, 35, 19)),
    ("edge", (0, 4, 3)),
    ("edge", (4, 0, 3)),
    ("edge", (3, 5, 0)),
    ("edge", (6, 16, 4)),
    ("edge", (31, 33, 32)),
    ("edge", (64, 65, 63)),
    ("edge", (1, 257, 300)),
    ("edge", (255, 1, 129)),
    ("edge", (8, 512, 515)),
    ("edge", (97, 130, 1025)),
    ("edge", (128, 96, 64)),
    ("large", (317, 533, 781)),
    ("large", (768, 770, 769)),
)


def _case(tier: Tier, shape: tuple[int, int, int]) -> Case:
    return Case("x".join(map(str, shape)), tier, lambda rng: _matrices(rng, *shape))


def _matrices(rng: np.random.Generator, m: int, n: int, k: int) -> Arrays:
    return rng.standard_normal((m, k), dtype=np.float32), rng.standard_normal((k, n), dtype=np.float32)


def _special(rng: np.random.Generator) -> Arrays:
    """A NaN in A spoils its row of C, an infinity in B its column; nothing else."""
    a, b = rng.standard_normal((9, 21), dtype=np.float32), rng.standard_normal((21, 18), dtype=np.float32)
    a[4, 20] = np.nan
    b[0, 17] = np.inf
    return a, b


def _random(rng: np.random.Generator) -> Case:
    m, n, k = (int(10 ** rng.uniform(0, 2.2)) for _ in range(3))
    return _case("edge", (m, n, k))


SUITE = Suite(
    "gemm",
    gemm,
    gemm_tolerance,
    (
        *(_case(tier, shape) for tier, shape in _SHAPES),
        Case("NaN and infinity", "small", _special),
    ),
    random=_random,
    bench=Bench(
        {"M": None, "N": None, "K": None},
        lambda sizes, rng: Problem(_matrices(rng, sizes["M"], sizes["N"], sizes["K"])),
        example="256x256x256",
    ),
)
