"""Softmax over an axis. Kernels: ``softmax.cl`` (plain) and, by template, ``softmax_{wave,gpu,cpu}.cl``.

For an axis that is not the last: ``softmax_strided.cl``, ``softmax_cpu_strided.cl``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Kernel, Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import ShapeError
from rx580lab.ops.plan import (
    Constraint,
    Cost,
    OpSpec,
    Params,
    Plan,
    Shape,
    Template,
    as_array,
    choose,
    given_back,
    output,
)
from rx580lab.ops.sizing import (
    MAX_ELEMENTS,
    WAVEFRONT,
    ceil_div,
    fitted_group,
    plain_sizes,
    too_many_turns,
    turn_limit,
    wants_wavefronts,
)

__all__ = ["SPEC", "plan", "softmax"]

# What a work-item of the cpu template should at least chew on; unit: floats. Well above the 10 ns that a group costs.
ITEM_ELEMENTS = 16384
# A row is shared only when each share is at least this long; unit: floats.
MIN_SEGMENT = 4096
MAX_SEGMENT = 65536
MAX_SEGMENTS = 1024
# Neighbouring rows that the cpu_strided template works on together; fixed in softmax_cpu_strided.cl (WIDTH).
STRIDED_ROWS = 16
STORED = (np.float32, np.float16)

Values = Array | npt.NDArray[np.floating[Any]]


def softmax(
    device: Device,
    x: Values,
    *,
    axis: int = -1,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """Softmax of ``x`` (rank 1 or more, lengths may be 0) over ``axis``, shifted by each row's maximum.

    fp32, or fp16 with fp32 arithmetic; the last axis is the quickest. A row that holds NaN or +infinity, or nothing but
    -infinity, becomes NaN throughout, as numpy's formula has it; single -infinities become 0. Results below 2**-126 may
    be 0. numpy in gives numpy out; an Array in gives an Array out. ``out`` may be ``x`` itself. Raises DtypeError for
    other element types, ShapeError for a scalar, for an axis that ``x`` does not have, or when ``out`` does not fit.
    """
    return given_back(plan(device, x, axis=axis, out=out, template=template, params=params), x)


def plan(
    device: Device,
    x: Values,
    *,
    axis: int = -1,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``softmax`` runs, bound once, for running many times."""
    source = as_array(device, "softmax", "x", x, *STORED)
    shape = _shape(source, axis=axis)
    target = output(device, "softmax", out, source.shape, source.dtype)
    chosen, merged = choose(device, SPEC, shape, template or _for_shape(device, shape), params)
    if "WG_X" in merged:
        merged = fitted_group(device, merged, params)
    if chosen.name == "wave":
        merged = _fitted_row(device, merged, params, shape["C"])
    if source.size == 0:
        return Plan("softmax", chosen.name, merged, (), target)
    if chosen.name.endswith("_split"):
        return _split(device, chosen, merged, source, target, shape)
    launch = _launch(device, chosen, merged, source, target, shape)
    return Plan("softmax", chosen.name, merged, (launch,), target)


def _shape(x: Values, *, axis: int = -1) -> dict[str, int]:
    if x.ndim == 0:
        raise ShapeError("softmax", "expected x of rank 1 or more, got a scalar")
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError("softmax", f"expected axis within the rank of x {x.shape}, got {axis}")
    place = axis % x.ndim
    # Rows before the axis, its length, and rows after it, which lie side by side.
    shape = {"R": math.prod(x.shape[:place]), "C": x.shape[place], "I": math.prod(x.shape[place + 1 :])}
    if max(shape["R"] * shape["I"], shape["C"]) > MAX_ELEMENTS:
        raise ShapeError("softmax", f"expected at most {MAX_ELEMENTS:,} rows and columns, got {shape}")
    return {**shape, "itemsize": np.dtype(x.dtype).itemsize}


def _for_shape(device: Device, shape: Shape) -> str | None:
    """The template for another axis; or that shares a row among compute units, where rows alone leave most idle."""
    if shape["I"] != 1:
        return "cpu_strided" if device.device_class == "cpu" and turn_limit(device) == math.inf else "strided"
    few = shape["R"] * 2 <= device.compute_units and shape["I"] == 1
    if few and shape["C"] >= 2 * MIN_SEGMENT and wants_wavefronts(device, shape) is None:
        return f"{device.device_class}_split"
    return None


