"""Arrays for ops that move elements and compute nothing: any bits, of every element type that they take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DTYPES", "a_dtype", "a_shape", "any_bits"]

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
