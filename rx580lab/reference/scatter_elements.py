"""Oracle of ``scatter_elements``: each element replaced by itself, in order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "scatter_elements", "scatter_elements_tolerance"]

ORACLE = "ONNX ScatterElements (no reduction) by numpy indices, those outside the axis left out, bit for bit"

AnyArray = npt.NDArray[np.generic]


def scatter_elements(x: AnyArray, indices: npt.NDArray[np.integer], updates: AnyArray, *, axis: int = 0) -> AnyArray:
    """``x``, but ``out[.., indices[.., i, ..], ..] = updates[.., i, ..]`` along ``axis``."""
    k = axis % x.ndim
    n = x.shape[k]
    places = np.asarray(np.where(indices < 0, indices.astype(np.int64) + n, indices))
    inside = (places >= 0) & (places < n)
    out = x.copy()
    place = [np.asarray(places if d == k else i)[inside] for d, i in enumerate(np.indices(indices.shape))]
    out[tuple(place)] = updates[inside]
    return out


def scatter_elements_tolerance(
    _x: AnyArray, _indices: npt.NDArray[np.integer], _updates: AnyArray, **_axis: object
) -> float:
    """0: nothing is computed."""
    return 0.0
