"""The k largest or smallest elements along an axis. Kernels: ``topk.cl`` (plain) and ``topk_{gpu,cpu}.cl``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import InputError, ShapeError
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
from rx580lab.ops.sizing import ceil_div, checked_count, plain_sizes, too_many_turns, turn_limit

__all__ = ["SPEC", "plan", "topk"]

# Element type -> TYPE of the kernels.
TYPES: dict[np.dtype[Any], int] = {
    np.dtype(kind): code for code, kind in enumerate((np.float32, np.float16, np.int32, np.int64))
}
# Work-items of a group of the gpu template; fixed in topk_gpu.cl (WG_X).
GROUP = 256
# From so many steps of one work-item on (C * k), the plain template would be a trap rather than a fallback.
MOST_STEPS = 1 << 26
# What a work-item of the cpu template should at least read; unit: elements. Well above the 10 ns that a group costs.
ITEM_ELEMENTS = 16384


def topk(
    device: Device,
    x: Array | npt.NDArray[Any],
    *,
    k: int,
    axis: int = -1,
    largest: bool = True,
    sorted: bool = True,  # noqa: A002
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """The ``k`` largest (or smallest) elements of ``x`` along ``axis``, and their places (i64): a pair, as ONNX's TopK.

    fp32, fp16, i32 or i64, of rank 1 or more. Both come in order whether or not ``sorted`` asks for it, equal elements
    by their places. NaN is larger than everything, as numpy sorts it; -0 equals 0. numpy in gives numpy out; an Array
    in gives Arrays out. ``out`` takes the elements and must not be ``x``. Raises ShapeError when ``k`` is longer than
    the axis or for a scalar, DtypeError for other element types, InputError for a wrong ``axis`` or negative ``k``.
    """
    return given_back(
        plan(device, x, k=k, axis=axis, largest=largest, sorted=sorted, out=out, template=template, params=params), x
    )


def plan(
    device: Device,
    x: Array | npt.NDArray[Any],
    *,
    k: int,
    axis: int = -1,
    largest: bool = True,
    sorted: bool = True,  # noqa: A002
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launch that ``topk`` runs, bound once, for running many times."""
    source = as_array(device, "topk", "x", x, *TYPES)
    shape = _shape(source, k=k, axis=axis, largest=largest, sorted=sorted)
    place = axis % source.ndim
    result = (*source.shape[:place], shape["k"], *source.shape[place + 1 :])
    target = output(device, "topk", out, result, source.dtype)
    apart("topk", target, x=source)
    indices = device.scratch(result, np.int64)
    chosen, merged = choose(device, SPEC, shape, template, params)
    if target.size == 0:
        return Plan("topk", chosen.name, merged, (), target, more=(indices,))
    launch = _launch(device, chosen, merged, source, target, indices, shape, largest)
    return Plan("topk", chosen.name, merged, (launch,), target, more=(indices,))


def _shape(
    x: Array | npt.NDArray[Any],
    *,
    k: int,
    axis: int = -1,
    largest: bool = True,
    sorted: bool = True,  # noqa: A002
) -> dict[str, int]:
    """R rows of C elements, ``inner`` apart, of which k."""
    del largest, sorted
    if x.ndim == 0:
        raise ShapeError("topk", "expected x of rank 1 or more, got a scalar")
    if not -x.ndim <= axis < x.ndim:
        raise InputError("topk", f"expected axis in -{x.ndim} .. {x.ndim - 1}, got {axis}")
    if isinstance(k, bool) or k != int(k) or k < 0:
        raise InputError("topk", f"expected k to be an integer of at least 0, got {k!r}")
    place = axis % x.ndim
    n_columns, inner = x.shape[place], math.prod(x.shape[place + 1 :])
    if k > n_columns:
        raise ShapeError("topk", f"expected k of at most {n_columns}, the length of axis {axis}, got {k}")
    n_rows = checked_count("topk", math.prod(x.shape[:place]) * inner)
    checked_count("topk", max(n_columns, inner))
    return {"R": n_rows, "C": n_columns, "k": int(k), "inner": inner, "itemsize": x.dtype.itemsize}


