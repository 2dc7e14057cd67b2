"""Where the windows of ``pool`` lie: its attributes checked, and the lengths that follow from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rx580lab.errors import InputError, ShapeError
from rx580lab.ops.sizing import MAX_ELEMENTS, ceil_div

__all__ = ["Windows", "windows"]

Lengths = tuple[int, ...]


@dataclass(frozen=True)
class Windows:
    """Windows over the spatial axes of x, one value per axis, the last axis last.

    Attributes:
        inside: lengths of x. outside: lengths of the result.
        kernel, strides, dilations: of the windows. before, after: padding at the start and the end.
    """

    inside: Lengths
    outside: Lengths
    kernel: Lengths
    strides: Lengths
    dilations: Lengths
    before: Lengths
    after: Lengths

    @property
    def whole(self) -> bool:
        """Whether there is one window, which is all of x."""
        return self.kernel == self.inside and not any((*self.before, *self.after)) and set(self.dilations) <= {1}

    @property
    def touched(self) -> int:
        """At most how many elements of a plane lie in some window."""
        return math.prod(
            min(n, o * k, (o - 1) * s + (k - 1) * d + 1)
            for n, o, k, s, d in zip(self.inside, self.outside, self.kernel, self.strides, self.dilations, strict=True)
        )


def windows(
    inside: Lengths,
    kernel_shape: Sequence[int] | None,
    strides: Sequence[int] | None,
    pads: Sequence[int] | None,
    dilations: Sequence[int] | None,
    ceil_mode: bool,
) -> Windows:
    """The windows over axes of these lengths. ShapeError or InputError for what ONNX does not allow."""
    rank = len(inside)
    if kernel_shape is None:
        if strides is not None or pads is not None or dilations is not None or ceil_mode:
            raise InputError("pool", "expected strides, pads, dilations and ceil_mode with a kernel_shape only")
        one, none = (1,) * rank, (0,) * rank
        return Windows(inside, one, inside, one, one, none, none)
    if not 1 <= rank <= 3:
        raise ShapeError("pool", f"expected x of rank 3 to 5 (N, C, 1 to 3 axes) for windows, got rank {rank + 2}")
    kernel = _lengths("kernel_shape", kernel_shape, rank, 1)
    steps = _lengths("strides", strides or (1,) * rank, rank, 1)
    gaps = _lengths("dilations", dilations or (1,) * rank, rank, 1)
    padding = _lengths("pads", pads or (0,) * (2 * rank), 2 * rank, 0)
    before, after = padding[:rank], padding[rank:]
    extents = tuple((k - 1) * d + 1 for k, d in zip(kernel, gaps, strict=True))
    if any(pad >= extent for pad, extent in zip(padding, (*extents, *extents), strict=True)):
        raise InputError("pool", f"expected pads shorter than the windows {extents}, got {padding}")
    outside = tuple(
        _n_windows(n, extent, step, first, last, ceil_mode)
        for n, extent, step, first, last in zip(inside, extents, steps, before, after, strict=True)
    )
    return Windows(inside, outside, kernel, steps, gaps, before, after)


def _lengths(name: str, values: Sequence[Any], n: int, least: int) -> Lengths:
    found = tuple(values)
    whole = all(isinstance(one, (int, np.integer)) and not isinstance(one, bool) for one in found)
    if len(found) != n or not whole or min(found) < least or max(found) > MAX_ELEMENTS:
        raise InputError("pool", f"expected {name} of {n} integers of at least {least}, got {found}")
    return tuple(int(one) for one in found)


def _n_windows(n: int, extent: int, step: int, before: int, after: int, ceil_mode: bool) -> int:
    """How many windows an axis of n holds. One that would begin in the padding after it is left out."""
    room = n + before + after - extent
    if n < 1 or room < 0:
        raise ShapeError(
            "pool", f"expected an axis that holds a window of {extent}, got {n} and pads {before}, {after}"
        )
    if max(room + extent, room + step) > MAX_ELEMENTS:
        raise ShapeError("pool", f"expected axes of at most {MAX_ELEMENTS:,} with their pads, got {room + extent:,}")
    count = (ceil_div(room, step) if ceil_mode else room // step) + 1
    return count - 1 if (count - 1) * step >= n + before else count
