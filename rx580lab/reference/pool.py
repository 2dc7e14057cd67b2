"""Oracle of ``pool``: every window laid out by numpy, with NaN-aware maxima and float64 means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "pool", "pool_tolerance"]

ORACLE = (
    "max and mean over numpy's sliding windows of the padded input in float64, after ONNX's MaxPool-22 and "
    "AveragePool-22 (onnx.ai/onnx/operators); windows without taps as onnxruntime 1.32 has them"
)

AnyArray = npt.NDArray[Any]
_U = 2.0**-24
_U_HALF = 2.0**-11


def pool(
    x: AnyArray,
    *,
    mode: str = "max",
    kernel_shape: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    indices: bool = False,
    storage_order: int = 0,
) -> Any:
    """The maxima or means, in float64; with ``indices`` a pair of them and of int64 places in the flat ``x``."""
    geometry = (kernel_shape, strides, pads, dilations, ceil_mode)
    inside = np.ones(x.shape[2:])
    n_inside = _taps(_laid_out(inside[None, None], *geometry, outside=0.0)).sum(axis=-1)
    if mode == "average":
        taps = _taps(_laid_out(np.asarray(x, np.float64), *geometry, outside=0.0))
        count = n_inside
        if count_include_pad and kernel_shape is not None:
            rank = len(kernel_shape)
            edges = pads or (0,) * (2 * rank)
            around = np.ones([n + edges[i] + edges[i + rank] for i, n in enumerate(x.shape[2:])])
            # Without padding of its own; what ceil_mode adds at the end does not count.
            count = _taps(
                _laid_out(around[None, None], kernel_shape, strides, None, dilations, ceil_mode, outside=0.0,
                          like=n_inside.shape[2:])
            ).sum(axis=-1)  # fmt: skip
        with np.errstate(invalid="ignore"):
            total = taps.sum(axis=-1)
        return np.where(n_inside > 0, total / np.maximum(count, 1), 0.0)
    return _maxima(np.asarray(x), geometry, n_inside, indices, storage_order)


def _maxima(x: AnyArray, geometry: tuple[Any, ...], n_inside: AnyArray, indices: bool, storage_order: int) -> Any:
    lowest = np.finfo(x.dtype).min if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    # A real -infinity stands above the padding, so that padding is never found in its place.
    wide = np.where(np.isneginf(x.astype(np.float64)), -1e308, x.astype(np.float64))
    taps = _taps(_laid_out(wide, *geometry, outside=-np.inf))
    if 0 in taps.shape:
        most = np.zeros(taps.shape[:-1])
        return (most, most.astype(np.int64)) if indices else most
    place = np.argmax(taps, axis=-1)[..., None]  # the first NaN, else the first of the largest
    found = np.take_along_axis(taps, place, axis=-1)[..., 0]
    most = np.where(n_inside > 0, np.where(found == -1e308, -np.inf, found), float(lowest))
    if not indices:
        return most
    lengths = x.shape[2:]
    counted = np.arange(math.prod(lengths), dtype=np.float64)
    flat = counted.reshape(lengths) if storage_order == 0 else counted.reshape(lengths[::-1]).T
    planes = np.arange(math.prod(x.shape[:2])).reshape(x.shape[:2]) * math.prod(lengths)
    of_plane = _taps(_laid_out(flat[None, None], *geometry, outside=-1.0))
    within = np.take_along_axis(np.broadcast_to(of_plane, taps.shape), place, axis=-1)[..., 0]
    places = within + planes.reshape(*planes.shape, *[1] * len(lengths))
    return most, np.where(n_inside > 0, places, -1).astype(np.int64)


def _laid_out(
    x: AnyArray,
    kernel_shape: Sequence[int] | None,
    strides: Sequence[int] | None,
    pads: Sequence[int] | None,
    dilations: Sequence[int] | None,
    ceil_mode: bool,
    *,
    outside: float,
    like: tuple[int, ...] | None = None,
) -> tuple[AnyArray, int]:
    """(N, C, windows..., taps...) and how many of its axes are taps; ``outside`` stands where x is not.

    ``like`` gives the number of windows along each axis, where it is known already.
    """
    rank = x.ndim - 2
    if kernel_shape is None:
        return x.reshape(*x.shape[:2], *[1] * rank, math.prod(x.shape[2:])), 1
    steps, gaps = strides or [1] * rank, dilations or [1] * rank
    edges = list(pads or [0] * (2 * rank))
    extents = [(k - 1) * d + 1 for k, d in zip(kernel_shape, gaps, strict=True)]
    counts = []
    for axis in range(rank):
        room = x.shape[2 + axis] + edges[axis] + edges[rank + axis] - extents[axis]
        count = 1 + (math.ceil(room / steps[axis]) if ceil_mode else math.floor(room / steps[axis]))
        if ceil_mode and (count - 1) * steps[axis] >= x.shape[2 + axis] + edges[axis]:
            count -= 1
        counts.append(count if like is None else like[axis])
    ends = [
        max(0, (count - 1) * step + extent - n - first)
        for count, step, extent, n, first in zip(counts, steps, extents, x.shape[2:], edges, strict=False)
    ]
    padded = np.pad(x, [(0, 0), (0, 0), *zip(edges[:rank], ends, strict=True)], constant_values=outside)
    sliding = np.lib.stride_tricks.sliding_window_view(padded, extents, axis=tuple(range(2, 2 + rank)))
    windows = [slice(0, (count - 1) * step + 1, step) for count, step in zip(counts, steps, strict=True)]
    every = [slice(None, None, gap) for gap in gaps]
    return sliding[(slice(None), slice(None), *windows, *every)], rank


def _taps(laid_out: tuple[AnyArray, int]) -> AnyArray:
    """The taps of each window along one last axis."""
    values, n_axes = laid_out
    return values.reshape(*values.shape[: values.ndim - n_axes], math.prod(values.shape[values.ndim - n_axes :]))


def pool_tolerance(
    x: AnyArray, *, mode: str = "max", kernel_shape: Sequence[int] | None = None, **keywords: Any
) -> Any:
    """0 for maxima. For means, by the mean m of |x| over the same window, u = 2**-24:

    * an implementation adds columns before rows: at most kD*kH + kW additions on the way to any sum, or 64 + S/64
      for whole planes of S values, which must be added up in blocks or in parallel; each rounds by u;
    * reciprocal (2.5 units in the last place) and product: 6 u. So u (additions + 6) m.

    fp16 results round once more: 2**-11 of the result, at least half of their smallest step, 2**-25.
    """
    if mode == "max":
        return (0.0, 0.0) if keywords.get("indices") else 0.0
    with np.errstate(invalid="ignore"):
        size = np.asarray(pool(np.abs(x), mode=mode, kernel_shape=kernel_shape, **keywords))
    if kernel_shape is None or tuple(kernel_shape) == x.shape[2:]:
        n_additions = 64 + math.prod(x.shape[2:]) / 64
    else:
        n_additions = math.prod(kernel_shape[:-1]) + kernel_shape[-1]
    bound = _U * (n_additions + 6) * size * (1 + 2.0**-10) + 2.0**-126
    return bound + _U_HALF * size + 2.0**-25 if x.dtype == np.float16 else bound
