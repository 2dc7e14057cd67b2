"""What one version of a model has done so far, as the V2 protocol's extension for statistics counts it."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from rx580lab.serve.launches import Ran

__all__ = ["Tallies"]


@dataclass
class _Tally:
    """A number of things and the nanoseconds that they took together."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int, count: int = 1) -> None:
        self.count += count
        self.ns += ns

    def as_dict(self) -> dict[str, int]:
        return {"count": self.count, "ns": self.ns}


_PARTS = ("compute_input", "compute_infer", "compute_output")


class Tallies:
    """Threads may share it. They outlive loads and unloads of the model."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_ms = self._rows = self._launches = 0
        self._requests = {name: _Tally() for name in ("success", "fail", "queue", *_PARTS, "cache_hit", "cache_miss")}
        self._by_rows: defaultdict[int, dict[str, _Tally]] = defaultdict(lambda: {name: _Tally() for name in _PARTS})

    def served(self, ran: Ran, rows: int, waits_ns: list[int]) -> None:
        """A launch, or several, that answered as many requests as there are ``waits_ns``, of ``rows`` together."""
        parts = (ran.input_ns, ran.infer_ns, ran.output_ns)
        count = len(waits_ns)
        with self._lock:
            self._last_ms = time.time_ns() // 1_000_000
            self._rows += rows
            self._launches += len(ran.rows)
            self._requests["success"].add(sum(waits_ns) + count * sum(parts), count)
            self._requests["queue"].add(sum(waits_ns), count)
            for name, ns in zip(_PARTS, parts, strict=True):
                self._requests[name].add(count * ns, count)
            for size in ran.rows:
                for name, ns in zip(_PARTS, parts, strict=True):
                    self._by_rows[size][name].add(ns // len(ran.rows))

    def failed(self, ns: int) -> None:
        """A request that got no answer, ``ns`` after it came."""
        with self._lock:
            self._requests["fail"].add(ns)

    def as_dict(self) -> dict[str, Any]:
        """``last_inference`` in ms since 1970, counts of rows and launches, and the times of requests and launches."""
        with self._lock:
            return {
                "last_inference": self._last_ms,
                "inference_count": self._rows,
                "execution_count": self._launches,
                "inference_stats": {name: one.as_dict() for name, one in self._requests.items()},
                "batch_stats": [
                    {"batch_size": rows, **{name: one.as_dict() for name, one in parts.items()}}
                    for rows, parts in sorted(self._by_rows.items())
                ],
            }
