"""Cases of ``copy``."""

from __future__ import annotations

import numpy as np

from rx580lab.reference.copy import copy, copy_tolerance
from rx580lab.selftest.case import Arrays, Bench, Case, Problem, Suite, Tier

__all__ = ["SIZES", "SUITE", "a_size"]

# Around vectors, wavefronts and groups; the tiles of the gpu and cpu templates (4096, 65536); and just above the size
# from which stores bypass the caches. Large sizes end neither on a vector nor on a tile.
SIZES: tuple[tuple[Tier, int], ...] = (
    ("small", 1),
    ("small", 65),
    ("small", 4099),
    ("edge", 0),
    ("edge", 15),
    ("edge", 31),
    ("edge", 33),
    ("edge", 255),
    ("edge", 257),
    ("edge", 4095),
    ("edge", 4096),
    ("edge", 65535),
    ("edge", 65537),
    ("edge", 1423663),
    ("large", 8388608 + 13),
)


def _bits(rng: np.random.Generator, n: int) -> Arrays:
    """Any bit patterns but NaN, since a copy may make those quiet: zeros of both signs, subnormals, infinities."""
    x = rng.integers(0, 2**32, n, dtype=np.uint32).view(np.float32)
    return (np.where(np.isnan(x), np.float32(-0.0), x),)


def _case(tier: Tier, n: int) -> Case:
    return Case(f"N={n}", tier, lambda rng: _bits(rng, n))


def a_size(rng: np.random.Generator) -> int:
    """Any size up to 100,000, as likely small as large."""
    return int(10 ** rng.uniform(0, 5))


SUITE = Suite(
    "copy",
    copy,
    copy_tolerance,
    tuple(_case(tier, n) for tier, n in SIZES),
    random=lambda rng: _case("edge", a_size(rng)),
    bench=Bench(
        {"N": None},
        lambda sizes, rng: Problem((rng.standard_normal(sizes["N"], dtype=np.float32),)),
        example="4194304",
    ),
)
