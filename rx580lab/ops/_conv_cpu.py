"""The cpu templates of ``conv`` and ``conv_transpose``: tables of places, packed weights, layouts, launches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import InputError
from rx580lab.ops._conv_geometry import Geometry, Layouts, Triple
from rx580lab.ops._conv_job import Bordered, Job, Part, conv_job, places, total
from rx580lab.ops.epilogue import Epilogue
from rx580lab.ops.plan import Constraint, Params
from rx580lab.ops.sizing import ceil_div, checked_count, runs_avx512, turn_limit

__all__ = [
    "CONSTRAINTS", "DEFAULT", "SPACE", "Job", "Operands", "PackedWeights", "Part", "bordered", "conv_job",
    "depthwise_launches", "direct_launch", "direct_turns", "flags_and_arrays", "needed_after", "pack",
    "pack_depthwise", "places", "sized",
]  # fmt: skip

Ints = npt.NDArray[np.int32]
# Filters of a panel and pixels of conv_cpu_arrange_x's work-items: fixed in the kernels.
PANEL, BLOCK, DEPTHWISE_PIXELS = 16, 64, 64
# Floats past the columns of a bordered plane that conv_cpu_depthwise_planes may read: 16 columns, 2 apart, and more.
SLACK = 64
WITH_BIAS, WITH_RESIDUAL, ADJOINING = 1, 2, 4

SPACE = {
    "TILE_P": (48, 96, 192, 384), "TILE_N": (1, 2, 4, 8, 16), "UNROLL_K": (2, 4, 8), "USE_AVX512": (0, 1),
}  # fmt: skip
DEFAULT = {"TILE_P": 192, "TILE_N": 4, "UNROLL_K": 4, "USE_AVX512": 0}
CONSTRAINTS = (
    Constraint(
        "TILE_P, TILE_N and UNROLL_K to be at least 1", lambda p: min(p["TILE_P"], p["TILE_N"], p["UNROLL_K"]) > 0
    ),
    Constraint("USE_AVX512 to be 0 or 1: a switch", lambda p: p["USE_AVX512"] in (0, 1)),
)


@dataclass(frozen=True)
class PackedWeights:
    """Weights as a template of ``conv`` reads them, packed once by ``pack_weights``.

    Attributes:
        panels: fp32. shape, dtype: of the w that they were made of. template: which one reads them.
    """

    panels: Array
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    group: int
    template: Literal["cpu", "cpu_depthwise"]

    @property
    def ndim(self) -> int:
        """Axes of the w that they were made of."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Elements of the w that they were made of."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Operands:
    """What the launches of a plan have in common; ``bias`` and ``residual`` None where they are not there.

    ``unused`` stands for what is absent or empty, since OpenCL has neither; no kernel reads it.
    """

    x: Array
    bias: Array | None
    residual: Array | None
    out: Array
    epilogue: Epilogue
    layouts: Layouts
    unused: Array

    @property
    def macros(self) -> dict[str, int]:
        """What kernels that store ``out`` are built with."""
        return {**self.epilogue.macros(), "HALF": int(self.out.dtype == np.float16)}


def bordered(device: Device, found: Geometry, given: Operands, before: Triple, after: Triple) -> Bordered:
    """Makes x have at least these borders: itself where it has them already, else a copy."""
    layouts, x = given.layouts, given.x
    inside = layouts.x_borders
    enough = all(inside[0][i] >= before[i] and inside[1][i] >= after[i] for i in range(3))
    # What a pixel-major out lacks of borders, its pixels' sums leave out: their order there is free.
    if layouts.x_nhwc and (enough or layouts.out_nhwc) and x.dtype == np.float32 and x.size:
        return Bordered(x, total(total(inside[0], found.size), inside[1]), *inside, ())
    lengths = total(total(before, found.size), after)
    checked_count("conv", math.prod(lengths) * found.channels)
    n = max(found.batch * math.prod(lengths) * found.channels, 1)
    written_whole = x.size and (layouts.x_nhwc or lengths == found.size)
    keep = None if written_whole else ("conv_bordered", lengths, before, found.size, found.channels)
    made = device.scratch(n, keep=keep)
    if x.size == 0:
        return Bordered(made, lengths, before, after, ())
    macros = {"HALF": int(x.dtype == np.float16)}
    y_image = np.int32(math.prod(lengths) * found.channels)
    if layouts.x_nhwc:
        rows: Triple = (found.size[0], found.size[1], 1)
        whole = total(total(inside[0], found.size), inside[1])
        sources = np.full(lengths[:2], -1, np.int32)
        ends = before[0] + rows[0], before[1] + rows[1]
        starts = places(rows, (1, 1, 1), inside[0], whole, found.channels)
        sources[before[0] : ends[0], before[1] : ends[1]] = starts.reshape(rows[:2])
        kernel = load_kernel(device, "conv_cpu_arrange", "conv_cpu_widen_x", macros)
        x_image = np.int32(math.prod(whole) * found.channels)
        row_lengths = (np.int32(n * found.channels) for n in (found.size[2], before[2], lengths[2]))
        launch = kernel.bind(
            (sources.size, 1, found.batch), (1, 1, 1),
            *row_lengths, x_image, y_image, device.constant(sources), x, made,
        )  # fmt: skip
    else:
        n_pixels = math.prod(found.size)
        to = device.constant(places(found.size, (1, 1, 1), before, lengths, found.channels))
        kernel = load_kernel(device, "conv_cpu_arrange", "conv_cpu_arrange_x", macros)
        launch = kernel.bind(
            (ceil_div(n_pixels, BLOCK), 1, found.batch), (1, 1, 1),
            np.int32(n_pixels), np.int32(found.channels), y_image, to, x, made,
        )  # fmt: skip
    return Bordered(made, lengths, before, after, (launch,))


