"""An inference as both doors hand it in and get it back: arrays, not JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Inference", "Result", "Tensor"]

Tensor = npt.NDArray[Any]


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Inference:
    """What is asked.

    Attributes:
        inputs: name -> whole array, batch axis included. outputs: names wanted; None for all.
        deadline: in seconds of ``time.monotonic()``; not launched after it. None: as the settings say.
        priority: V2's: 1 is first; 0 is the default, after all numbered ones.
        abandoned: whether the client is gone, so that nobody waits for the answer.
    """

    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...] | None = None
    deadline: float | None = None
    priority: int = 0
    abandoned: Callable[[], bool] = _never


@dataclass(frozen=True)
class Result:
    """What comes of it. ``queue_ns`` and ``compute_ns``: of its launch, which it may have shared."""

    outputs: Mapping[str, Tensor]
    version: str = ""
    queue_ns: int = 0
    compute_ns: int = 0
    rows: int = 1


def rows_of(inputs: Mapping[str, Tensor]) -> int:
    """Length of the batch axis; 1 for inputs without one."""
    first = next(iter(inputs.values()))
    return int(first.shape[0]) if np.ndim(first) else 1
