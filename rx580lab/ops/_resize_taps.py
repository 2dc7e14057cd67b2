"""Where ``resize`` reads along an axis: its attributes checked, its lengths, and the taps of each place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.errors import InputError, ShapeError

__all__ = ["Axis", "Method", "Taps", "axes_of"]

MODES = ("nearest", "linear", "cubic")
COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
)
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
POLICIES = ("stretch", "not_larger", "not_smaller")

# Coordinates are whole or half where exact arithmetic has them so; float64's rounding lies far below this.
DECIMALS = 9

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Method:
    """How to resample, as ONNX's attributes of the same names say it."""

    mode: str
    coordinate_transformation_mode: str
    nearest_mode: str
    cubic_coeff_a: float
    exclude_outside: bool
    antialias: bool

    def __post_init__(self) -> None:
        for name, allowed in (
            ("mode", MODES),
            ("coordinate_transformation_mode", COORDINATES),
            ("nearest_mode", NEAREST),
        ):
            if getattr(self, name) not in allowed:
                raise InputError("resize", f"expected {name} among {', '.join(allowed)}, got {getattr(self, name)!r}")
        if self.antialias and self.mode == "nearest":
            raise InputError("resize", "expected antialias with mode linear or cubic, got nearest")

    @property
    def reach(self) -> int:
        """Taps on either side, when nothing is shrunk."""
        return 2 if self.mode == "cubic" else 1

    def kernel(self, distance: Floats) -> Floats:
        """The weight at a distance from the coordinate. Cubic: Keys 1981, doi 10.1109/TASSP.1981.1163711."""
        if self.mode == "linear":
            return np.clip(1 - distance, 0, 1)
        a, d = self.cubic_coeff_a, distance
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


@dataclass(frozen=True)
class Taps:
    """What each of O places along an axis reads: T places of x with their weights, (O, T) each.

    ``inside`` (O) is false where ``tf_crop_and_resize`` has left x.
    """

    index: npt.NDArray[np.int64]
    weight: Floats
    inside: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Axis:
    """An axis of x and what becomes of it: lengths before and after, the scale, the part that is cropped."""

    n: int
    n_out: int
    scale: float
    roi: tuple[float, float]

    @property
    def stays(self) -> bool:
        """Whether every place reads just itself."""
        return self.n == self.n_out and math.isclose(self.scale, 1.0) and self.roi == (0.0, 1.0)

    def taps(self, method: Method) -> Taps:
        """The taps of every place, in float64."""
        if self.stays:
            return Taps(np.arange(self.n)[:, None], np.ones((self.n, 1)), np.ones(self.n, bool))
        if self.n_out == 0:
            return Taps(np.zeros((0, 1), np.int64), np.ones((0, 1)), np.ones(0, bool))
        at = self._coordinates(method.coordinate_transformation_mode)
        inside = np.ones(self.n_out, bool)
        if method.coordinate_transformation_mode == "tf_crop_and_resize":
            inside = (at >= 0) & (at <= self.n - 1)
        at = np.where(inside, at, 0.0)
        if method.mode == "nearest":
            index = np.clip(_nearest(at, method.nearest_mode), 0, self.n - 1)
            return Taps(index[:, None], np.ones((self.n_out, 1)), inside)
        return self._weighed(at, inside, method)

    def _weighed(self, at: Floats, inside: npt.NDArray[np.bool_], method: Method) -> Taps:
        # As ONNX has it: a whole coordinate is the right one of two taps, the left one has weight 0.
        left = np.ceil(at) - 1
        stretch = min(self.scale, 1.0) if method.antialias else 1.0
        first = math.floor(-method.reach / stretch) + 1
        places = left[:, None] + np.arange(first, 2 - first)
        weight = method.kernel(np.abs(places - at[:, None]) * stretch)
        if method.exclude_outside:
            weight = np.where((places < 0) | (places >= self.n), 0.0, weight)
        if method.antialias or method.exclude_outside:
            total = weight.sum(axis=1, keepdims=True)
            weight = weight / np.where(total == 0, 1.0, total)
        return Taps(np.clip(places, 0, self.n - 1).astype(np.int64), weight, inside)

    def _coordinates(self, mode: str) -> Floats:
        """Where in x each place of the result lies; formulas of ONNX's Resize-19, and one of Resize-11."""
        place = np.arange(self.n_out, dtype=np.float64)
        length = self.scale * self.n  # may differ from n_out, which is whole
        start, end = self.roi
        if mode == "align_corners":
            return np.zeros(self.n_out) if length == 1 else place * (self.n - 1) / (length - 1)
        if mode == "asymmetric":
            return place / self.scale
        if mode == "tf_half_pixel_for_nn":
            return (place + 0.5) / self.scale
        if mode == "tf_crop_and_resize":
            if length == 1:
                within = np.full(self.n_out, (end - start) * (self.n - 1) / 2)
            else:
                within = place * (end - start) * (self.n - 1) / (length - 1)
            return within + start * (self.n - 1)
        if mode == "pytorch_half_pixel" and self.n_out == 1:
            return np.zeros(self.n_out)
        # ONNX's n / 2 * (1 - n_out / length), without what rounding would add to whole places.
        offset = self.n / 2 - self.n_out / (2 * self.scale) if mode == "half_pixel_symmetric" else 0.0
        return offset + (place + 0.5) / self.scale - 0.5


