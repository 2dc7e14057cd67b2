"""Change points of a series: where its level moved, by how much, and how sure that is.

Split weakly, then keep strictly (after Fleming et al., "Hunter: Using Change Point Detection to Hunt for Performance
Regressions", ICPE 2023): binary segmentation alone is myopic, a step up soon followed by a step down hides both.

1. Each stretch is divided where the energy statistic is largest (Szekely and Rizzo, 2004; Matteson and James, 2014),
   if a Mann-Whitney test of the two sides gives p < 0.05, and both halves are divided in turn.
2. Of the borders found, the worst is removed, again and again, until each has p < 0.001 and a shift of the medians of
   at least 3 %, between the stretches that then meet there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.errors import ResultError

__all__ = ["LEAST_RUNS", "Change", "change_points", "mann_whitney"]

#: The fewest values in which a change can be found: 5 and 9 of them, all of one side below all of the other, have
#: p = 2 / C(14, 5) = 0.000999.
LEAST_RUNS = 14
_WEAK_P = 0.05
# Up to this many values the distribution of U is counted out; beyond it the normal approximation serves.
_MOST_COUNTED = 30

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """The level of a series moved between the values at ``index`` - 1 and ``index``.

    ``before`` and ``after`` are the medians of the stretches that meet there, ``shift`` is after / before - 1, and
    ``p_value`` is the two-sided Mann-Whitney probability of so clear a border between equal stretches.
    """

    index: int
    before: float
    after: float
    shift: float
    p_value: float


def change_points(
    values: Sequence[float] | npt.NDArray[Any], *, least_side: int = 5, strict_p: float = 0.001, min_shift: float = 0.03
) -> list[Change]:
    """The changes of ``values`` (one unit, oldest first), oldest first; none for fewer than ``2 * least_side`` values.

    Each stretch has at least ``least_side`` values, each change p < ``strict_p`` and a median shift of at least
    ``min_shift``, relative. Raises ResultError for values that are not finite or limits that make no sense.
    """
    series: _Floats = np.asarray(values, dtype=np.float64).ravel()
    if not np.isfinite(series).all():
        raise ResultError("change_points", f"expected finite values, got {series[~np.isfinite(series)][0]}")
    if least_side < 2 or not 0 < strict_p < 1 or min_shift < 0:
        raise ResultError(
            "change_points",
            f"expected at least 2 values a side, 0 < p < 1 and a shift of 0 or more, got {least_side}, {strict_p} and "
            f"{min_shift}",
        )
    borders = sorted(_weak_borders(series, 0, len(series), least_side))
    while borders:
        changes = _changes(series, borders)
        # A shift below what matters is worse than any probability.
        worst = max(changes, key=lambda each: (abs(each.shift) < min_shift, each.p_value, -abs(each.shift)))
        if abs(worst.shift) >= min_shift and worst.p_value < strict_p:
            return changes
        borders.remove(worst.index)
    return []


def mann_whitney(
    first: Sequence[float] | npt.NDArray[Any], second: Sequence[float] | npt.NDArray[Any]
) -> tuple[float, float]:
    """(U of ``first``, two-sided p) of the hypothesis that the two samples have one distribution.

    Exact for up to 30 values without ties; else the normal approximation with corrections for ties and continuity
    (Mann and Whitney, 1947; Lehmann, "Nonparametrics", 1975, section 1.2). Samples that are all one value give p = 1.
    Raises ResultError for an empty sample.
    """
    x: _Floats = np.asarray(first, dtype=np.float64).ravel()
    y: _Floats = np.asarray(second, dtype=np.float64).ravel()
    n, m = len(x), len(y)
    if n == 0 or m == 0:
        raise ResultError("mann_whitney", f"expected two samples, got {n} and {m} values")
    _, places, counts = np.unique(np.concatenate([x, y]), return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # the mean rank of each distinct value
    u = float(ranks[places[:n]].sum() - n * (n + 1) / 2)
    if counts.max() == 1 and n + m <= _MOST_COUNTED:
        return u, _exact_p(u, n, m)
    total = n + m
    ties = float((counts.astype(np.float64) ** 3 - counts).sum())
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return u, 1.0
    z = max(abs(u - n * m / 2) - 0.5, 0.0) / math.sqrt(variance)
    return u, math.erfc(z / math.sqrt(2))


def _exact_p(u: float, n: int, m: int) -> float:
    """Twice the share of arrangements of n and m distinct values with a U as far out as ``u``, at most 1."""
    ways = np.zeros((n + 1, n * m + 1))  # [k][s]: choices of k of the first ranks with sum s above the least
    ways[0, 0] = 1.0
    for rank in range(n + m):
        for k in range(min(n, rank + 1), 0, -1):
            step = rank - (k - 1)  # the k-th chosen may lie this far above its lowest place
            if step <= n * m:
                ways[k, step:] += ways[k - 1, : n * m + 1 - step]
    tail = ways[n, : int(min(u, n * m - u)) + 1].sum()
    return min(1.0, float(2 * tail / ways[n].sum()))


def _weak_borders(series: _Floats, start: int, end: int, least_side: int) -> list[int]:
    part = series[start:end]
    if len(part) < 2 * least_side:
        return []
    split = _energy_split(part, least_side)
    _, p = mann_whitney(part[:split], part[split:])
    if p >= _WEAK_P:
        return []
    border = start + split
    return [
        *_weak_borders(series, start, border, least_side),
        border,
        *_weak_borders(series, border, end, least_side),
    ]


def _energy_split(part: _Floats, least_side: int) -> int:
    """Where the energy distance of the two sides, weighted by n m / (n + m), is largest. ``part`` (T,) -> 1..T-1."""
    total = len(part)
    distance = np.abs(part[:, None] - part[None, :])
    # within[i]: the sum over all pairs among the first i values; the rest follows from it by subtraction.
    within = np.concatenate([[0.0], np.cumsum(2 * np.tril(distance).sum(axis=1))])
    to_all = np.concatenate([[0.0], np.cumsum(distance.sum(axis=1))])
    n = np.arange(least_side, total - least_side + 1)
    m = total - n
    left = within[n]
    between = to_all[n] - left
    right = within[total] - left - 2 * between
    energy = n * m / total * (2 * between / (n * m) - left / (n * n) - right / (m * m))
    return int(n[np.argmax(energy)])


def _changes(series: _Floats, borders: Sequence[int]) -> list[Change]:
    edges = [0, *borders, len(series)]
    found = []
    for start, border, end in zip(edges, edges[1:], edges[2:], strict=False):
        before, after = series[start:border], series[border:end]
        old, recent = float(np.median(before)), float(np.median(after))
        shift = (recent - old) / abs(old) if old else (0.0 if recent == 0 else math.copysign(math.inf, recent))
        _, p = mann_whitney(before, after)
        found.append(Change(border, old, recent, shift, p))
    return found
