"""Convolution over one to three spatial axes, with what may follow it.

Kernels by template: ``conv.cl`` (plain), ``conv_{gpu,cpu,cpu_depthwise}.cl``; ``conv_cpu_arrange.cl`` lays out for cpu.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, ShapeError
from rx580lab.ops import _conv_cpu as cpu
from rx580lab.ops import _conv_gpu as gpu
from rx580lab.ops._conv_cpu import Operands, PackedWeights
from rx580lab.ops._conv_geometry import Geometry, Layouts, Lengths, geometry, int4, layouts_of
from rx580lab.ops.epilogue import Epilogue
from rx580lab.ops.plan import (
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
    optional_array,
    output,
)
from rx580lab.ops.sizing import WAVEFRONT, plain_sizes, too_many_turns, wants_wavefronts

__all__ = ["SPEC", "PackedWeights", "conv", "pack_weights", "plan"]

FLOATS = (np.float32, np.float16)

AnyArray = Array | npt.NDArray[Any]
Weights = AnyArray | PackedWeights


def conv(
    device: Device,
    x: AnyArray,
    w: Weights,
    bias: AnyArray | None = None,
    residual: AnyArray | None = None,
    **keywords: Any,
) -> Any:
    """ONNX Conv: ``x`` (N, C, ...) by ``w`` (K, C/group, ...) -> (N, K, ...), with one to three spatial axes.

    Each value is activation(sum + bias + residual): ``bias`` (K), ``residual`` of out's shape, ``activation`` with its
    ``alpha`` and ``beta`` as in ``ops.epilogue``. All arrays fp32, or all fp16 with sums in fp32.
    Lengths of x may be 0. Padding counts as zeros that are multiplied like any value.

    Keywords as in ``plan``. numpy in gives numpy out; an Array in gives an Array out. Raises ShapeError, DtypeError, or
    InputError when ``out`` is one of the inputs.
    """
    return given_back(plan(device, x, w, bias, residual, **keywords), x, bias, residual, *_arrays(w))


def plan(
    device: Device,
    x: AnyArray,
    w: Weights,
    bias: AnyArray | None = None,
    residual: AnyArray | None = None,
    *,
    strides: Lengths = None,
    dilations: Lengths = None,
    pads: Lengths = None,
    group: int = 1,
    activation: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    layout: str = "nchw",
    out_layout: str | None = None,
    borders: Lengths = None,
    out_borders: Lengths = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``conv`` runs, bound once, for running many times.

    ``strides`` and ``dilations`` per axis, None for 1; ``pads`` all begins, then all ends, None for 0; ``group`` as in
    ONNX. A ``w`` that ``pack_weights`` made is not packed again by each run.

    ``layout`` is that of x, ``out_layout`` that of residual and out (None: as x): "nchw", or "nhwc" for (N, ..., C),
    which the cpu templates read and write as it is. With "nhwc", ``borders`` and ``out_borders`` say how many rows of
    zeros x has, and out shall have, around each axis, in the order of pads. Borders are part of an array's lengths;
    those of a given ``out`` are left as they are. A fp32 x is read in place where it has the zeros that pads ask for,
    and where out is pixel-major too: sums then leave out what lies beyond x, even if the weight there is infinite.
    """
    source = as_array(device, "conv", "x", x, *FLOATS)
    weights = w if isinstance(w, PackedWeights) else as_array(device, "conv", "w", w, source.dtype)
    if weights.dtype != source.dtype:
        raise DtypeError("conv", f"expected w of {source.dtype} as x, got {weights.dtype}")
    laid = layouts_of("conv", source.shape, layout, out_layout, borders, out_borders)
    window: dict[str, Any] = {"strides": strides, "dilations": dilations, "pads": pads, "group": group}
    found = geometry("conv", source, weights, layouts=laid, **window)
    shift = optional_array(device, "conv", "bias", bias, source.dtype)
    added = optional_array(device, "conv", "residual", residual, source.dtype)
    wanted = laid.out_shape(found)
    for name, one, expected in (("bias", shift, (found.filters,)), ("residual", added, wanted)):
        if one is not None and one.shape != expected:
            raise ShapeError("conv", f"expected {name} of shape {expected}, got {one.shape}")
    if out is None and laid.out_nhwc:
        out = device.zeros(wanted, source.dtype)
    target = output(device, "conv", out, wanted, source.dtype)
    unpacked = None if isinstance(weights, PackedWeights) else weights
    apart("conv", target, x=source, w=unpacked, bias=shift, residual=added)
    given = Operands(
        source,
        shift,
        added,
        target,
        Epilogue(activation, alpha, beta),
        laid,
        device.constant(np.zeros(1, source.dtype)),
    )
    return _planned(device, found, given, weights, template, params)


