"""Where the server is in its life: starting, serving, draining; and how many requests it has in hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Lifecycle"]


class Lifecycle:
    """Threads may share it."""

    def __init__(self) -> None:
        self.started = time.time()
        self._draining = threading.Event()
        self._changed = threading.Condition()
        self._in_flight = 0

    @property
    def draining(self) -> bool:
        """Whether the server is on its way out: not ready, but what is in hand is finished."""
        return self._draining.is_set()

    @property
    def in_flight(self) -> int:
        """Requests in hand."""
        return self._in_flight

    def drain(self) -> None:
        """Ready is false from now on."""
        self._draining.set()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Counts one request for as long as it is in hand."""
        with self._changed:
            self._in_flight += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def wait_idle(self, timeout_s: float) -> bool:
        """Waits until no request is in hand; False if there still is one after ``timeout_s``."""
        with self._changed:
            return self._changed.wait_for(lambda: self._in_flight == 0, timeout_s)
