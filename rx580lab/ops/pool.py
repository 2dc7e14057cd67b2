"""Maximum and average over windows or whole planes. Kernels: ``pool.cl`` (plain) and ``pool_{gpu,cpu}.cl``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops._pool_window import Windows, windows
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
from rx580lab.ops.sizing import (
    WAVEFRONT,
    ceil_div,
    checked_count,
    plain_sizes,
    too_many_turns,
    turn_limit,
    wants_wavefronts,
)

__all__ = ["SPEC", "plan", "pool", "pooled_lengths"]

MODES = ("max", "average")
FLOATS = (np.dtype(np.float32), np.dtype(np.float16))
# Element type -> BYTES of the kernels.
BYTES: dict[np.dtype[Any], int] = {**dict.fromkeys(FLOATS, 0), np.dtype(np.int8): 1, np.dtype(np.uint8): 2}
# Columns that the cpu template joins at a time; fixed in pool_cpu.cl (ROW).
ROW = 2048
# What a work-item of the cpu template should at least read; unit: values. Well above the 10 ns that a group costs.
ITEM_ELEMENTS = 32768
# From this size on a plane is shared by four wavefronts; unit: values.
LARGE_PLANE = 4096


def pool(
    device: Device,
    x: Array | npt.NDArray[Any],
    *,
    mode: str = "max",
    kernel_shape: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    indices: bool = False,
    storage_order: int = 0,
    out: Array | None = None,
    out_indices: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """The maximum or the average of windows of ``x`` (N, C, 1 to 3 axes), as ONNX's MaxPool and AveragePool.

    Without ``kernel_shape`` a window is a whole plane, of any number of axes: GlobalMaxPool, GlobalAveragePool.
    ``pads`` holds all beginnings, then all ends, each shorter than the window. With ``ceil_mode`` a last window may
    reach beyond the padding, but not begin there. Averages count the taps inside ``x``, with ``count_include_pad``
    those in the padding too. fp32 or fp16 (with fp32 arithmetic); the maximum also of i8 and u8. A NaN in a window is
    its maximum. A window with no tap inside gives the lowest finite value of the type, or the average 0, as
    onnxruntime has it.

    With ``indices`` (maximum only) returns a pair: the second is i64, where in the flat ``x`` each maximum lies, the
    first of equals, -1 for a window with no tap inside; ``storage_order`` 1 counts the axes of a plane column-major.
    It goes to ``out_indices`` if that is given. numpy in gives numpy out; an Array in gives an Array out. Raises
    ShapeError when a window does not fit, DtypeError for other element types, InputError for attributes that ONNX does
    not allow.
    """
    planned = plan(
        device,
        x,
        mode=mode,
        kernel_shape=kernel_shape,
        strides=strides,
        pads=pads,
        dilations=dilations,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        indices=indices,
        storage_order=storage_order,
        out=out,
        out_indices=out_indices,
        template=template,
        params=params,
    )
    return given_back(planned, x)


def plan(
    device: Device,
    x: Array | npt.NDArray[Any],
    *,
    mode: str = "max",
    kernel_shape: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    indices: bool = False,
    storage_order: int = 0,
    out: Array | None = None,
    out_indices: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launch that ``pool`` runs, bound once, for running many times."""
    if out_indices is not None and not indices:
        raise InputError("pool", "expected out_indices with indices only")
    if mode not in MODES or storage_order not in (0, 1) or (indices and mode != "max"):
        got = f"mode {mode!r}, indices {indices}, storage_order {storage_order!r}"
        raise InputError("pool", f"expected mode max or average, indices of max only, storage_order 0 or 1, got {got}")
    source = as_array(device, "pool", "x", x, *BYTES)
    if mode == "average" and source.dtype not in FLOATS:
        raise DtypeError("pool", f"expected x of float32 or float16 for an average, got {source.dtype}")
    found = _windows(source, kernel_shape, strides, pads, dilations, ceil_mode)
    shape = _letters(source, found, indices)
    target = output(device, "pool", out, (*source.shape[:2], *found.outside), source.dtype)
    apart("pool", target, x=source)
    more = (output(device, "pool", out_indices, target.shape, np.int64),) if indices else ()
    chosen, merged = choose(device, SPEC, shape, template, params)
    if chosen.name == "gpu":
        merged = _fitted_planes(device, merged, params, shape)
    if target.size == 0:
        return Plan("pool", chosen.name, merged, (), target, more=more)
    macros = {**merged, "AVERAGE": MODES.index(mode), "BYTES": BYTES[source.dtype]}
    macros["HALF"] = int(source.dtype == np.float16)
    if indices:
        kernel = load_kernel(device, "pool", "pool_indices", macros)
        launch = kernel.bind(
            *plain_sizes(device, target.size),
            source,
            target,
            *more,
            *_geometry(found),
            _four(_index_steps(found, storage_order)),
            np.uint32(target.size),
        )
    elif found.whole:
        launch = _whole(device, chosen.name, macros, source, target, shape)
    else:
        counts_padding = mode == "average" and count_include_pad
        launch = _windowed(device, chosen.name, macros, source, target, found, counts_padding, shape)
    return Plan("pool", chosen.name, merged, (launch,), target, more=more)


