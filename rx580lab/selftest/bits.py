"""Arrays for ops that move elements and compute nothing: any bits, of every element type that they take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DTYPES", "a_dtype", "a_shape", "any_bits", "any_indices", "distinct_rows"]

# One or more of each size: 1, 2, 4 and 8 bytes.
DTYPES = ("bool", "uint8", "int8", "float16", "int32", "float32", "int64")


def any_bits(rng: np.random.Generator, shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Any bit patterns, but of NaNs only the usual one, since a comparison need not tell them apart."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return rng.integers(0, 2, tuple(shape)).astype(kind)
    drawn = np.frombuffer(rng.bytes(int(np.prod(shape, dtype=np.int64)) * kind.itemsize), kind).reshape(tuple(shape))
    return np.where(np.isnan(drawn), np.array(np.nan, kind), drawn) if kind.kind == "f" else drawn


def a_dtype(rng: np.random.Generator) -> str:
    """One of ``DTYPES`` by chance."""
    return DTYPES[rng.integers(len(DTYPES))]


def a_shape(rng: np.random.Generator, rank: int, most_elements: float = 1e5) -> tuple[int, ...]:
    """Lengths of at least 1 by chance, of one axis as likely 2 as 200, with a product of about ``most_elements``."""
    logs = rng.uniform(0, 1, rank)
    logs *= rng.uniform(0, np.log10(most_elements)) / max(logs.sum(), 1e-9)
    return tuple(max(1, round(10**power)) for power in logs)


def any_indices(
    rng: np.random.Generator, shape: Sequence[int], n: int, dtype: npt.DTypeLike, *, beyond: bool = False
) -> npt.NDArray[Any]:
    """Indices into an axis of length n from either end; with ``beyond``, some that name nothing, the widest too."""
    drawn = rng.integers(-n, n, tuple(shape)) if n else np.zeros(tuple(shape), np.int64)
    if beyond:
        widest = np.iinfo(np.dtype(dtype))
        outside = rng.choice([n, n + 1, -n - 1, -n - 70, widest.min, widest.max], tuple(shape))
        drawn = np.where(rng.random(tuple(shape)) < 0.3, outside, drawn)
    return np.asarray(drawn).astype(dtype)


def distinct_rows(rng: np.random.Generator, lengths: Sequence[int], n_rows: int) -> npt.NDArray[np.int64]:
    """Index tuples into axes of these lengths, from either end, no two the same: ``n_rows``, or all there are."""
    total = int(np.prod(lengths, dtype=np.int64))
    chosen = rng.permutation(total)[:n_rows]
    rows = np.stack(np.unravel_index(chosen, tuple(lengths)), axis=-1).astype(np.int64)
    return np.where(rng.random(rows.shape) < 0.5, rows, rows - np.asarray(lengths, np.int64))
