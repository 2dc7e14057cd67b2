"""Oracle of ``resize``: one axis after the other, each element a float64 sum over a window of the edge-padded input."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "resize", "resize_tolerance"]

ORACLE = (
    "windows of the edge-padded input times their weights along each axis in numpy float64, formulas of ONNX's "
    "Resize-19 (onnx.ai/onnx/operators/onnx__Resize.html)"
)

AnyArray = npt.NDArray[Any]
_U = 2.0**-24
_U_HALF = 2.0**-11


def resize(x: AnyArray, *, extrapolation_value: float = 0.0, **attributes: Any) -> AnyArray:
    """The result: elements of ``x`` for mode nearest, else float64. Keywords as of the op."""
    found, _ = _along_all(np.asarray(x), extrapolation_value, False, **attributes)
    return found


def _along_all(
    x: AnyArray,
    outside: float,
    absolute: bool,
    *,
    scales: Sequence[float] | None = None,
    sizes: Sequence[int] | None = None,
    roi: Sequence[float] | None = None,
    axes: Sequence[int] | None = None,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    keep_aspect_ratio_policy: str = "stretch",
    **how: Any,
) -> tuple[AnyArray, list[int]]:
    """The result, with ``absolute`` of absolute values and weights; and the taps of each axis that changes."""
    chosen = [axis % x.ndim for axis in (range(x.ndim) if axes is None else axes)]
    crop = coordinate_transformation_mode == "tf_crop_and_resize"
    lengths = list(x.shape)
    factors = [1.0] * x.ndim
    for axis, value in zip(chosen, (sizes if scales is None else scales) or (), strict=True):
        factors[axis] = float(value) if scales is not None else value / max(x.shape[axis], 1)
    if scales is None and keep_aspect_ratio_policy != "stretch":
        common = (min if keep_aspect_ratio_policy == "not_larger" else max)(factors[axis] for axis in chosen)
        factors = [common if axis in chosen else 1.0 for axis in range(x.ndim)]
        lengths = [math.floor(common * n + 0.5) if axis in chosen else n for axis, n in enumerate(x.shape)]
    else:
        for place, axis in enumerate(chosen):
            lengths[axis] = math.floor(factors[axis] * x.shape[axis]) if sizes is None else int(sizes[place])
    result = x if mode == "nearest" else np.abs(x.astype(np.float64)) if absolute else x.astype(np.float64)
    left_out = np.zeros(lengths, bool)
    n_taps = []
    for axis in chosen:
        part = (
            (float(roi[chosen.index(axis)]), float(roi[len(chosen) + chosen.index(axis)])) if roi and crop else (0, 1)
        )
        if math.isclose(factors[axis], 1.0) and lengths[axis] == x.shape[axis] and part == (0, 1):
            continue
        at = [
            _coordinate(coordinate_transformation_mode, i, factors[axis], x.shape[axis], lengths[axis], part)
            for i in range(lengths[axis])
        ]
        beyond = [crop and not 0 <= c <= x.shape[axis] - 1 for c in at]
        left_out |= np.array(beyond, bool).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
        places = [0.0 if gone else c for c, gone in zip(at, beyond, strict=True)]
        result, taps = _along(np.moveaxis(result, axis, -1), places, factors[axis], mode, absolute, **how)
        result = np.moveaxis(result, -1, axis)
        n_taps.append(taps)
    fill = np.array(abs(outside) if absolute else outside).astype(result.dtype)
    return np.where(left_out, fill, result), n_taps


def _coordinate(mode: str, i: int, scale: float, n: int, n_out: int, roi: tuple[float, float]) -> float:
    length = scale * n
    if mode == "align_corners":
        return 0.0 if length == 1 else i * (n - 1) / (length - 1)
    if mode == "asymmetric":
        return i / scale
    if mode == "tf_half_pixel_for_nn":
        return (i + 0.5) / scale
    if mode == "tf_crop_and_resize":
        if length == 1:
            return (roi[1] - roi[0]) * (n - 1) / 2 + roi[0] * (n - 1)
        return i * (roi[1] - roi[0]) * (n - 1) / (length - 1) + roi[0] * (n - 1)
    if mode == "pytorch_half_pixel" and n_out == 1:
        return 0.0
    symmetric = n / 2 - n_out / scale / 2 if mode == "half_pixel_symmetric" else 0.0
    return symmetric + (i + 0.5) / scale - 0.5


def _along(
    x: AnyArray,
    places: Sequence[float],
    scale: float,
    mode: str,
    absolute: bool,
    *,
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: bool = False,
    antialias: bool = False,
) -> tuple[AnyArray, int]:
    """Along the last axis of ``x``: the values at ``places``, and how many taps each has."""
    n = x.shape[-1]
    if not places:
        return x[..., :0], 1
    if mode == "nearest":
        round_: dict[str, Callable[[float], int]] = {
            "round_prefer_floor": lambda c: math.ceil(c - 0.5),
            "round_prefer_ceil": lambda c: math.floor(c + 0.5),
            "floor": math.floor,
            "ceil": math.ceil,
        }
        # To the ninth decimal a coordinate is what exact arithmetic makes of it.
        return x[..., [min(max(round_[nearest_mode](round(c, 9)), 0), n - 1) for c in places]], 1
    shrink = min(scale, 1.0) if antialias else 1.0
    half = math.ceil((2 if mode == "cubic" else 1) / shrink)
    edge = np.concatenate([x[..., :1]] * half + [x] + [x[..., -1:]] * half, axis=-1)
    found = np.empty((*x.shape[:-1], len(places)))
    for o, c in enumerate(places):
        start = math.ceil(c) - half  # of 2 * half taps, so that a whole coordinate is the last on the left
        weights = np.array([_weight(mode, abs(start + t - c) * shrink, cubic_coeff_a) for t in range(2 * half)])
        if exclude_outside:
            weights[[not 0 <= start + t < n for t in range(2 * half)]] = 0.0
        if exclude_outside or antialias:
            weights /= weights.sum() or 1.0
        window = edge[..., np.clip(np.arange(start, start + 2 * half) + half, 0, n + 2 * half - 1)]
        with np.errstate(invalid="ignore"):
            found[..., o] = (window * (np.abs(weights) if absolute else weights)).sum(axis=-1)
    return found, 2 * half


def _weight(mode: str, d: float, a: float) -> float:
    if mode == "linear":
        return max(0.0, 1.0 - d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def resize_tolerance(
    x: AnyArray, *, extrapolation_value: float = 0.0, mode: str = "nearest", **attributes: Any
) -> float | AnyArray:
    """0 for nearest. Else by the sum S of |weight * x| over an element's taps, u = 2**-24, to first order:

    * each weight rounds once, and so does each product of two weights: 2 u per axis;
    * one more product per axis, and the additions: at most as many as the taps of the last axis plus those of all
      others multiplied. So u (3 axes + additions) S.

    fp16 results round once more per launch, of which there is one for each axis at most (neighbours may share one):
    2**-11 S each, at least half of their smallest step, 2**-25.
    """
    if mode == "nearest":
        return 0.0
    with np.errstate(invalid="ignore"):
        size, taps = _along_all(np.asarray(x), extrapolation_value, True, mode=mode, **attributes)
    if not taps:
        return 0.0
    bound = _U * (3 * len(taps) + math.prod(taps[:-1]) + taps[-1]) * size * (1 + 2.0**-10) + 2.0**-126
    if x.dtype != np.float16:
        return bound
    return bound + len(taps) * (_U_HALF * size + 2.0**-25)
