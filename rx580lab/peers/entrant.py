"""What a peer brings to the start line, and the checks that all peers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.errors import DtypeError, PeerUnavailable, ShapeError
from rx580lab.measure import Contestant

__all__ = ["Entrant", "Inputs", "checked_matrices"]

Inputs = Sequence[npt.NDArray[Any]]


@dataclass(frozen=True)
class Entrant:
    """A peer ready to run.

    Attributes:
        contestant: its callables for the stopwatch.
        spoil: overwrites its output with the sentinel, so that a run which writes nothing is seen.
        note: version and settings, for the record.
    """

    contestant: Contestant
    spoil: Callable[[], None]
    note: str


def checked_matrices(
    name: str, op: str, ops: Sequence[str], reason: str | None, inputs: Inputs
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The two fp32 matrices of a ``gemm``, none empty; PeerUnavailable when ``reason`` or the op forbid it."""
    if reason is not None:
        raise PeerUnavailable(name, reason)
    if op not in ops:
        raise PeerUnavailable(name, f"expected an op among {', '.join(ops)}, got {op!r}")
    a, b = inputs
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0] or 0 in (*a.shape, *b.shape):
        raise ShapeError(name, f"expected non-empty a (M, K) and b (K, N), got {a.shape} and {b.shape}")
    if a.dtype != np.float32 or b.dtype != np.float32:
        raise DtypeError(name, f"expected a and b of float32, got {a.dtype} and {b.dtype}")
    return np.ascontiguousarray(a), np.ascontiguousarray(b)
