"""Turns at something that only one thread may use at a time, in the order in which they were asked for."""

from __future__ import annotations

import threading
from collections import deque

__all__ = ["Turns"]


class Turns:
    """A lock that is fair: ``threading.Lock`` lets a thread that comes back at once go before those that wait."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    def acquire(self, timeout_s: float = -1) -> bool:
        """Waits for a turn; False if there was none within ``timeout_s`` (negative: for as long as it takes)."""
        with self._mutex:
            if not self._taken:
                self._taken = True
                return True
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append(gate)
        if gate.acquire(timeout=timeout_s):
            return True
        with self._mutex:
            if gate in self._waiting:
                self._waiting.remove(gate)
                return False
        return True  # it was given in between

    def release(self) -> None:
        """Gives the turn to the one that has waited longest."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False

    def pass_on(self) -> None:
        """Lets those that wait now go first, if there are any, and takes a turn again."""
        if self._waiting:
            self.release()
            self.acquire()

    def __enter__(self) -> Turns:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