def _nearest(at: Floats, mode: str) -> npt.NDArray[np.int64]:
    at = np.round(at, DECIMALS)
    low = np.floor(at)
    if mode == "floor":
        found = low
    elif mode == "ceil":
        found = np.ceil(at)
    else:
        up = at - low >= 0.5 if mode == "round_prefer_ceil" else at - low > 0.5
        found = low + up
    return found.astype(np.int64)


def axes_of(
    lengths: Sequence[int],
    scales: Sequence[float] | None,
    sizes: Sequence[int] | None,
    roi: Sequence[float] | None,
    axes: Sequence[int] | None,
    keep_aspect_ratio_policy: str,
    cropping: bool,
) -> tuple[Axis, ...]:
    """Every axis of x. ShapeError or InputError for what ONNX does not allow."""
    rank = len(lengths)
    chosen = _axes(axes, rank)
    if (scales is None) == (sizes is None):
        raise InputError("resize", "expected either scales or sizes, got both or neither")
    if keep_aspect_ratio_policy not in POLICIES:
        got = f"got {keep_aspect_ratio_policy!r}"
        raise InputError("resize", f"expected keep_aspect_ratio_policy among {', '.join(POLICIES)}, {got}")
    given = np.asarray(sizes if scales is None else scales, np.float64)
    if given.shape != (len(chosen),) or not np.isfinite(given).all() or (given < 0).any():
        raise InputError("resize", f"expected {len(chosen)} scales or sizes of at least 0, got {given.tolist()}")
    edges = np.asarray(roi if cropping else [0.0] * len(chosen) + [1.0] * len(chosen), np.float64)
    if edges.shape != (2 * len(chosen),) or not np.isfinite(edges).all():
        raise InputError("resize", f"expected roi of {2 * len(chosen)} values for tf_crop_and_resize, got {roi}")
    found = [Axis(n, n, 1.0, (0.0, 1.0)) for n in lengths]
    ratios = [float(size) / max(lengths[axis], 1) for axis, size in zip(chosen, given, strict=True)]
    common = {"not_larger": min, "not_smaller": max}.get(keep_aspect_ratio_policy)
    for place, axis in enumerate(chosen):
        n = lengths[axis]
        part = float(edges[place]), float(edges[len(chosen) + place])
        if scales is not None:
            found[axis] = Axis(n, int(given[place] * n), float(given[place]), part)
        elif common is None:
            found[axis] = Axis(n, int(given[place]), ratios[place], part)
        else:
            scale = common(ratios)
            found[axis] = Axis(n, int(scale * n + 0.5), scale, part)
        if n == 0 and found[axis].n_out > 0:
            raise ShapeError("resize", f"expected axis {axis} to hold elements to make {found[axis].n_out} of")
    return tuple(found)


def _axes(axes: Sequence[Any] | None, rank: int) -> tuple[int, ...]:
    found = tuple(range(rank)) if axes is None else tuple(int(axis) for axis in axes)
    chosen = tuple(axis + rank if axis < 0 else axis for axis in found)
    if len(set(chosen)) != len(chosen) or any(not 0 <= axis < rank for axis in chosen):
        raise InputError("resize", f"expected distinct axes of rank {rank}, got {found}")
    return chosen
