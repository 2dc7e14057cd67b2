"""Room for models in device memory: what a model will need, and how much others may hold beside it."""

from __future__ import annotations

import time
from collections.abc import Callable

from rx580lab.device import Device
from rx580lab.errors import LimitExceeded, ServeError
from rx580lab.graph.model import Model
from rx580lab.serve.launches import row_counts
from rx580lab.serve.model_settings import ModelSettings
from rx580lab.serve.warmup import one_launch, why_unbatched

__all__ = ["NoRoom", "Room", "needed"]

SHARE = 0.8
# A load waits so long for models that are in use to become idle; then it fails rather than stop one of them.
PATIENCE_S = 10.0
PAUSE_S = 0.02


class NoRoom(LimitExceeded):
    """A model would fit, were it not for others that are loaded."""


def needed(model: Model, settings: ModelSettings, most: int, device: Device, budget_bytes: int) -> tuple[int, int]:
    """Bytes for the weights and the launches, and the most rows of one with which these stay within the budget.

    An estimate from below: packed weights come on top, and only a device knows them.
    """
    batches = settings.batching == "auto" and not why_unbatched(model)
    sizes = row_counts(most) if batches else (1,)
    one = model.footprint(one_launch(model, settings.lengths, 1), device_class=device.device_class)
    # Each row count has an arena of its own, which grows with the rows.
    totals = [one.weights_bytes + one.arena_bytes * sum(sizes[: n + 1]) for n in range(len(sizes))]
    fitting = [n for n, total in enumerate(totals) if total <= budget_bytes]
    last = fitting[-1] if fitting else 0
    return totals[last], sizes[last]


class Room:
    """Holds all models together within a budget of bytes; None: 80 % of the device's memory.

    ``evict`` gives up the model that is idle and was used longest ago; False where none is idle.
    """

    def __init__(self, budget_bytes: int | None, evict: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        self._asked = budget_bytes
        self._evict = evict
        self._patience_s = patience_s

    def budget_bytes(self, device: Device) -> int:
        """What all models together may take."""
        return self._asked or int(SHARE * (device.limits.memory_bytes or 1 << 62))

    def make(self, device: Device, need_bytes: int, *, evicts: bool = True) -> None:
        """Evicts until ``need_bytes`` more fit.

        ServeError if they never can; NoRoom if they do not now, since the rest is in use (or ``evicts`` is False).
        """
        budget = self.budget_bytes(device)
        if need_bytes > budget:
            raise ServeError("memory", f"expected a model within {budget:,} bytes, got one of {need_bytes:,}")
        end = time.monotonic() + (self._patience_s if evicts else 0.0)
        while device.bytes_in_use + need_bytes > budget:
            if evicts and self._evict():
                continue
            if time.monotonic() >= end:
                raise NoRoom(
                    "memory",
                    f"expected {need_bytes:,} bytes of device memory for it, got {device.bytes_in_use:,} of"
                    f" {budget:,} in use by others",
                )
            time.sleep(PAUSE_S)