def pooled_lengths(x: Any, **keywords: Any) -> tuple[int, ...]:
    """Lengths of the result's axes after the second, for anything with a shape and ``pool``'s keywords for windows."""
    asked = {name: keywords.get(name) for name in ("kernel_shape", "strides", "pads", "dilations")}
    return _windows(x, **asked, ceil_mode=bool(keywords.get("ceil_mode"))).outside


def _windows(
    x: Array | npt.NDArray[Any],
    kernel_shape: Sequence[int] | None,
    strides: Sequence[int] | None,
    pads: Sequence[int] | None,
    dilations: Sequence[int] | None,
    ceil_mode: bool,
) -> Windows:
    if x.ndim < 3:
        raise ShapeError("pool", f"expected x of rank 3 or more (N, C, axes), got {x.shape}")
    found = windows(x.shape[2:], kernel_shape, strides, pads, dilations, ceil_mode)
    n = checked_count("pool", math.prod((*x.shape[:2], *found.outside)))
    if n and 0 in x.shape:
        raise ShapeError("pool", f"expected planes that hold elements, got {x.shape}")
    # Kernels count within a plane, its padding and one more tap.
    sides = zip(found.inside, found.before, found.after, found.dilations, strict=True)
    checked_count("pool", math.prod(n + b + a + (0 if found.whole else d) for n, b, a, d in sides))
    return found


def _shape(
    x: Array | npt.NDArray[Any],
    *,
    kernel_shape: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    ceil_mode: bool = False,
    indices: bool = False,
    **_others: Any,
) -> dict[str, int]:
    return _letters(x, _windows(x, kernel_shape, strides, pads, dilations, ceil_mode), indices)


def _letters(x: Array | npt.NDArray[Any], found: Windows, indices: bool) -> dict[str, int]:
    """R planes of S touched elements give O windows of K taps; ``reach`` is a window's extent along the last axis."""
    return {
        "R": math.prod(x.shape[:2]),
        "S": found.touched,
        "O": math.prod(found.outside),
        "K": math.prod(found.kernel),
        "width": found.inside[-1],
        "reach": (found.kernel[-1] - 1) * found.dilations[-1] + 1,
        "whole": int(found.whole),
        "indices": int(indices),
        "itemsize": x.dtype.itemsize,
    }


def _four(values: Sequence[int], rest: int = 1) -> np.void:
    """One value per axis as a kernel's int4: .x for the last axis; ``rest`` for axes that are not there."""
    backwards = [*reversed(values), *[rest] * 4][:4]
    packed: np.void = np.array(backwards, np.int32).view("V16")[0]
    return packed


def _geometry(found: Windows) -> tuple[np.void, ...]:
    """in, to, kernel_size, stride, dilation, pad of the kernels."""
    given = (found.inside, found.outside, found.kernel, found.strides, found.dilations)
    return *(_four(one) for one in given), _four(found.before, 0)


def _index_steps(found: Windows, storage_order: int) -> tuple[int, ...]:
    """What one element along each axis adds to a flat index of its plane."""
    lengths = found.inside if storage_order == 0 else found.inside[::-1]
    steps = tuple(math.prod(lengths[place + 1 :]) for place in range(len(lengths)))
    return steps if storage_order == 0 else steps[::-1]


