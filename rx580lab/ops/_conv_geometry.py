"""What ``conv`` and ``conv_transpose`` check and count alike: lengths of one to three spatial axes, seen as three."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rx580lab.device import Array
from rx580lab.errors import InputError, ShapeError
from rx580lab.ops.sizing import checked_count

__all__ = ["Geometry", "Layouts", "Lengths", "Triple", "geometry", "int4", "layouts_of"]

AnyArray = Array | npt.NDArray[Any]
Lengths = Sequence[int] | None
Triple = tuple[int, int, int]
Borders = tuple[Triple, Triple]
# Axes that an array has fewer than three of come first and have length 1.
_SPATIAL = ("depth", "height", "width")


@dataclass(frozen=True)
class Layouts:
    """How x and out lie in memory: channel-major as ONNX has it, or pixel-major (N, ..., C) within borders of zeros.

    ``x_borders``, ``out_borders``: before and after each of three axes; they are part of the array's lengths.
    """

    x_nhwc: bool = False
    out_nhwc: bool = False
    x_borders: Borders = ((0, 0, 0), (0, 0, 0))
    out_borders: Borders = ((0, 0, 0), (0, 0, 0))

    def out_shape(self, found: Geometry) -> tuple[int, ...]:
        """The whole array of out."""
        if not self.out_nhwc:
            return found.out_shape
        before, after = self.out_borders
        lengths = [before[i] + found.out[i] + after[i] for i in range(3)]
        return (found.batch, *lengths[3 - found.rank :], found.filters)


@dataclass(frozen=True)
class Geometry:
    """One convolution, its spatial lengths as (depth, height, width), absent ones 1 (padding 0).

    Attributes:
        rank: spatial axes that the arrays have. batch, channels, filters, group: of x, of x, of out, of both.
        size, kernel, out: lengths of x, of the kernel, of out. strides, dilations: of the kernel.
        before, after: the padding; of a transposed convolution what is cut off out.
    """

    rank: int
    batch: int
    channels: int
    filters: int
    group: int
    size: Triple
    kernel: Triple
    strides: Triple
    dilations: Triple
    before: Triple
    after: Triple
    out: Triple

    @property
    def channels_each(self) -> int:
        """Channels of x in a group."""
        return self.channels // self.group

    @property
    def filters_each(self) -> int:
        """Channels of out in a group."""
        return self.filters // self.group

    @property
    def n_taps(self) -> int:
        """Positions of the kernel."""
        return math.prod(self.kernel)

    @property
    def n_pixels(self) -> int:
        """Positions of one image of out."""
        return math.prod(self.out)

    @property
    def n_out(self) -> int:
        """Elements of out."""
        return self.batch * self.filters * self.n_pixels

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Of out as an (N, C, ...) array."""
        return (self.batch, self.filters, *self.out[3 - self.rank :])

    @property
    def letters(self) -> dict[str, int]:
        """Shape letters: B batch, C and K channels in and out, G groups, then x's, out's and the kernel's lengths."""
        lengths = zip(("D", "H", "W", "OD", "OH", "OW", "R", "S", "T"), self._lengths(), strict=True)
        return {"B": self.batch, "C": self.channels, "K": self.filters, "G": self.group, **dict(lengths)}

    def _lengths(self) -> tuple[int, ...]:
        return (*self.size, *self.out, self.kernel[1], self.kernel[2], self.kernel[0])


def int4(values: Triple) -> np.generic:
    """A kernel's int4 argument: depth, height, width in x, y, z."""
    made: np.generic = np.array([(*values, 0)], dtype="i4,i4,i4,i4")[0]
    return made


def padded_pairs(where: str, name: str, values: Lengths, rank: int) -> tuple[Triple, Triple]:
    """ONNX's order (all begins, then all ends) as two triples; None is all 0. ShapeError if a count is wrong."""
    given = _whole(where, name, (0,) * (2 * rank) if values is None else values, 2 * rank)
    if min(given) < 0:
        raise ShapeError(where, f"expected {name} of at least 0, got {list(given)}")
    return _triple(given[:rank], 0), _triple(given[rank:], 0)


def layouts_of(
    where: str,
    shape: tuple[int, ...],
    layout: str,
    out_layout: str | None,
    borders: Lengths,
    out_borders: Lengths,
) -> Layouts:
    """The keywords of ``conv`` for an x of that shape, checked.

    InputError for an unknown layout, and for borders of a channel-major array.
    """
    rank = checked_rank(where, shape)
    out = layout if out_layout is None else out_layout
    for name, one, around in (("layout", layout, borders), ("out_layout", out, out_borders)):
        if one not in ("nchw", "nhwc"):
            raise InputError(where, f"expected {name} nchw or nhwc, got {one!r}")
        if one == "nchw" and around is not None:
            raise InputError(where, f"expected no borders with {name} nchw, got {list(around)}")
    return Layouts(
        layout == "nhwc",
        out == "nhwc",
        padded_pairs(where, "borders", borders, rank),
        padded_pairs(where, "out_borders", out_borders, rank),
    )


