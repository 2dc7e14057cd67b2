"""Which pixels of a convolution read which operands, as tables for the cpu templates."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch
from rx580lab.device import Array
from rx580lab.ops._conv_geometry import Geometry, Layouts, Triple

__all__ = ["Bordered", "Job", "Part", "conv_job", "out_places", "places", "total"]

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Part:
    """Pixels of a job that meet the same taps.

    Attributes:
        n_pixels: how many, in the job's order. taps: from a pixel's source to the operands of a tap.
        begins: where each tap's products begin in a panel; unit: products. run: operands of a tap, side by side.
    """

    n_pixels: int
    taps: Ints
    begins: Ints
    run: int


@dataclass(frozen=True)
class Job:
    """One pass over pixels of out: where each is read and stored, and what each tap adds.

    Attributes:
        sources: of each pixel, in an image of x. targets: of each pixel, in an image of out.
        parts: of all pixels, in order. depth: products of a pixel that meets all taps.
        positions: the kernel's positions that a panel holds, in order. adjoining: pixels are side by side in out.
    """

    sources: Ints
    targets: Ints
    parts: tuple[Part, ...]
    depth: int
    positions: Ints
    adjoining: bool

    @property
    def taps(self) -> Ints:
        """Of all parts, one after the other."""
        return np.concatenate([part.taps for part in self.parts])

    @property
    def begins(self) -> Ints:
        """Of all parts, one after the other."""
        return np.concatenate([part.begins for part in self.parts])

    def tiles(self, tile: int) -> Ints:
        """(n, 5): the first pixel of each tile, the one after its last, its first tap, how many, and their run."""
        found: list[tuple[int, ...]] = []
        pixel = tap = 0
        for part in self.parts:
            end = pixel + part.n_pixels
            found += [(at, min(at + tile, end), tap, len(part.taps), part.run) for at in range(pixel, end, tile)]
            pixel, tap = end, tap + len(part.taps)
        return np.array(found, np.int32)


@dataclass(frozen=True)
class Bordered:
    """x as the kernels read it: pixel-major, fp32, with ``borders`` before and ``after`` each axis that may be read.

    ``lengths`` are those of the axes with borders, ``launches`` bring x there.
    """

    array: Array
    lengths: Triple
    borders: Triple
    after: Triple
    launches: tuple[Launch, ...]


@dataclass(frozen=True)
class _Span:
    """Positions of out along an axis that meet the same positions of the kernel.

    ``at``: those of out. ``source``: where in x each meets the first of ``taps``.
    """

    at: Ints
    source: Ints
    taps: range


def total(one: Triple, other: Triple) -> Triple:
    """The sum, axis by axis."""
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def places(lengths: Triple, strides: Triple, starts: Triple, within: Triple, scale: int = 1) -> Ints:
    """Places of all (depth, height, width) < ``lengths`` in an array of lengths ``within``, times ``scale``."""
    axes = [np.arange(lengths[i]) * strides[i] + starts[i] for i in range(3)]
    return _combined((axes[0], axes[1], axes[2]), within, scale)


def _combined(axes: tuple[Any, Any, Any], within: Triple, scale: int) -> Ints:
    """Places of all combinations of coordinates in an array of lengths ``within``, times ``scale``."""
    z, y, x = (axis * step * scale for axis, step in zip(axes, (within[1] * within[2], within[2], 1), strict=True))
    found: Ints = (z[:, None, None] + y[:, None] + x).reshape(-1).astype(np.int32)
    return found


def conv_job(found: Geometry, source: Bordered, layouts: Layouts, joins: bool = True) -> Job:
    """The one pass of a convolution. Where x has no borders to be read, pixels there meet fewer taps.

    ``joins``: whether the kernel takes neighbouring positions of a row as one tap, where they adjoin.
    """
    axes = [_spans(found, source, axis) for axis in range(3)]
    # Positions of a row of the kernel adjoin, with all their channels, where nothing lies between them.
    joined = joins and found.group == 1 and (found.dilations[2] == 1 or found.kernel[2] == 1)
    parts, sources, order = [], [], []
    for spans in itertools.product(*axes):
        sources.append(_combined((spans[0].source, spans[1].source, spans[2].source), source.lengths, found.channels))
        order.append(_combined((spans[0].at, spans[1].at, spans[2].at), found.out, 1))
        taps, begins = _taps(found, source, (spans[0].taps, spans[1].taps, spans[2].taps), joined)
        run = len(spans[2].taps) * found.channels if joined else found.channels_each
        parts.append(Part(len(order[-1]), taps, begins, run))
    targets = out_places(found, layouts)[np.concatenate(order)]
    positions = np.arange(found.n_taps, dtype=np.int32)
    adjoining = not layouts.out_nhwc and len(parts) == 1
    depth = found.n_taps * found.channels_each
    return Job(np.concatenate(sources), targets, tuple(parts), depth, positions, adjoining)


def _spans(found: Geometry, source: Bordered, axis: int) -> list[_Span]:
    at = np.arange(found.out[axis], dtype=np.int32)
    first = at * found.strides[axis] - found.before[axis] + source.borders[axis]
    step, length = found.dilations[axis], source.lengths[axis]
    low = np.clip(-(first // step), 0, found.kernel[axis])
    high = np.clip(-((first - length) // step), low, found.kernel[axis])
    spans = []
    for pair in dict.fromkeys(zip(low.tolist(), high.tolist(), strict=True)):
        some = (low == pair[0]) & (high == pair[1])
        taps = range(*pair)
        spans.append(_Span(at[some], first[some] + pair[0] * step if taps else 0 * first[some], taps))
    return spans


def _taps(found: Geometry, source: Bordered, taps: tuple[range, range, range], joined: bool) -> tuple[Ints, Ints]:
    """What lies between a pixel's source and its operands, and where their products begin in a panel."""
    if not all(taps):
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    axes = [np.array(axis[:1] if joined and i == 2 else axis) for i, axis in enumerate(taps)]
    steps = [(axis - axis[0]) * found.dilations[i] for i, axis in enumerate(axes)]
    begins = _combined((axes[0], axes[1], axes[2]), found.kernel, found.channels_each)
    return _combined((steps[0], steps[1], steps[2]), source.lengths, found.channels), begins


def out_places(found: Geometry, layouts: Layouts) -> Ints:
    """Where each pixel of an image of out lies."""
    if not layouts.out_nhwc:
        return np.arange(found.n_pixels, dtype=np.int32)
    before, after = layouts.out_borders
    return places(found.out, (1, 1, 1), before, total(total(before, found.out), after), found.filters)