def _windowed(
    device: Device,
    template: str,
    macros: dict[str, int],
    x: Array,
    out: Array,
    found: Windows,
    counts_padding: bool,
    shape: Shape,
) -> Launch:
    ends = tuple(n + after for n, after in zip(found.inside, found.after, strict=True)) if counts_padding else ()
    arguments = (x, out, *_geometry(found), _four(ends, int(counts_padding)))
    kernel = load_kernel(device, "pool" if template == "plain" else "pool_cpu", f"pool_{template}", macros)
    if template == "plain":
        return kernel.bind(*plain_sizes(device, out.size), *arguments, np.uint32(out.size))
    width = found.outside[-1]
    block = min((ROW - shape["reach"]) // found.strides[-1] + 1, width)
    n_rows = out.size // width
    per_item = max(1, min(ITEM_ELEMENTS // (width * shape["K"]), ceil_div(n_rows, 4 * device.compute_units)))
    if turn_limit(device) < math.inf:
        per_item = max(1, min(per_item, int(turn_limit(device)) // _turns("cpu", shape)))
    n_items = ceil_div(n_rows, per_item)
    return kernel.bind((n_items,), (1,), *arguments, np.int32(block), np.uint32(n_rows), np.uint32(per_item))


def _whole(device: Device, template: str, macros: dict[str, int], x: Array, out: Array, shape: Shape) -> Launch:
    n_planes, size = shape["R"], shape["S"]
    planes, length = np.uint32(n_planes), np.uint32(size)
    if template == "plain":
        kernel = load_kernel(device, "pool", "pool_plain_whole", macros)
        return kernel.bind(*plain_sizes(device, n_planes), x, out, planes, length)
    if template == "gpu":
        kernel = load_kernel(device, "pool_gpu", "pool_gpu", macros)
        group = macros["WG_X"], macros["WG_Y"]
        return kernel.bind((group[0], ceil_div(n_planes, group[1]) * group[1]), group, x, out, planes, length)
    kernel = load_kernel(device, "pool_cpu", "pool_cpu_whole", macros)
    per_item = max(1, min(ITEM_ELEMENTS // size, ceil_div(n_planes, 4 * device.compute_units)))
    if turn_limit(device) < math.inf:
        per_item = max(1, min(per_item, int(turn_limit(device)) // _turns("cpu", shape)))
    return kernel.bind((ceil_div(n_planes, per_item),), (1,), x, out, planes, length, np.uint32(per_item))


def _fitted_planes(device: Device, params: dict[str, int], asked: Params | None, shape: Shape) -> dict[str, int]:
    """A wavefront per plane, or four for a large one; as many planes per group as the device takes."""
    fitted = dict(params)
    if "WG_X" not in (asked or {}):
        fitted["WG_X"] = 4 * WAVEFRONT if shape["S"] >= LARGE_PLANE else WAVEFRONT
    if "WG_Y" not in (asked or {}):
        fitted["WG_Y"] = max(4 * WAVEFRONT // fitted["WG_X"], 1)
    limit = device.limits.work_group or math.inf
    while "WG_Y" not in (asked or {}) and fitted["WG_Y"] > 1 and fitted["WG_X"] * fitted["WG_Y"] > limit:
        fitted["WG_Y"] //= 2
    while "WG_X" not in (asked or {}) and fitted["WG_X"] * fitted["WG_Y"] > limit:
        fitted["WG_X"] //= 2
    return fitted


def _turns(name: str, shape: Shape) -> int:
    """No fewer loop turns than a work-item makes: for one window, or for a row of windows or a plane."""
    if name == "plain":
        return 3 * shape["K"]
    if shape["whole"]:
        return shape["S"] // WAVEFRONT + 64
    return (shape["width"] + 2 * shape["reach"] + 64) * (shape["K"] + 2)


def _plain_applies(device: Device, shape: Shape) -> str | None:
    return too_many_turns(device, _turns("plain", shape))


def _gpu_applies(device: Device, shape: Shape) -> str | None:
    if not shape["whole"] or shape["indices"]:
        return "joins whole planes only, without indices"
    return wants_wavefronts(device, shape) or too_many_turns(device, _turns("gpu", shape))


def _cpu_applies(device: Device, shape: Shape) -> str | None:
    if shape["indices"]:
        return "gives no indices"
    if shape["itemsize"] == 1 and turn_limit(device) < math.inf:
        return "llvmpipe crashes on vectors of bytes"
    if not shape["whole"] and shape["reach"] > ROW:
        return f"holds a window's columns in L1: at most {ROW} of them, got {shape['reach']}"
    return too_many_turns(device, _turns("cpu", shape))


def _cost(shape: Shape) -> Cost:
    n_read, n_written = shape["R"] * shape["S"], shape["R"] * shape["O"]
    return Cost(
        bytes=shape["itemsize"] * (n_read + n_written) + 8 * shape["indices"] * n_written,
        flop=n_written * shape["K"],
    )


_WHOLE = Constraint(
    f"WG_X to be a multiple of {WAVEFRONT} and WG_X * WG_Y at most 256",
    lambda p: p["WG_X"] > 0 and p["WG_X"] % WAVEFRONT == 0 and 0 < p["WG_Y"] <= 256 // p["WG_X"],
)

SPEC = OpSpec(
    name="pool",
    summary="maximum or average of windows of R planes: at least 1 read of R*S + 1 write of R*O",
    templates=(
        Template(
            name="plain",
            source="pool",
            space={},
            default={},
            precondition="within the device's limit on loop turns, if it has one; one work-item per window",
            applies=_plain_applies,
        ),
        Template(
            name="gpu",
            source="pool_gpu",
            space={"WG_X": (64, 128, 256), "WG_Y": (1, 2, 4)},
            default={"WG_X": 64, "WG_Y": 4},
            constraints=(_WHOLE,),
            precondition="whole planes, without indices; work-groups of 64 or more, a row of one for each plane",
            applies=_gpu_applies,
            preferred_class="gpu",
        ),
        Template(
            name="cpu",
            source="pool_cpu",
            space={},
            default={},
            precondition=f"no indices, windows of at most {ROW} columns; a work-item takes rows of windows, or planes",
            applies=_cpu_applies,
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