class Tensor(Protocol):
    """What an array and packed weights have in common."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of its axes."""

    @property
    def ndim(self) -> int:
        """How many axes."""


def geometry(
    where: str,
    x: AnyArray,
    w: Tensor,
    *,
    strides: Lengths,
    dilations: Lengths,
    pads: Lengths,
    group: int,
    output_padding: Lengths = None,
    transposed: bool = False,
    layouts: Layouts | None = None,
) -> Geometry:
    """The convolution of those arrays, checked. Raises ShapeError or InputError naming ``where``."""
    laid = layouts or Layouts()
    rank = checked_rank(where, x.shape)
    if w.ndim != x.ndim:
        raise ShapeError(where, f"expected w with as many axes as x {x.shape}, got {w.shape}")
    channels = x.shape[-1] if laid.x_nhwc else x.shape[1]
    filters = _checked_channels(where, channels, w.shape, group, transposed)
    whole = _triple(x.shape[1:-1] if laid.x_nhwc else x.shape[2:], 1)
    size = _less(_less(whole, laid.x_borders[0]), laid.x_borders[1])
    if min(size) < 0:
        raise ShapeError(where, f"expected x {x.shape} to hold its borders")
    kernel = _triple(w.shape[2:], 1)
    if min(kernel) < 1:
        raise ShapeError(where, f"expected a kernel of at least one position, got w {w.shape}")
    steps = _positive(where, "strides", strides, rank)
    spread = _positive(where, "dilations", dilations, rank)
    before, after = padded_pairs(where, "pads", pads, rank)
    extra, _ = padded_pairs(where, "output_padding", None if output_padding is None else [*output_padding] * 2, rank)
    out = _out(where, size, kernel, steps, spread, before, after, extra, transposed)
    found = Geometry(rank, x.shape[0], channels, filters, group, size, kernel, steps, spread, before, after, out)
    arrays = (math.prod(shape) for shape in (x.shape, w.shape, laid.out_shape(found)))
    for count in (*arrays, found.n_out, *size, *out, *before, *after, *steps, *spread):
        checked_count(where, count)
    return found


def checked_rank(where: str, shape: tuple[int, ...]) -> int:
    """Spatial axes of an x of that shape."""
    rank = len(shape) - 2
    if not 1 <= rank <= 3:
        raise ShapeError(where, f"expected x with 1 to 3 spatial axes, got {shape}")
    return rank


def _checked_channels(where: str, channels: int, w: tuple[int, ...], group: Any, transposed: bool) -> int:
    """Channels of out."""
    if isinstance(group, bool) or not isinstance(group, (int, np.integer)) or group < 1:
        raise InputError(where, f"expected group to be an integer of at least 1, got {group!r}")
    if channels % group:
        raise ShapeError(where, f"expected channels in {group} equal groups, got {channels} of x")
    if transposed:
        if w[0] != channels:
            raise ShapeError(where, f"expected w of shape (C, K/group, ...) with C = {channels} as in x, got {w}")
        return w[1] * group
    if w[0] % group:
        raise ShapeError(where, f"expected filters in {group} equal groups, got {w[0]} of w {w}")
    if w[1] != channels // group:
        raise ShapeError(where, f"expected w of shape (K, C/group, ...) with C/group = {channels // group}, got {w}")
    return w[0]


def _out(
    where: str,
    size: Triple,
    kernel: Triple,
    strides: Triple,
    dilations: Triple,
    before: Triple,
    after: Triple,
    extra: Triple,
    transposed: bool,
) -> Triple:
    found = []
    for i in range(3):
        extent = (kernel[i] - 1) * dilations[i] + 1
        if transposed:
            length = strides[i] * (size[i] - 1) + extent + extra[i] - before[i] - after[i]
            wanted = "pads that leave something of out"
        else:
            length = (size[i] + before[i] + after[i] - extent) // strides[i] + 1
            wanted = f"a kernel extent of at most the padded {_SPATIAL[i]} {size[i] + before[i] + after[i]}"
        if length < 1:
            raise ShapeError(where, f"expected {wanted}, got extent {extent}")
        found.append(length)
    return found[0], found[1], found[2]


def _positive(where: str, name: str, values: Lengths, rank: int) -> Triple:
    given = _whole(where, name, (1,) * rank if values is None else values, rank)
    if min(given) < 1:
        raise ShapeError(where, f"expected {name} of at least 1, got {list(given)}")
    return _triple(given, 1)


def _whole(where: str, name: str, values: Sequence[int], count: int) -> tuple[int, ...]:
    if len(values) != count:
        raise ShapeError(where, f"expected {count} {name}, got {list(values)}")
    if any(isinstance(value, bool) or not isinstance(value, (int, np.integer)) for value in values):
        raise InputError(where, f"expected {name} to be integers, got {list(values)}")
    return tuple(int(value) for value in values)


def _triple(values: Sequence[int], absent: int) -> Triple:
    filled = (*[absent] * (3 - len(values)), *values)
    return filled[0], filled[1], filled[2]


def _less(one: Triple, other: Triple) -> Triple:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2]