def _planned(
    device: Device,
    found: Geometry,
    given: Operands,
    w: Array | PackedWeights,
    template: str | None,
    params: Params | None,
) -> Plan:
    shape = _letters(found, given.layouts, w)
    chosen, merged = choose(device, SPEC, shape, template, params)
    if chosen.name == "cpu":
        merged = chosen.checked(cpu.sized(device, "conv", found, merged, params))
    elif chosen.name == "gpu":
        merged = chosen.checked(gpu.fitted(device, merged, params))
    if found.n_out == 0:
        return Plan("conv", chosen.name, merged, (), given.out)
    if chosen.name == "cpu":
        launches, kept = _direct(device, found, merged, given, w)
    elif chosen.name == "cpu_depthwise":
        launches, kept = cpu.depthwise_launches(device, found, given, w)
    elif chosen.name == "gpu" and isinstance(w, Array):
        filters = w if w.size else None
        launches, kept = [gpu.gathered_launch(device, found, merged, given, gpu.conv_gather(found), filters)], []
    else:
        launches, kept = [_plain(device, found, given, w)], []
    return Plan("conv", chosen.name, merged, tuple(launches), given.out, (given.unused, *kept))


def pack_weights(device: Device, w: AnyArray, *, group: int = 1) -> PackedWeights:
    """``w`` (K, C/group, ...) as the cpu templates read it, for a ``conv`` whose weights stay the same.

    Depthwise weights (one filter per channel) are packed for pixel-major arrays.
    """
    given = as_array(device, "conv", "w", w, *FLOATS)
    rank = given.ndim - 2
    if not 1 <= rank <= 3:
        raise ShapeError("conv", f"expected w with 1 to 3 spatial axes, got {given.shape}")
    like = np.empty((0, given.shape[1] * group, *given.shape[2:]), given.dtype)
    found = geometry("conv", like, given, strides=None, dilations=None, pads=None, group=group)
    if found.channels_each == found.filters_each == 1:
        packed, launch = cpu.pack_depthwise(device, found, given)
        launch.enqueue()
        return PackedWeights(packed, given.shape, given.dtype, group, "cpu_depthwise")
    if given.size == 0:
        raise ShapeError("conv", f"expected w with elements, got {given.shape}")
    panels, launch = cpu.pack(device, found, given, np.arange(found.n_taps, dtype=np.int32))
    launch.enqueue()
    return PackedWeights(panels, given.shape, given.dtype, group, "cpu")


def _arrays(w: Weights) -> tuple[AnyArray, ...]:
    return () if isinstance(w, PackedWeights) else (w,)


def _direct(
    device: Device, found: Geometry, params: Params, given: Operands, w: Array | PackedWeights
) -> tuple[list[Any], list[Array]]:
    source = cpu.bordered(device, found, given, found.before, cpu.needed_after(found))
    job = cpu.conv_job(found, source, given.layouts)
    launches = list(source.launches)
    panels: Array | None = None
    if isinstance(w, PackedWeights):
        panels = w.panels
    elif w.size:
        panels, packing = cpu.pack(device, found, w, job.positions)
        launches.append(packing)
    launches.append(cpu.direct_launch(device, found, params, given, source, job, panels))
    return launches, [source.array]


def _plain(device: Device, found: Geometry, given: Operands, w: Array | PackedWeights) -> Any:
    kernel = load_kernel(device, "conv", "conv_plain", given.macros)
    flags, more = cpu.flags_and_arrays(given)
    arrays = (one if isinstance(one, Array) and one.size else given.unused for one in (given.x, w))
    return kernel.bind(
        *plain_sizes(device, found.n_out), *_lengths(found), np.int32(flags), *given.epilogue.args(),
        *arrays, *more, given.out,
    )  # fmt: skip


def _lengths(found: Geometry) -> tuple[Any, ...]:
    counts = np.uint32(found.n_out), np.uint32(found.channels_each), np.uint32(found.filters_each)
    triples = found.size, found.out, found.kernel, found.strides, found.dilations, found.before
    return (*counts, np.uint32(found.group), *map(int4, triples))


def _shape(
    x: AnyArray,
    w: Weights,
    *_optional: AnyArray | None,
    strides: Lengths = None,
    dilations: Lengths = None,
    pads: Lengths = None,
    group: int = 1,
    layout: str = "nchw",
    out_layout: str | None = None,
    borders: Lengths = None,
    out_borders: Lengths = None,
    **_epilogue: Any,
) -> dict[str, int]:
    laid = layouts_of("conv", x.shape, layout, out_layout, borders, out_borders)
    window: dict[str, Any] = {"strides": strides, "dilations": dilations, "pads": pads, "group": group}
    return _letters(geometry("conv", x, w, layouts=laid, **window), laid, w)