def needed_after(found: Geometry) -> Triple:
    """How far the last window reaches past the end of x, per axis."""
    ends = [
        (found.out[i] - 1) * found.strides[i] + (found.kernel[i] - 1) * found.dilations[i] + 1 - found.before[i]
        for i in range(3)
    ]
    return _triple([max(ends[i] - found.size[i], 0) for i in range(3)])


def pack(device: Device, found: Geometry, w: Array, positions: Ints, transposed: bool = False) -> tuple[Array, Launch]:
    """Panels of ``w`` for ``conv_cpu`` at those positions of the kernel, and the launch that fills them."""
    each_c, each_k, n_taps = found.channels_each, found.filters_each, found.n_taps
    n_panels = ceil_div(each_k, PANEL)
    panels = device.scratch((found.group, n_panels, len(positions) * each_c, PANEL))
    steps = (n_taps, each_k * n_taps) if transposed else (each_c * n_taps, n_taps)
    kernel = load_kernel(device, "conv_cpu_arrange", "conv_cpu_pack_w", {"HALF": int(w.dtype == np.float16)})
    counts = np.int32(len(positions)), np.int32(each_c), np.int32(each_k)
    launch = kernel.bind(
        (n_panels, 1, found.group), (1, 1, 1),
        *counts, *map(np.uint32, steps), np.uint32(each_c * each_k * n_taps), device.constant(positions), w, panels,
    )  # fmt: skip
    return panels, launch


def pack_depthwise(device: Device, found: Geometry, w: Array) -> tuple[Array, Launch]:
    """``w`` for ``conv_cpu_depthwise``, and the launch that fills it."""
    packed = device.scratch((found.n_taps, found.channels))
    macros = {"HALF": int(w.dtype == np.float16)}
    kernel = load_kernel(device, "conv_cpu_depthwise", "conv_cpu_depthwise_pack", macros)
    counts = np.int32(found.n_taps), np.int32(found.channels)
    return packed, kernel.bind((found.n_taps,), (1,), *counts, w, packed)


def direct_launch(
    device: Device, found: Geometry, params: Params, given: Operands, source: Bordered, job: Job, panels: Array | None
) -> Launch:
    """The launch of ``conv_cpu`` for one job. ``panels`` None: there are no products to add."""
    bias = device.constant(np.zeros(found.filters, given.out.dtype)) if given.bias is None else given.bias
    macros = {**given.macros, "USE_AVX512": params["USE_AVX512"], "UNROLL_K": params["UNROLL_K"]}
    kernel = load_kernel(device, "conv_cpu", "conv_cpu", macros)
    n_panels = ceil_div(found.filters_each, PANEL)
    flags = WITH_RESIDUAL * (given.residual is not None) + ADJOINING * job.adjoining
    counts = (
        job.depth, found.filters_each, found.group, found.channels_each, math.prod(source.lengths) * found.channels,
        given.out.size // found.batch, 1 if given.layouts.out_nhwc else found.n_pixels, params["TILE_N"], flags,
    )  # fmt: skip
    tiles, tables = _tables(device, job, params["TILE_P"], panels is not None)
    return kernel.bind(
        (tiles, ceil_div(n_panels, params["TILE_N"]), found.batch * found.group), (1, 1, 1),
        *map(np.int32, counts), *given.epilogue.args(), *tables, source.array,
        source.array if panels is None else panels, bias, given.unused if given.residual is None else given.residual,
        given.out,
    )  # fmt: skip


def _tables(device: Device, job: Job, tile: int, products: bool = True) -> tuple[int, list[Array]]:
    """How many tiles, and the tables of tiles, taps, their places in panels, sources and targets."""
    tiles = job.tiles(tile)
    if not products:
        tiles[:, 3] = 0
    none = np.zeros(1, np.int32)
    tables = tiles, *(table if table.size else none for table in (job.taps, job.begins)), job.sources, job.targets
    return len(tiles), [device.constant(table) for table in tables]


def depthwise_launches(
    device: Device, found: Geometry, given: Operands, w: Array | PackedWeights
) -> tuple[list[Launch], list[Array]]:
    """The launches of ``cpu_depthwise``: along rows for channel-major x and out, else over channels."""
    if given.layouts.out_nhwc:
        return _depthwise_pixels(device, found, given, w)
    if isinstance(w, PackedWeights):
        raise InputError("conv", "expected layout nhwc with packed weights of a depthwise convolution, got nchw")
    return _depthwise_planes(device, found, given, w)


