"""Counts of the last minute: who has used how much, exact to the second, in bounded memory.

A moving window: what was admitted counts for a minute and until the second is over, so that no minute whatever holds
more than the limit. (A sliding counter of two windows admits up to twice the limit in a minute that lies badly; a list
of times costs memory for each request.) Several limits of one request are tested and charged in one step, all or none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

__all__ = ["SPAN_S", "Answer", "Charge", "MemoryWindows"]

SPAN_S = 61  # a minute, and the second that it began in
_SHARED = 1024  # counts for those that come when memory is full


class Charge(NamedTuple):
    """``units``: that ``who`` may use in a minute; ``cost``: that this request would use."""

    who: str
    units: int
    cost: int


class Answer(NamedTuple):
    """Whether all limits hold.

    ``place`` is the index of the limit that is used up (for ``after_s`` seconds yet), or else of the one of which the
    smallest part is left; ``left`` its units that are left after this request.
    """

    admitted: bool
    place: int
    left: int
    after_s: float


class MemoryWindows:
    """Threads may share it. ``capacity``: names counted one by one; above, the others share 1024 counts.

    Shared counts may refuse somebody for what others used, but admit nobody to more than the limit. ``hash`` is keyed
    in each process, so nobody can choose whose count to share. Names that begin with "key " never share: they are of
    verified keys, so there are no more than keys, and no flood of addresses may touch them.
    """

    def __init__(self, capacity: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.capacity = capacity
        self._clock = clock
        self._lock = threading.Lock()
        # A window is [units in it, second, units, second, units, ...], oldest first. Windows that were touched since
        # the last turn are in _recent; one that is in neither after two turns has been empty for a minute.
        self._recent: dict[str, list[int]] = {}
        self._before: dict[str, list[int]] = {}
        self._turned = clock()

    def __len__(self) -> int:
        """Windows in memory."""
        return len(self._recent) + len(self._before)

    def acquire(self, charges: Sequence[Charge]) -> Answer:
        """Charges all if all limits hold, and none otherwise."""
        with self._lock:
            now = self._clock()
            windows = [self._window(charge.who, now) for charge in charges]
            answer = self._judge(charges, windows, now)
            if answer.admitted:
                for charge, window in zip(charges, windows, strict=True):
                    self._add(charge, window, now)
            return answer

    def peek(self, charges: Sequence[Charge]) -> Answer:
        """Whether ``acquire`` would admit; nothing is charged."""
        with self._lock:
            now = self._clock()
            return self._judge(charges, [self._found(charge.who, now) for charge in charges], now)

    def record(self, charges: Sequence[Charge]) -> None:
        """Charges all, whatever the limits say: for what has happened already."""
        with self._lock:
            now = self._clock()
            for charge in charges:
                self._add(charge, self._window(charge.who, now), now)

    def _judge(self, charges: Sequence[Charge], windows: Sequence[list[int]], now: float) -> Answer:
        place, least, left = 0, 2.0, 0
        for index, (charge, window) in enumerate(zip(charges, windows, strict=True)):
            rest = charge.units - window[0] - charge.cost
            if rest < 0:
                return Answer(False, index, 0, _free_after_s(window, -rest, now))
            if rest / charge.units < least:
                place, least, left = index, rest / charge.units, rest
        return Answer(True, place, left, 0.0)

    @staticmethod
    def _add(charge: Charge, window: list[int], now: float) -> None:
        second = int(now)
        if len(window) > 1 and window[-2] == second:
            window[-1] += charge.cost
        else:
            window += (second, charge.cost)
        window[0] += charge.cost

    def _window(self, who: str, now: float) -> list[int]:
        self._turn(now)
        window = self._recent.get(who)
        if window is None:
            window = self._before.pop(who, None)
            if window is None:
                if len(self) >= self.capacity and not who.startswith(("shared ", "key ")):
                    return self._window(f"shared {hash(who) % _SHARED}", now)
                window = [0]
            self._recent[who] = window
        return _pruned(window, now)

    def _found(self, who: str, now: float) -> list[int]:
        self._turn(now)
        window = self._recent.get(who) or self._before.get(who)
        if window is None and len(self) >= self.capacity and not who.startswith("key "):
            shared = f"shared {hash(who) % _SHARED}"
            window = self._recent.get(shared) or self._before.get(shared)
        return [0] if window is None else _pruned(window, now)

    def _turn(self, now: float) -> None:
        if now - self._turned >= SPAN_S:
            # What is dropped was touched last before the turn before this one, over a minute ago.
            self._before, self._recent, self._turned = self._recent, {}, now


def _pruned(window: list[int], now: float) -> list[int]:
    oldest = int(now) - SPAN_S
    end = 1
    while end < len(window) and window[end] <= oldest:
        window[0] -= window[end + 1]
        end += 2
    if end > 1:
        del window[1:end]
    return window


def _free_after_s(window: Sequence[int], needed: int, now: float) -> float:
    """Seconds until ``needed`` units have left the window."""
    for place in range(1, len(window), 2):
        needed -= window[place + 1]
        if needed <= 0:
            return max(0.0, window[place] + SPAN_S - now)
    return float(SPAN_S)  # more than the whole limit: the next minute will see
