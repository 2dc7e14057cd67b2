"""Rows into launches: few row counts, since each has a plan of its own, and the cheapest way to cover a number by them.

A launch of a model whose weights are large costs about as much for 8 rows as for one: there padding pays. Where the
arithmetic dominates it costs 8 times as much: there it does not. Which it is is measured when the model is loaded, and
goes on being measured while it serves, since the machine may have been busy with other things at the start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from rx580lab.serve.inference import Tensor, rows_of

__all__ = ["Launches", "Ran", "Run", "row_counts"]

# Inputs with a batch axis, names of outputs (None: all) -> outputs with one.
Run = Callable[[Mapping[str, Tensor], tuple[str, ...] | None], Mapping[str, Tensor]]

# A larger launch is worth waiting for only where a row costs this much less in it.
WORTH = 0.95
# Of what a launch took, so much goes into what is known, up to so many times of that; conclusions follow now and then.
LEARNT_UP, LEARNT_DOWN = 0.1, 0.5
OUTLIER = 3.0
SETTLED_EVERY = 32
# Where more rows wait than are gathered: one launch of so many takes the next larger number.
TRIED_EVERY = 16


def row_counts(most: int) -> tuple[int, ...]:
    """1, 2, 4, 8 ... and ``most``."""
    return (*(1 << k for k in range(most.bit_length()) if 1 << k < most), most)


@dataclass(frozen=True)
class Ran:
    """Outputs of all rows, and what it took. ``rows``: of each launch, padding included."""

    outputs: Mapping[str, Tensor]
    rows: tuple[int, ...]
    input_ns: int
    infer_ns: int
    output_ns: int


class Launches:
    """Runs of one model, by one thread at a time.

    ``learns``: whether launches of one row count always cost the same; not where other axes are open too.

    Attributes:
        costs: rows of a launch -> seconds, as measured; empty where rows of a model must not be put together or apart.
        most: the largest of them. gather: how many rows are worth waiting together: more do not make a row cheaper.
    """

    def __init__(self, run: Run, costs: Mapping[int, float], *, max_bytes: int, learns: bool = False) -> None:
        self._run = run
        self._max_bytes = max_bytes
        self._learns = learns and len(costs) > 1
        self._seen = dict(costs)
        self._n_launches = self._n_gathered = self._trial = 0
        self.most = max(costs, default=0)
        self._settle()

    def _settle(self) -> None:
        """What follows from what was seen."""
        # A larger launch could do the work of a smaller one: where that was measured as dearer, it was disturbed.
        downwards = sorted(self._seen, reverse=True)
        least = dict(zip(downwards, accumulate((self._seen[n] for n in downwards), min), strict=True))
        self.costs = dict(sorted(least.items()))
        self.gather = min(self.costs, default=0)
        for rows, seconds in self.costs.items():
            if seconds / rows < WORTH * self.costs[self.gather] / self.gather:
                self.gather = rows
        self._covers = _covers(self.costs)

    def gather_next(self) -> int:
        """Rows to gather for the launch to come: ``gather``, and now and then more, to learn what that would cost."""
        self._n_gathered += 1
        self._trial = 0
        if self._learns and self.gather < self.most and self._n_gathered % TRIED_EVERY == 0:
            self._trial = min(n for n in self.costs if n > self.gather)
        return self._trial or self.gather

    def _learn(self, size: int, seconds: float) -> None:
        before = self._seen[size]
        # Disturbed launches are slow, never quick: less than is known counts for more, and much more for little.
        share = LEARNT_DOWN if seconds < before else LEARNT_UP
        self._seen[size] += share * (min(seconds, OUTLIER * before) - before)
        self._n_launches += 1
        if self._n_launches % SETTLED_EVERY == 0:
            self._settle()

    @property
    def batches(self) -> bool:
        """Whether rows of several requests may share a launch."""
        return bool(self.costs)

    def cover(self, rows: int, row_bytes: int = 0) -> tuple[int, ...]:
        """Row counts of launches that hold ``rows`` together, the cheapest ones, none beyond the budget of bytes."""
        most = self.most if row_bytes == 0 else max(1, min(self.most, self._max_bytes // row_bytes))
        if most < self.most:
            most = max(n for n in self.costs if n <= most)
        # Whole launches of the size that is cheapest by the row, until the table knows better.
        whole = min(self.gather, most)
        n_whole = max(0, -(-(rows - most) // whole))
        return (whole,) * n_whole + self._covers[rows - n_whole * whole]

    def run(
        self,
        parts: Sequence[Mapping[str, Tensor]],
        wanted: tuple[str, ...] | None,
        between: Callable[[], None] | None = None,
    ) -> Ran:
        """Runs the rows of all parts, one after another in the outputs. ``between`` is called between two launches."""
        began = time.perf_counter_ns()
        whole = parts[0]
        if len(parts) > 1:
            whole = {name: np.concatenate([one[name] for one in parts]) for name in whole}
        n_rows = rows_of(whole)
        if not self.costs:
            ready = time.perf_counter_ns()
            outputs = self._run(whole, wanted)
            return Ran(outputs, (n_rows,), ready - began, time.perf_counter_ns() - ready, 0)
        row_bytes = sum(one.nbytes for one in whole.values()) // n_rows
        sizes = self.cover(n_rows, row_bytes)
        if self.gather < n_rows <= self._trial and self._trial * row_bytes <= self._max_bytes:
            sizes = (self._trial,)
        made: list[Mapping[str, Tensor]] = []
        at = infer_ns = 0
        for size in sizes:
            if at and between is not None:
                between()
            piece = whole if size == n_rows else {name: _rows(one, at, size) for name, one in whole.items()}
            ready = time.perf_counter_ns()
            outputs = self._run(piece, wanted)
            took_ns = time.perf_counter_ns() - ready
            infer_ns += took_ns
            if self._learns:
                self._learn(size, took_ns / 1e9)
            made.append(outputs)
            at += size
        joining = time.perf_counter_ns()
        joined = made[0]
        if len(made) > 1:
            joined = {name: np.concatenate([one[name] for one in made]) for name in joined}
        if at > n_rows:
            joined = {name: one[:n_rows] for name, one in joined.items()}
        ended = time.perf_counter_ns()
        return Ran(joined, sizes, joining - began - infer_ns, infer_ns, ended - joining)


def _rows(array: Tensor, at: int, size: int) -> Tensor:
    """``size`` rows from ``at`` on; the last row again where there are fewer."""
    there = array[at : at + size]
    if len(there) == size:
        return there
    return np.concatenate([there, np.repeat(there[-1:], size - len(there), axis=0)])


def _covers(costs: Mapping[int, float]) -> list[tuple[int, ...]]:
    """For each number of rows up to the largest launch, the launches that cost least together; the largest first."""
    seconds: list[float] = [0.0]
    covers: list[tuple[int, ...]] = [()]
    for rows in range(1, max(costs, default=0) + 1):
        least, size = min((cost + seconds[max(0, rows - size)], size) for size, cost in costs.items())
        seconds.append(least)
        covers.append(tuple(sorted((size, *covers[max(0, rows - size)]), reverse=True)))
    return covers
