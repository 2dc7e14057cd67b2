"""When an open loop sends: seconds from its start, chosen before it begins."""

from __future__ import annotations

import random

from rx580lab.errors import InputError

__all__ = ["constant", "poisson"]


def constant(rate: float, seconds: float) -> list[float]:
    """One every ``1 / rate`` seconds, the first at 0."""
    _positive(rate, seconds)
    return [n / rate for n in range(int(rate * seconds))]


def poisson(rate: float, seconds: float, seed: int = 0) -> list[float]:
    """Independent arrivals, ``rate`` a second on average: what many clients who know nothing of each other make."""
    _positive(rate, seconds)
    rng = random.Random(seed)
    found, at = [], rng.expovariate(rate)
    while at < seconds:
        found.append(at)
        at += rng.expovariate(rate)
    return found


def _positive(rate: float, seconds: float) -> None:
    if not (rate > 0 and seconds > 0):
        raise InputError("loadgen", f"expected a rate and a time above 0, got {rate:g}/s for {seconds:g} s")
