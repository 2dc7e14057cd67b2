"""The gpu template of ``conv`` and ``conv_transpose``: tables of places and the launch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.ops._conv_cpu import ADJOINING, Operands, flags_and_arrays
from rx580lab.ops._conv_geometry import Geometry, Triple, int4
from rx580lab.ops.plan import Constraint, Params
from rx580lab.ops.sizing import WAVEFRONT, ceil_div

__all__ = ["CONSTRAINTS", "DEFAULT", "LEAST_FILTERS", "SPACE", "Gather", "conv_gather", "fitted", "gathered_launch"]

Ints = npt.NDArray[np.int32]
# Sums of a work-item: filters and pixels; fixed in conv_gpu.cl.
PER_ITEM = 4
# A step of depth past the last lies so far outside x that no pixel brings it back.
OUTSIDE = 2**30

# With fewer filters in a group, most of a work-group would have nothing to do.
LEAST_FILTERS = 4

SPACE = {"WG_X": (8, 16), "WG_Y": (8, 16), "TILE_K": (8, 16, 32)}
DEFAULT = {"WG_X": 16, "WG_Y": 16, "TILE_K": 16}


def _whole_loads(p: Params) -> bool:
    items = p["WG_X"] * p["WG_Y"]
    return p["WG_Y"] * p["TILE_K"] % items == 0 and PER_ITEM * p["WG_X"] * p["TILE_K"] % items == 0


CONSTRAINTS = (
    Constraint(
        f"WG_X * WG_Y to be a multiple of {WAVEFRONT} up to 256: whole wavefronts",
        lambda p: min(p["WG_X"], p["WG_Y"]) > 0 and p["WG_X"] * p["WG_Y"] in range(WAVEFRONT, 257, WAVEFRONT),
    ),
    Constraint(
        "WG_X * 4 to divide WG_X * WG_Y: a work-item reads one pixel's operands", lambda p: p["WG_Y"] % PER_ITEM == 0
    ),
    Constraint("TILE_K to be a positive multiple of 4", lambda p: p["TILE_K"] > 0 and p["TILE_K"] % 4 == 0),
    Constraint("tiles to be a whole number of loads per work-item", _whole_loads),
    Constraint(
        "both tiles within 32 KiB, the LDS a group of AMD's driver gets",
        lambda p: 16 * p["TILE_K"] * (p["WG_X"] + p["WG_Y"] + 1) <= 32768,
    ),
)


@dataclass(frozen=True)
class Gather:
    """One pass over pixels of out, as conv_gpu.cl reads it.

    Attributes:
        lengths: of the pixels' grid. steps, starts: from a pixel to where in x its window begins, per axis.
        displacements: of each tap of the kernel, (taps, 3), in x. targets: of each pixel, in an image of out.
        adjoining: pixels are side by side in out.
    """

    lengths: Triple
    steps: Triple
    starts: Triple
    displacements: Ints
    targets: Ints
    adjoining: bool


def conv_gather(found: Geometry) -> Gather:
    """The one pass of a convolution."""
    axes = [np.arange(found.kernel[i], dtype=np.int32) * found.dilations[i] for i in range(3)]
    displacements = grid(axes)
    starts = (-found.before[0], -found.before[1], -found.before[2])
    return Gather(
        found.out, found.strides, starts, displacements, np.arange(found.n_pixels, dtype=np.int32), adjoining=True
    )


def grid(axes: Sequence[Ints]) -> Ints:
    """All (depth, height, width) of three axes, in order: (n, 3)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int32)


def gathered_launch(
    device: Device, found: Geometry, params: Params, given: Operands, gather: Gather, w: Array | None
) -> Launch:
    """The launch of ``conv_gpu`` for one pass. ``w`` (K, depth), depth channel by channel; None: nothing to add."""
    pitches = np.array((found.size[1] * found.size[2], found.size[2], 1))
    origins = grid(
        [np.arange(gather.lengths[i], dtype=np.int32) * gather.steps[i] + gather.starts[i] for i in range(3)]
    )
    sources = np.column_stack((origins @ pitches, origins)).astype(np.int32)
    taps = _taps(found, gather.displacements @ pitches, gather.displacements, params["TILE_K"])
    flags, more = flags_and_arrays(given)
    n_pixels, area = len(sources), math.prod(found.size)
    counts = (
        n_pixels, found.channels_each * len(gather.displacements) if w is not None else 0, found.filters_each,
        found.group, found.channels * area, found.channels_each * area, given.out.size // found.batch, found.n_pixels,
    )  # fmt: skip
    macros = {**given.macros, **params}
    kernel = load_kernel(device, "conv_gpu", "conv_gpu", macros)
    group = params["WG_X"], params["WG_Y"], 1
    sizes = (
        ceil_div(n_pixels, group[0] * PER_ITEM) * group[0],
        ceil_div(found.filters_each, group[1] * PER_ITEM) * group[1],
        found.batch * found.group,
    )
    arrays: list[Any] = [given.unused if one is None or one.size == 0 else one for one in (given.x, w)]
    return kernel.bind(
        sizes, group, *map(np.int32, counts), int4(found.size), np.int32(flags + ADJOINING * gather.adjoining),
        *given.epilogue.args(), *map(device.constant, (taps, sources, gather.targets)), *arrays, *more, given.out,
    )  # fmt: skip


def _taps(found: Geometry, offsets: npt.NDArray[Any], displacements: Ints, tile_k: int) -> Ints:
    """Place and displacement of each step of depth: channel by channel, each with all taps; then some outside x."""
    n_channels, area = found.channels_each, math.prod(found.size)
    places = (np.arange(n_channels)[:, None] * area + offsets).reshape(-1)
    steps = np.column_stack((places, np.tile(displacements, (n_channels, 1))))
    padded = np.full(((ceil_div(len(steps), tile_k) + 1) * tile_k, 4), OUTSIDE, np.int32)
    padded[:, 0] = 0
    padded[: len(steps)] = steps
    return padded


def fitted(device: Device, params: dict[str, int], asked: Params | None) -> dict[str, int]:
    """A group of a wavefront where the device takes no more; what was asked for is left as it is."""
    limit = device.limits.work_group or 256
    small = {"WG_X": 8, "WG_Y": 8} if limit < params["WG_X"] * params["WG_Y"] else {}
    return {**params, **{name: value for name, value in small.items() if name not in (asked or {})}}
