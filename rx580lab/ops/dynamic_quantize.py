"""fp32 to uint8 by the range of the values themselves. Kernels: ``dynamic_quantize.cl`` (plain) and ``_cpu``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import ShapeError
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
    output,
)
from rx580lab.ops.sizing import WAVEFRONT, ceil_div, checked_count, plain_sizes, too_many_turns, turn_limit

__all__ = ["SPEC", "dynamic_quantize", "plan"]

Floats = Array | npt.NDArray[Any]

# The most parts whose ranges one work-item joins.
MOST_PARTS = 4096
# What a work-item of the cpu template should at least chew on; unit: elements. Well above the 10 ns that a group costs.
ITEM_ELEMENTS = 16384


def dynamic_quantize(
    device: Device,
    x: Floats,
    *,
    out: Array | None = None,
    out_scale: Array | None = None,
    out_zero_point: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``x`` as uint8, and the scale and the zero point for that: three arrays, as ONNX DynamicQuantizeLinear.

    The range of ``x``, widened to hold 0, is divided into 255 steps: scale (fp32, ()) is one of them, 1/255 where all
    values are 0; zero_point (uint8, ()) is what 0 becomes. ``x`` is fp32 of any shape with at least one value; a NaN is
    passed over by the range and becomes 0. numpy in gives numpy out; an Array in gives Arrays out. ``out``,
    ``out_scale`` and ``out_zero_point`` take the three. Raises DtypeError, ShapeError.
    """
    outs = {"out": out, "out_scale": out_scale, "out_zero_point": out_zero_point}
    return given_back(plan(device, x, **outs, template=template, params=params), x)


def plan(
    device: Device,
    x: Floats,
    *,
    out: Array | None = None,
    out_scale: Array | None = None,
    out_zero_point: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``dynamic_quantize`` runs, bound once, for running many times."""
    source = as_array(device, "dynamic_quantize", "x", x)
    shape = _shape(source)
    target = output(device, "dynamic_quantize", out, source.shape, np.uint8)
    scale = output(device, "dynamic_quantize", out_scale, ())
    zero_point = output(device, "dynamic_quantize", out_zero_point, (), np.uint8)
    apart("dynamic_quantize", target, x=source)
    chosen, merged = choose(device, SPEC, shape, template, params)
    n_parts = _n_parts(device, chosen.name, source.size)
    ranges = device.empty((n_parts, 2), np.float32)
    launches = _launches(device, chosen, merged, source, (target, scale, zero_point), ranges)
    return Plan("dynamic_quantize", chosen.name, merged, launches, target, (ranges,), (scale, zero_point))


def _n_parts(device: Device, name: str, n: int) -> int:
    """How many work-items look for the range: enough to fill the device, each with enough to do."""
    if name == "cpu":
        return max(1, min(4 * device.compute_units, ceil_div(n, ITEM_ELEMENTS)))
    return max(1, min(16 * WAVEFRONT * device.compute_units, ceil_div(n, 16), MOST_PARTS))


def _launches(
    device: Device,
    chosen: Template,
    params: Params,
    x: Array,
    outs: tuple[Array, Array, Array],
    ranges: Array,
) -> tuple[Launch, ...]:
    out, scale, zero_point = outs
    n, n_parts = np.uint32(x.size), ranges.shape[0]
    join = load_kernel(device, "dynamic_quantize", "dynamic_quantize_scale", {})
    joined = join.bind((1,), (1,), ranges, np.uint32(n_parts), scale, zero_point)
    if chosen.name == "cpu":
        find = load_kernel(device, chosen.source, "dynamic_quantize_cpu_ranges", params)
        convert = load_kernel(device, chosen.source, "dynamic_quantize_cpu", params)
        width = ceil_div(x.size, n_parts)
        sizes, each = ((ceil_div(x.size, width),), (1,)), np.uint32(width)
        return (
            find.bind((n_parts,), (1,), x, ranges, n, each),
            joined,
            convert.bind(*sizes, x, scale, zero_point, out, n, each),
        )
    find = load_kernel(device, chosen.source, "dynamic_quantize_ranges", params)
    convert = load_kernel(device, chosen.source, "dynamic_quantize_plain", params)
    return (
        find.bind(*plain_sizes(device, n_parts), x, ranges, n, np.uint32(n_parts)),
        joined,
        convert.bind(*plain_sizes(device, x.size), x, scale, zero_point, out, n),
    )


def _shape(x: Floats, **_keywords: Any) -> dict[str, int]:
    if x.size == 0:
        raise ShapeError("dynamic_quantize", f"expected at least one value, got {x.shape}")
    return {"N": checked_count("dynamic_quantize", x.size)}


def _plain_applies(device: Device, shape: Shape) -> str | None:
    parts = _n_parts(device, "plain", shape["N"])
    return too_many_turns(device, max(parts, ceil_div(shape["N"], parts)))


def _cpu_applies(device: Device, _shape: Shape) -> str | None:
    return "llvmpipe bounds the turns of its loops" if turn_limit(device) < math.inf else None


def _cost(shape: Shape) -> Cost:
    return Cost(bytes=9 * shape["N"] + 5, flop=4 * shape["N"])


SPEC = OpSpec(
    name="dynamic_quantize",
    summary="ONNX DynamicQuantizeLinear: 2 reads of 4 bytes + 1 write of 1 a value, the range found on the device",
    templates=(
        Template(
            name="plain",
            source="dynamic_quantize",
            space={},
            default={},
            precondition="loop turns within the device's limit, if any; one work-item per value",
            applies=_plain_applies,
        ),
        Template(
            name="cpu",
            source="dynamic_quantize_cpu",
            space={},
            default={},
            precondition="no limit on loop turns; work-groups of one",
            applies=_cpu_applies,
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