def _launch(device: Device, chosen: Template, params: Params, x: Array, out: Array, shape: Shape) -> Launch:
    n_rows, n_cols = shape["R"], shape["C"]
    kernel = load_kernel(device, chosen.source, f"softmax_{chosen.name}", {**params, "HALF": _half(x)})
    if chosen.name.endswith("strided"):
        return _launch_strided(device, chosen.name, kernel, x, out, shape)
    rows, cols = np.uint32(n_rows), np.uint32(n_cols)
    if chosen.name == "cpu":
        per_item = max(1, min(ceil_div(ITEM_ELEMENTS, n_cols), ceil_div(n_rows, 4 * device.compute_units)))
        if turn_limit(device) < math.inf:
            per_item = max(1, min(per_item, int(turn_limit(device)) // _turns("cpu", n_cols)))
        return kernel.bind((ceil_div(n_rows, per_item),), (1,), x, out, rows, cols, np.uint32(per_item))
    if chosen.name == "gpu":
        return kernel.bind((n_rows * params["WG_X"],), (params["WG_X"],), x, out, cols)
    if chosen.name == "wave":
        height = params["WG_Y"]
        return kernel.bind((WAVEFRONT, ceil_div(n_rows, height) * height), (WAVEFRONT, height), x, out, rows, cols)
    return kernel.bind(*plain_sizes(device, n_rows), x, out, rows, cols)


def _half(x: Array) -> int:
    return int(x.dtype == np.float16)


def _launch_strided(device: Device, name: str, kernel: Kernel, x: Array, out: Array, shape: Shape) -> Launch:
    n_rows, n_cols, inner = shape["R"], shape["C"], shape["I"]
    cols, apart = np.uint32(n_cols), np.uint32(inner)
    if name == "strided":
        return kernel.bind(*plain_sizes(device, n_rows * inner), x, out, np.uint32(n_rows * inner), cols, apart)
    bundles = ceil_div(inner, STRIDED_ROWS)
    wanted = max(1, min(ceil_div(ITEM_ELEMENTS, n_cols * STRIDED_ROWS), bundles * n_rows // (4 * device.compute_units)))
    if turn_limit(device) < math.inf:
        wanted = max(1, min(wanted, int(turn_limit(device)) // _turns(name, n_cols)))
    step = min(wanted, bundles) * STRIDED_ROWS
    return kernel.bind((ceil_div(inner, step), n_rows), (1, 1), x, out, cols, apart, np.uint32(step))


def _split(device: Device, chosen: Template, params: dict[str, int], x: Array, out: Array, shape: Shape) -> Plan:
    n_rows, n_cols = shape["R"], shape["C"]
    width = _segment(device, n_cols)
    n_segments = ceil_div(n_cols, width)
    maxima, sums = device.scratch((n_rows, n_segments)), device.scratch((n_rows, n_segments))
    side = chosen.name.removesuffix("_split")
    group = params.get("WG_X", 1)
    sizes = (n_segments * group, n_rows), (group, 1)
    cols, step = np.uint32(n_cols), np.uint32(width)
    macros = {**params, "HALF": _half(x)}
    partial = load_kernel(device, chosen.source, f"softmax_{side}_partial", macros)
    write = load_kernel(device, chosen.source, f"softmax_{side}_write", macros)
    if side == "cpu":  # the exponentials wait in out
        first = partial.bind(*sizes, x, out, maxima, sums, cols, step)
        second = write.bind(*sizes, x, out, maxima, sums, cols, step)
    else:
        first = partial.bind(*sizes, x, maxima, sums, cols, step)
        second = write.bind(*sizes, x, maxima, sums, out, cols, step)

    return Plan("softmax", chosen.name, params, (first, second), out, (maxima, sums))


def _fitted_row(device: Device, params: dict[str, int], asked: Params | None, n_cols: int) -> dict[str, int]:
    """About as few values per work-item as the row needs, and as many rows per group as the device takes.

    Each count is a build of its own. Steps of four keep them few, and what they waste hides behind memory.
    """
    fitted = dict(params)
    if "PER_ITEM" not in (asked or {}):
        fitted["PER_ITEM"] = next(n for n in (1, 4, 16) if n * WAVEFRONT >= n_cols)
    elif n_cols > WAVEFRONT * params["PER_ITEM"]:
        raise ShapeError("softmax", f"expected rows of at most {WAVEFRONT * params['PER_ITEM']}, got {n_cols}")
    while "WG_Y" not in (asked or {}) and fitted["WG_Y"] * WAVEFRONT > (device.limits.work_group or math.inf):
        fitted["WG_Y"] //= 2
    return fitted


def _segment(device: Device, n_cols: int) -> int:
    """How many columns a work-item or work-group takes of a row that is shared."""
    width = min(max(ceil_div(n_cols, 4 * device.compute_units), MIN_SEGMENT), MAX_SEGMENT)
    return max(width, ceil_div(n_cols, MAX_SEGMENTS))


def _turns(name: str, n_cols: int) -> int:
    """No fewer loop turns than a work-item makes for ``n_cols`` columns, with the narrowest vector or group."""
    if name in ("plain", "strided"):
        return 4 * n_cols
    if name == "cpu_strided":
        return 4 * n_cols + 64
    return 3 * n_cols // (8 if name.startswith("cpu") else WAVEFRONT) + 64


def _refusal(name: str) -> Callable[[Device, Shape], str | None]:
    """Why a template cannot run, or None."""

    def refusal(device: Device, shape: Shape) -> str | None:
        if shape["I"] != 1 and not name.endswith("strided"):
            return "takes the last axis only, or one followed by axes of length 1"
        n_cols = _segment(device, shape["C"]) + MAX_SEGMENTS if name.endswith("_split") else shape["C"]
        endless = too_many_turns(device, _turns(name, n_cols))
        return endless or (wants_wavefronts(device, shape) if name.startswith("gpu") else None)

    return refusal


def _wave_applies(device: Device, shape: Shape) -> str | None:
    if shape["I"] != 1:
        return "takes the last axis only, or one followed by axes of length 1"
    if shape["C"] > 16 * WAVEFRONT:
        return f"holds a row in registers: at most {16 * WAVEFRONT} columns, got {shape['C']}"
    return wants_wavefronts(device, shape)


def _cost(shape: Shape) -> Cost:
    # Per element: maximum, difference, exponential, sum, product.
    n_values = shape["R"] * shape["C"] * shape["I"]
    return Cost(bytes=2 * shape["itemsize"] * n_values, flop=5 * n_values)


_WHOLE = Constraint(f"WG_X to be a multiple of {WAVEFRONT}", lambda p: p["WG_X"] > 0 and p["WG_X"] % WAVEFRONT == 0)

SPEC = OpSpec(
    name="softmax",
    summary="exp(x - max) / sum over the axis C of (R, C, I): at least 1 read + 1 write of R*C*I values",
    templates=(
        Template(
            name="plain",
            source="softmax",
            space={},
            default={},
            precondition="within the device's limit on loop turns, if it has one; one work-item per row",
            applies=_refusal("plain"),
        ),
        Template(
            name="wave",
            source="softmax_wave",
            space={"WG_Y": (1, 2, 4), "PER_ITEM": (1, 2, 4, 8, 16)},
            default={"WG_Y": 4, "PER_ITEM": 16},
            precondition="C <= 64 * PER_ITEM, work-groups of 64 or more; a wavefront holds a row in registers",
            applies=_wave_applies,
            preferred_class="gpu",
        ),
        Template(
            name="gpu",
            source="softmax_gpu",
            space={"WG_X": (64, 128, 256)},
            default={"WG_X": 256},
            constraints=(_WHOLE,),
            precondition="work-groups of 64 or more; a work-group per row",
            applies=_refusal("gpu"),
            preferred_class="gpu",
        ),
        Template(
            name="gpu_split",
            source="softmax_gpu",
            space={"WG_X": (64, 128, 256)},
            default={"WG_X": 256},
            constraints=(_WHOLE,),
            precondition="work-groups of 64 or more; a row is shared by many work-groups, in two launches",
            applies=_refusal("gpu_split"),
            preferred_class="gpu",
        ),
        Template(
            name="cpu",
            source="softmax_cpu",
            space={"VEC": (8, 16), "SUM_BLOCK": (16, 64)},
            default={"VEC": 16, "SUM_BLOCK": 64},
            precondition="within the device's limit on loop turns, if it has one; a work-item takes whole rows",
            applies=_refusal("cpu"),
            preferred_class="cpu",
        ),
        Template(
            name="cpu_split",
            source="softmax_cpu",
            space={"VEC": (8, 16), "SUM_BLOCK": (16, 64)},
            default={"VEC": 16, "SUM_BLOCK": 64},
            precondition="loop turns within the device's limit, if any; many work-items share a row, in two launches",
            applies=_refusal("cpu_split"),
            preferred_class="cpu",
        ),
        Template(
            name="strided",
            source="softmax_strided",
            space={},
            default={},
            precondition="loop turns within the device's limit, if any; chosen off processors for another axis",
            applies=_refusal("strided"),
        ),
        Template(
            name="cpu_strided",
            source="softmax_cpu_strided",
            space={"SUM_BLOCK": (16, 64)},
            default={"SUM_BLOCK": 64},
            precondition="loop turns within the device's limit, if any; chosen on a processor for another axis",
            applies=_refusal("cpu_strided"),
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