def _letters(found: Geometry, laid: Layouts, w: Weights) -> dict[str, int]:
    """``bytes``: of an element. ``nhwc``: 1 for a pixel-major x, 2 for such an out, 3 for both. ``packed``: 1 or 0."""
    return {
        **found.letters,
        "bytes": w.dtype.itemsize,
        "nhwc": laid.x_nhwc + 2 * laid.out_nhwc,
        "packed": int(isinstance(w, PackedWeights)),
    }


def _cost(shape: Shape) -> Cost:
    depth = shape["C"] // shape["G"] * shape["R"] * shape["S"] * shape["T"]
    n_out = shape["B"] * shape["K"] * shape["OD"] * shape["OH"] * shape["OW"]
    n_in = shape["B"] * shape["C"] * shape["D"] * shape["H"] * shape["W"]
    return Cost(bytes=shape["bytes"] * (n_in + n_out + shape["K"] * depth), flop=2 * n_out * depth)


def _refusal(name: str) -> Callable[[Device, Shape], str | None]:
    """Why the template cannot run even with its least tiles, or None."""

    def refusal(device: Device, shape: Shape) -> str | None:
        one_each = shape["C"] == shape["K"] == shape["G"]
        if name == "cpu_depthwise" and not one_each:
            return f"needs one filter per channel, got {shape['K']} for {shape['C']} in {shape['G']} groups"
        if name == "cpu_depthwise" and shape["nhwc"] == 1:
            return "stores a pixel-major out only, or out as x"
        if name == "cpu_depthwise" and shape["packed"] and not shape["nhwc"]:
            return "reads packed weights over pixel-major arrays only"
        if name == "cpu" and shape["packed"] and one_each:
            return "reads panels, which depthwise weights are not packed in"
        if name == "gpu" and shape["K"] < gpu.LEAST_FILTERS * shape["G"]:
            return f"needs {gpu.LEAST_FILTERS} filters in a group, got {shape['K']} in {shape['G']}"
        if name in ("plain", "gpu") and (shape["nhwc"] or shape["packed"]):
            return "reads and writes channel-major arrays, and weights as they are"
        endless = too_many_turns(device, _turns(name, shape))
        return endless or (wants_wavefronts(device, shape) if name == "gpu" else None)

    return refusal


def _turns(name: str, shape: Shape) -> int:
    """No fewer loop turns than a work-item of that template makes with the least tiles, if nothing is unrolled."""
    each = shape["C"] // shape["G"]
    n_taps = shape["R"] * shape["S"] * shape["T"]
    if name == "plain":
        return each * (shape["T"] * (shape["R"] * (shape["S"] + 1) + 1) + 1)
    if name == "gpu":
        return 4 * each * n_taps + 256
    if name == "cpu":
        return cpu.direct_turns(each, n_taps, shape["C"])
    planes = math.ceil(shape["B"] * shape["C"] / 4)
    lengths = (shape["D"] + shape["T"]) * (shape["H"] + shape["R"]) * (shape["W"] + shape["S"])
    return max(
        planes * (lengths + shape["OD"] * shape["OH"] * shape["OW"] * (n_taps + 1)), cpu.BLOCK * (shape["C"] + 1)
    )


SPEC = OpSpec(
    name="conv",
    summary="ONNX Conv, one to three axes: at least 1 read of x and w + 1 write of out; 2*C/G*R*S*T operations a value",
    templates=(
        Template(
            name="plain",
            source="conv",
            space={},
            default={},
            precondition="within the device's limit on loop turns, if it has one; one work-item per element",
            applies=_refusal("plain"),
        ),
        Template(
            name="gpu",
            source="conv_gpu",
            space=gpu.SPACE,
            default=gpu.DEFAULT,
            constraints=gpu.CONSTRAINTS,
            precondition=f"work-groups of {WAVEFRONT} or more, {gpu.LEAST_FILTERS} filters or more in a group",
            applies=_refusal("gpu"),
            preferred_class="gpu",
        ),
        Template(
            name="cpu_depthwise",
            source="conv_cpu_depthwise",
            space={},
            default={},
            precondition="one filter per channel; vectors along rows, or over the channels of pixel-major arrays",
            applies=_refusal("cpu_depthwise"),
            preferred_class="cpu",
        ),
        Template(
            name="cpu",
            source="conv_cpu",
            space=cpu.SPACE,
            default=cpu.DEFAULT,
            constraints=cpu.CONSTRAINTS,
            precondition="always; x is copied within zeros and w packed, where they have to be",
            applies=_refusal("cpu"),
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
