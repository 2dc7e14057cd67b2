"""Convolution of int8 or uint8 over one to three spatial axes, summed in int32, and scaled on the way out.

Kernels by template: ``conv_i8_i8.cl`` (plain), ``conv_i8_i8_cpu.cl``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import LimitExceeded
from rx580lab.ops._conv_geometry import Geometry, Lengths, geometry, int4
from rx580lab.ops._gemm_i8_i8_scaling import OUTPUTS, Vector, flip, lowest_of, output_type, vector
from rx580lab.ops.plan import (
    Constraint,
    Cost,
    OpSpec,
    Params,
    Plan,
    Shape,
    Template,
    apart,
    as_array,
    choose,
    given_back,
    output,
)
from rx580lab.ops.sizing import MAX_ELEMENTS, ceil_div, plain_sizes, too_many_turns, turn_limit

__all__ = ["SPEC", "conv_i8_i8", "plan"]

# Columns of a panel of filters and rows of the micro-kernel; fixed in include/int8_pairs.h.
PANEL, STRIP = 16, 6

Bytes = Array | npt.NDArray[np.int8] | npt.NDArray[np.uint8]


def conv_i8_i8(
    device: Device,
    x: Bytes,
    w: Bytes,
    x_zero_point: Vector = None,
    w_zero_point: Vector = None,
    bias: Vector = None,
    scale: Vector = None,
    *,
    strides: Lengths = None,
    dilations: Lengths = None,
    pads: Lengths = None,
    group: int = 1,
    dtype: npt.DTypeLike = np.int32,
    out_zero_point: int = 0,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``x`` (N, C, ...) by ``w`` (K, C/group, ...), each int8 or uint8 less its zero point -> (N, K, ...).

    ``strides``, ``dilations``, ``pads`` and ``group`` are as of ``conv``; padding adds nothing to a sum. Zero points
    are of the type of their array: ``x_zero_point`` one, ``w_zero_point`` one or one per filter (K). ``bias`` (K) in
    int32 is added to the sums, ``scale`` is fp32, one or one per filter. None stands for 0, and for 1 of a scale.

    ``dtype`` int32 gives the exact sums (ONNX ConvInteger), wrapped at 2**32; float32 gives fp32(sum) * scale; int8 and
    uint8 round that to the nearest even, add ``out_zero_point`` and saturate (ONNX QLinearConv, with scale = x_scale *
    w_scale / y_scale). numpy in gives numpy out; an Array in gives an Array out. Raises DtypeError, ShapeError,
    InputError.
    """
    given = (x, w, x_zero_point, w_zero_point, bias, scale)
    planned = plan(
        device, *given, strides=strides, dilations=dilations, pads=pads, group=group, dtype=dtype,
        out_zero_point=out_zero_point, out=out, template=template, params=params,
    )  # fmt: skip
    return given_back(planned, *given)