def _launch(
    device: Device,
    chosen: Template,
    params: Params,
    x: Array,
    out: Array,
    indices: Array,
    shape: Shape,
    largest: bool,
) -> Launch:
    macros = {**params, "TYPE": TYPES[x.dtype]}
    kernel = load_kernel(device, chosen.source, f"topk_{chosen.name}", macros)
    counts = (np.uint32(shape[name]) for name in ("C", "k", "inner", "R"))
    key_type = np.uint64 if x.dtype == np.int64 else np.uint32
    flip = key_type(0 if largest else np.iinfo(key_type).max)
    arguments = (x, out, indices, *counts, flip)
    if chosen.name == "gpu":
        return kernel.bind((shape["R"] * GROUP,), (GROUP,), *arguments)
    if chosen.name == "plain":
        return kernel.bind(*plain_sizes(device, shape["R"]), *arguments)
    per_item = max(1, min(ITEM_ELEMENTS // shape["C"], ceil_div(shape["R"], 4 * device.compute_units)))
    if turn_limit(device) < math.inf:
        per_item = max(1, min(per_item, int(turn_limit(device)) // _heap_turns(shape)))
    sense = np.int32(1 if largest else -1)
    return kernel.bind((ceil_div(shape["R"], per_item),), (1,), *arguments, sense, np.uint32(per_item))


def _heap_turns(shape: Shape) -> int:
    """No fewer loop turns than a work-item of the cpu template makes for a row: all that enters sinks to the bottom."""
    return (2 * shape["C"] + 2 * shape["k"] + 64) * (shape["k"].bit_length() + 1)


def _plain_applies(device: Device, shape: Shape) -> str | None:
    n_steps = shape["C"] * shape["k"]
    if n_steps > MOST_STEPS:
        return f"selects in C * k steps of one work-item, at most {MOST_STEPS:,}, got {n_steps:,}"
    return too_many_turns(device, n_steps + shape["k"])


def _gpu_applies(device: Device, shape: Shape) -> str | None:
    most = SPEC.template("gpu").default["MOST"]
    if shape["k"] > most:
        return f"puts them in order in LDS: k at most {most}, got {shape['k']}"
    limit = device.limits.work_group
    if limit is not None and limit < GROUP:
        return f"needs work-groups of {GROUP}, and {device.selector} takes at most {limit}"
    # A turn over the row and one over the counts per digit of the key and of the place; one to collect; the order.
    n_digits = shape["itemsize"] + 4
    per_row = ceil_div(shape["C"], GROUP)
    return too_many_turns(device, (n_digits + 1) * per_row + n_digits * (GROUP + 16) + 4 * shape["k"] + 64)


def _cpu_applies(device: Device, shape: Shape) -> str | None:
    return too_many_turns(device, _heap_turns(shape))


def _cost(shape: Shape) -> Cost:
    n_read, n_written = shape["R"] * shape["C"], shape["R"] * shape["k"]
    # At least one comparison per element.
    return Cost(bytes=shape["itemsize"] * (n_read + n_written) + 8 * n_written, flop=n_read)


SPEC = OpSpec(
    name="topk",
    summary="the k best of each of R rows of C elements and their places: 1 read of R*C + 1 write of R*k of each",
    templates=(
        Template(
            name="plain",
            source="topk",
            space={},
            default={},
            precondition=f"C * k at most {MOST_STEPS:,}, less where loop turns are limited; one work-item per row",
            applies=_plain_applies,
        ),
        Template(
            name="gpu",
            source="topk_gpu",
            space={"MOST": (1024,)},
            default={"MOST": 1024},
            precondition=f"k at most 1024, work-groups of {GROUP}; a work-group takes a row",
            applies=_gpu_applies,
            preferred_class="gpu",
        ),
        Template(
            name="cpu",
            source="topk_cpu",
            space={},
            default={},
            precondition="within the device's limit on loop turns, if it has one; a work-item takes whole rows",
            applies=_cpu_applies,
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
