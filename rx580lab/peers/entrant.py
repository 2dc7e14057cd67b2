"""What a peer brings to the start line, and the checks that all peers share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.errors import DtypeError, PeerUnavailable, ShapeError
from rx580lab.measure import Contestant

__all__ = ["NONE", "Entrant", "Inputs", "Keywords", "checked_matrices", "checked_operands", "in_a_row"]

# An op's arrays, None for an optional one, and its other arguments.
Inputs = Sequence[npt.NDArray[Any] | None]
Keywords = Mapping[str, Any]
NONE: Keywords = {}


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


def in_a_row(outputs: Iterable[npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
    """A model's outputs one after the other, as one array to compare."""
    return np.concatenate([np.asarray(one, np.float64).ravel() for one in outputs])


def checked_matrices(
    name: str,
    op: str,
    ops: Sequence[str],
    reason: str | None,
    inputs: Inputs,
    keywords: Keywords,
    *,
    views: bool = False,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The two fp32 operands of a ``gemm``, none empty; PeerUnavailable when ``reason`` or the op forbid it.

    With ``views``, of any batch, and transposed ones as views that are not; else matrices only, as they are.
    """
    turned = ("transpose_a", "transpose_b") if views else ()
    a, b = checked_operands(name, op, ops, reason, inputs, keywords, ("constant_b", *turned))
    if a.ndim < 2 or b.ndim < 2 or (not views and (a.ndim, b.ndim) != (2, 2)):
        raise ShapeError(name, f"expected a (M, K) and b (K, N), got {a.shape} and {b.shape}")
    a = a.swapaxes(-1, -2) if keywords.get("transpose_a") else a
    b = b.swapaxes(-1, -2) if keywords.get("transpose_b") else b
    if a.shape[-1] != b.shape[-2] or 0 in (*a.shape, *b.shape):
        raise ShapeError(name, f"expected non-empty a (M, K) and b (K, N), got {a.shape} and {b.shape}")
    return a, b


def checked_operands(
    name: str,
    op: str,
    ops: Sequence[str],
    reason: str | None,
    inputs: Inputs,
    keywords: Keywords,
    known: Sequence[str] = (),
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The two fp32 arrays of a product, C-contiguous; PeerUnavailable when ``reason``, op or keyword forbid it."""
    if reason is not None:
        raise PeerUnavailable(name, reason)
    if op not in ops:
        raise PeerUnavailable(name, f"expected an op among {', '.join(ops)}, got {op!r}")
    if set(keywords) - set(known) or len([one for one in inputs if one is not None]) != 2:
        raise PeerUnavailable(name, "it is set up for a plain product of two matrices only")
    a, b = (np.ascontiguousarray(one) for one in inputs[:2])
    if a.dtype != np.float32 or b.dtype != np.float32:
        raise DtypeError(name, f"expected a and b of float32, got {a.dtype} and {b.dtype}")
    return a, b