def _depthwise_pixels(
    device: Device, found: Geometry, given: Operands, w: Array | PackedWeights
) -> tuple[list[Launch], list[Array]]:
    source = bordered(device, found, given, found.before, needed_after(found))
    job = conv_job(found, source, given.layouts, joins=False)
    launches = list(source.launches)
    if isinstance(w, PackedWeights):
        packed = w.panels
    else:
        packed, launch = pack_depthwise(device, found, w)
        launches.append(launch)
    kernel = load_kernel(device, "conv_cpu_depthwise", "conv_cpu_depthwise", given.macros)
    flags, more = flags_and_arrays(given)
    counts = found.channels, math.prod(source.lengths) * found.channels, given.out.size // found.batch, flags
    tiles, tables = _tables(device, job, DEPTHWISE_PIXELS)
    launches.append(
        kernel.bind(
            (tiles, 1, found.batch), (1, 1, 1),
            *map(np.int32, counts), *given.epilogue.args(), *tables, source.array, packed, *more, given.out,
        )
    )  # fmt: skip
    return launches, [source.array, packed]


def _depthwise_planes(device: Device, found: Geometry, given: Operands, w: Array) -> tuple[list[Launch], list[Array]]:
    after = needed_after(found)
    lengths = total(total(found.before, found.size), after)
    plane_length = checked_count("conv", math.prod(lengths) + SLACK * max(found.strides[2], 1))
    n_planes = found.batch * found.channels
    n_items = min(n_planes, 4 * device.compute_units)
    planes = device.scratch((n_items, plane_length), keep=("conv_planes", lengths, found.before, found.size))
    row = (1, 1, 1)
    taps = places(found.kernel, found.dilations, (0, 0, 0), lengths)
    to = places((found.size[0], found.size[1], 1), row, found.before, lengths)
    sources = places((found.out[0], found.out[1], 1), found.strides, (0, 0, 0), lengths)
    flags, more = flags_and_arrays(given)
    counts = (
        n_planes, found.channels, found.n_taps, found.strides[2], found.size[0] * found.size[1], found.size[2],
        found.out[0] * found.out[1], found.out[2], plane_length, flags,
    )  # fmt: skip
    kernel = load_kernel(device, "conv_cpu_depthwise", "conv_cpu_depthwise_planes", given.macros)
    x = given.x if given.x.size else given.unused
    tables = (device.constant(table if table.size else np.zeros(1, np.int32)) for table in (taps, to, sources))
    launch = kernel.bind(
        (n_items,), (1,), *map(np.int32, counts), *given.epilogue.args(), *tables, x, w, *more, given.out, planes
    )
    return [launch], [planes]


def flags_and_arrays(given: Operands) -> tuple[int, tuple[Array, Array]]:
    """Which optional arrays there are, and the arrays to pass: OpenCL has no absent one."""
    flags = WITH_BIAS * (given.bias is not None) + WITH_RESIDUAL * (given.residual is not None)
    bias, residual = (given.unused if one is None else one for one in (given.bias, given.residual))
    return flags, (bias, residual)


def _triple(values: Sequence[int]) -> Triple:
    return values[0], values[1], values[2]


def sized(device: Device, where: str, found: Geometry, params: dict[str, int], asked: Params | None) -> dict[str, int]:
    """Tiles that leave each compute unit several work-items, and AVX-512 where the processor has it."""
    chosen = dict(params)
    if "USE_AVX512" not in (asked or {}):
        # With 24 sums a step, two steps hide what four do with 6.
        chosen |= {"USE_AVX512": int(runs_avx512(device)), "UNROLL_K": 2 if runs_avx512(device) else 4}
    elif params["USE_AVX512"] and not runs_avx512(device):
        raise InputError(where, f"expected USE_AVX512 to be 0: {device.selector} has no AVX-512 that PoCL could use")
    if turn_limit(device) < math.inf:
        chosen |= {"TILE_P": 6, "TILE_N": 1}
    goal = 4 * device.compute_units
    n_panels = ceil_div(found.filters_each, PANEL) * found.group * found.batch

    def n_items() -> int:
        return ceil_div(found.n_pixels, chosen["TILE_P"]) * ceil_div(n_panels, chosen["TILE_N"])

    while "TILE_P" not in (asked or {}) and chosen["TILE_P"] > 48 and n_items() < goal:
        chosen["TILE_P"] //= 2
    return {**chosen, **{name: int(value) for name, value in (asked or {}).items()}}


def direct_turns(channels_each: int, n_taps: int, channels: int) -> int:
    """No fewer loop turns than a work-item of ``conv_cpu`` and its companions makes with the least tiles."""
    pack = (channels_each * n_taps + 1) * (PANEL + 1)
    return max(n_taps * (channels_each + 1) + 6 * PANEL + 64, pack, BLOCK * (channels + 1))