def plan(
    device: Device,
    x: Bytes,
    w: Bytes,
    x_zero_point: Vector = None,
    w_zero_point: Vector = None,
    bias: Vector = None,
    scale: Vector = None,
    *,
    strides: Lengths = None,
    dilations: Lengths = None,
    pads: Lengths = None,
    group: int = 1,
    dtype: npt.DTypeLike = np.int32,
    out_zero_point: int = 0,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``conv_i8_i8`` runs, bound once, for running many times."""
    source = as_array(device, "conv_i8_i8", "x", x, np.int8, np.uint8)
    weights = as_array(device, "conv_i8_i8", "w", w, np.int8, np.uint8)
    found = geometry("conv_i8_i8", source, weights, strides=strides, dilations=dilations, pads=pads, group=group)
    kind = output_type("conv_i8_i8", dtype, out_zero_point)
    target = output(device, "conv_i8_i8", out, found.out_shape, kind)
    zeros = [
        vector(device, "conv_i8_i8", "x_zero_point", x_zero_point, source.dtype, None, 0)[0],
        *vector(device, "conv_i8_i8", "w_zero_point", w_zero_point, weights.dtype, found.filters, 0),
    ]
    tail = [
        *vector(device, "conv_i8_i8", "bias", bias, np.int32, found.filters, 0),
        *vector(device, "conv_i8_i8", "scale", scale, np.float32, found.filters, 1),
        np.int32(out_zero_point),
        lowest_of(kind),
        target,
    ]
    apart("conv_i8_i8", target, x=source, w=weights)
    chosen, merged = choose(device, SPEC, found.letters, template or _for_shape(found), params)
    if target.size == 0:
        return Plan("conv_i8_i8", chosen.name, merged, (), target)
    macros = {**merged, "OUTPUT": OUTPUTS[kind]}
    flips = flip(source), flip(weights)
    source, weights = (one if one.size else device.constant(np.zeros(1, one.dtype)) for one in (source, weights))
    if chosen.name == "cpu":
        _check_turns(device, found, merged)
        return _by_patches(device, macros, merged, found, (source, weights), flips, zeros, tail)
    kernel = load_kernel(device, chosen.source, "conv_i8_i8_plain", macros)
    counts = map(np.uint32, (found.n_out, found.channels_each, found.filters_each, found.group))
    launch = kernel.bind(
        *plain_sizes(device, found.n_out), *counts, *_triples(found), source, weights, *flips, *zeros, *tail
    )
    return Plan("conv_i8_i8", chosen.name, merged, (launch,), target)


def _for_shape(found: Geometry) -> str | None:
    """Few filters a group would leave most of a panel empty."""
    return "plain" if found.filters_each < PANEL // 4 else None


def _triples(found: Geometry) -> list[np.generic]:
    lengths = found.size, found.out, found.kernel, found.strides, found.dilations, found.before
    return [int4(triple) for triple in lengths]


def _by_patches(
    device: Device,
    macros: Params,
    params: dict[str, int],
    found: Geometry,
    arrays: tuple[Array, Array],
    flips: tuple[np.int32, np.int32],
    zeros: list[Any],
    tail: list[Any],
) -> Plan:
    depth = found.channels_each * found.n_taps
    n_pairs, n_panels = max(ceil_div(depth, 2), 1), ceil_div(found.filters_each, PANEL)
    images = found.batch * found.group
    patches = device.scratch((images, found.n_pixels, n_pairs, 2), np.int16)
    panels = device.scratch((found.group, n_panels, n_pairs, PANEL, 2), np.int16)
    pack, gather, multiply = (
        load_kernel(device, "conv_i8_i8_cpu", f"conv_i8_i8_cpu{step}", macros) for step in ("_pack", "_patches", "")
    )
    filters, deep = np.int32(found.filters_each), np.int32(depth)
    sizes = ceil_div(found.n_pixels, params["TILE_M"]), n_panels, images
    last = multiply.bind(
        sizes, (1, 1, 1), np.int32(found.n_pixels), filters, np.int32(found.group), deep, patches, panels, *tail
    )
    launches = [last]
    if depth:
        launches = [
            pack.bind((n_panels, found.group), (1, 1), filters, deep, arrays[1], flips[1], *zeros[1:], panels),
            gather.bind(
                (found.out[0] * found.out[1], images), (1, 1), np.int32(found.channels_each), deep, *_triples(found),
                arrays[0], flips[0], zeros[0], patches,
            ),
            last,
        ]  # fmt: skip
    return Plan("conv_i8_i8", "cpu", params, tuple(launches), tail[-1], (patches, panels))


def _shape(
    x: Bytes,
    w: Bytes,
    *_vectors: Vector,
    strides: Lengths = None,
    dilations: Lengths = None,
    pads: Lengths = None,
    group: int = 1,
    **_output: Any,
) -> dict[str, int]:
    return geometry("conv_i8_i8", x, w, strides=strides, dilations=dilations, pads=pads, group=group).letters


def _depth(shape: Shape) -> int:
    return shape["C"] // shape["G"] * shape["R"] * shape["S"] * shape["T"]


def _n_pixels(shape: Shape) -> int:
    return shape["OD"] * shape["OH"] * shape["OW"]


def _plain_refusal(device: Device, shape: Shape) -> str | None:
    rows = shape["C"] // shape["G"] * shape["T"] * shape["R"]
    return too_many_turns(device, rows * (shape["S"] + 1) + shape["C"] // shape["G"] * (shape["T"] + 1))


def _turns(shape: Shape, tile_m: int) -> int:
    """No fewer loop turns than a work-item of the cpu template makes, if the compiler unrolls nothing."""
    depth = _depth(shape)
    pairs = depth // 2 + 1
    strips = ceil_div(min(tile_m, _n_pixels(shape)), STRIP)
    return max(strips * (pairs + PANEL * (STRIP + 1)), PANEL * (pairs + 1), depth * (shape["OW"] + 3) + shape["OW"])


def _cpu_refusal(device: Device, shape: Shape) -> str | None:
    n_bytes = 4 * shape["B"] * shape["G"] * _n_pixels(shape) * (_depth(shape) // 2 + 1)
    limit = min(device.limits.allocation_bytes or math.inf, 4 * MAX_ELEMENTS)
    if n_bytes > limit:
        return f"needs {n_bytes:,} bytes for the patches of x, and one allocation may have {limit:,}"
    return too_many_turns(device, _turns(shape, STRIP))


def _check_turns(device: Device, found: Geometry, params: Params) -> None:
    endless = too_many_turns(device, _turns(found.letters, params["TILE_M"])) if turn_limit(device) < math.inf else None
    if endless:
        raise LimitExceeded("conv_i8_i8", f"{endless} with {dict(params)}; use smaller tiles")


def _cost(shape: Shape) -> Cost:
    n_out = shape["B"] * shape["K"] * _n_pixels(shape)
    n_in = shape["B"] * shape["C"] * shape["D"] * shape["H"] * shape["W"]
    return Cost(bytes=n_in + n_out + shape["K"] * _depth(shape), flop=2 * n_out * _depth(shape))


SPEC = OpSpec(
    name="conv_i8_i8",
    summary="ONNX ConvInteger, QLinearConv: at least 1 read of x, w + 1 write of out; 2*C/G*R*S*T operations a value",
    templates=(
        Template(
            name="plain",
            source="conv_i8_i8",
            space={},
            default={},
            precondition="loop turns within the device's limit, if any; one work-item per element; chosen for groups "
            f"of fewer than {PANEL // 4} filters",
            applies=_plain_refusal,
        ),
        Template(
            name="cpu",
            source="conv_i8_i8_cpu",
            space={"TILE_M": (6, 24, 48, 96, 192)},
            default={"TILE_M": 24},
            constraints=(
                Constraint(
                    f"TILE_M to be a positive multiple of {STRIP}: whole strips",
                    lambda p: p["TILE_M"] > 0 and p["TILE_M"] % STRIP == 0,
                ),
            ),
            precondition="x's patches fit one allocation; loop turns within the device's limit, if any",
            applies=_cpu_refusal,
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
