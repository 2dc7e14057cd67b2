"""Where the server is in its life: starting, serving, draining; and how many requests it has in hand.

Requests that may wait for the device (``Route.queues``) take one of a bounded number of places, fewer than there are
threads: health, metrics and administration always find a thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from rx580lab.serve.refusal import Refusal

__all__ = ["Lifecycle", "Slots", "abandoned"]


class Slots:
    """``with slots:`` takes one of ``n`` places, or raises the Refusal of ``refuse``. Threads may share it."""

    def __init__(self, n: int, refuse: Callable[[int], Refusal | None]) -> None:
        self.n = n
        self.taken = 0
        self._refuse = refuse
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            refusal = self._refuse(self.taken)
            if refusal is None:
                self.taken += 1
        if refusal is not None:
            raise refusal

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self.taken -= 1


class Lifecycle:
    """Threads may share it. ``places``: requests that may wait for the device at one time."""

    def __init__(self, places: int = 64) -> None:
        self.started = time.time()
        self.draining = False
        self._refusing = False
        self._in_hand = Slots(0, lambda _taken: None)
        self._places = Slots(places, self._refusal)

    @property
    def in_flight(self) -> int:
        """Requests in hand."""
        return self._in_hand.taken

    def drain(self) -> None:
        """Ready is false from now on (``draining``); everything is still served."""
        self.draining = True

    def refuse(self) -> None:
        """No inference is taken on from now on; what is in hand is finished."""
        self._refusing = True

    def request(self) -> Slots:
        """Counts one request for as long as it is in hand: ``with lifecycle.request():``."""
        return self._in_hand

    def slot(self) -> Slots:
        """A place to wait for the device: ``with lifecycle.slot():``. Refusal 503 where none is free, or at the end."""
        return self._places

    def _refusal(self, taken: int) -> Refusal | None:
        if self._refusing:
            return Refusal(503, "serve", "the server is stopping", retry_after_s=1)
        if taken >= self._places.n:
            return Refusal(503, "serve", f"all {taken} places for waiting requests are taken", retry_after_s=1)
        return None


def _never() -> bool:
    return False


def abandoned(environ: Mapping[str, Any]) -> Callable[[], bool]:
    """Whether the client of a request has gone, as far as its server can tell (ours can)."""
    found: Callable[[], bool] = environ.get("waitress.client_disconnected", _never)
    return found
