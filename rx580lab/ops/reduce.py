"""Sum, mean, extremes and norms over any axes. Kernels: ``reduce.cl`` (plain), ``reduce_gpu.cl``, ``reduce_cpu.cl``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import InputError, ShapeError
from rx580lab.ops._reduce_passes import FUNCTIONS, ITEM_ELEMENTS, Block, Function, Passes, macros, rows_per_item
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
    fitted_group,
    plain_sizes,
    too_many_turns,
    wants_wavefronts,
)

__all__ = ["FUNCTIONS", "SPEC", "plan", "reduce"]


def reduce(
    device: Device,
    x: Array | npt.NDArray[Any],
    *,
    function: str = "sum",
    axes: Sequence[int] | int | None = None,
    keepdims: bool = True,
    select_last_index: bool = False,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``x`` reduced over ``axes`` (all where None; none where empty), which stay with length 1 if ``keepdims``.

    sum, mean, max, min, prod, l1, l2, sum_square and log_sum_exp of fp32, or of fp16 storage with fp32 arithmetic;
    sum, prod, l1 and sum_square also of int32 and int64, which wrap; max and min also of these, uint8 and int8. argmax
    and argmin, of the same types, give int64: where the first of equal values lies (the last if
    ``select_last_index``), counted over the reduced axes, which must be neighbours.

    NaN comes through, and is what argmax and argmin look for first. Over no elements a sum is 0, a product 1, a mean
    NaN, a maximum -infinity or the type's lowest value, a minimum the reverse, log_sum_exp -infinity. numpy in gives
    numpy out; an Array in gives an Array out. Raises ShapeError for axes that ``x`` does not have, or names twice, and
    for argmax and argmin over no elements; DtypeError for a type that the function does not take.
    """
    made = plan(
        device,
        x,
        function=function,
        axes=axes,
        keepdims=keepdims,
        select_last_index=select_last_index,
        out=out,
        template=template,
        params=params,
    )
    return given_back(made, x)


def plan(
    device: Device,
    x: Array | npt.NDArray[Any],
    *,
    function: str = "sum",
    axes: Sequence[int] | int | None = None,
    keepdims: bool = True,
    select_last_index: bool = False,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``reduce`` runs, bound once, for running many times."""
    known = _known(function)
    if known.arg and select_last_index not in (False, True):
        raise InputError("reduce", f"expected select_last_index to be a switch, got {select_last_index!r}")
    shape = _shape(x, function=function, axes=axes, keepdims=keepdims, select_last_index=select_last_index)
    source = as_array(device, "reduce", "x", x, *known.dtypes)
    reduced = _checked_axes(source.shape, axes)
    kept = tuple(1 if k in reduced else n for k, n in enumerate(source.shape) if keepdims or k not in reduced)
    target = output(device, "reduce", out, kept, np.int64 if known.arg else source.dtype)
    apart("reduce", target, x=source)
    chosen, merged = choose(device, SPEC, shape, template, params)
    if "WG_X" in merged:
        merged = fitted_group(device, merged, params)
    if target.size == 0:
        return Plan("reduce", chosen.name, merged, (), target)
    blocks = _blocks(source.shape, reduced)
    if known.arg:
        launch = _arg_launch(device, chosen, merged, known, source, target, blocks[0], select_last_index)
        return Plan("reduce", chosen.name, merged, (launch,), target)
    made = Passes(device, chosen, merged, known)
    made.run(source, target, blocks)
    return Plan("reduce", chosen.name, merged, tuple(made.launches), target, tuple(made.workspace))


def _known(function: str) -> Function:
    if function not in FUNCTIONS:
        raise InputError("reduce", f"expected a function among {', '.join(FUNCTIONS)}, got {function!r}")
    return FUNCTIONS[function]


def _checked_axes(shape: tuple[int, ...], axes: Sequence[int] | int | None) -> frozenset[int]:
    if axes is None:
        return frozenset(range(len(shape)))
    given = [axes] if isinstance(axes, (int, np.integer)) else list(axes)
    if any(not -len(shape) <= axis < len(shape) for axis in given):
        raise ShapeError("reduce", f"expected axes of {shape}, from {-len(shape)} to {len(shape) - 1}, got {given}")
    found = frozenset(int(axis) % len(shape) for axis in given)
    if len(found) != len(given):
        raise ShapeError("reduce", f"expected each axis once, got {given}")
    return found


def _blocks(shape: tuple[int, ...], reduced: frozenset[int]) -> list[Block]:
    """Neighbouring axes that are reduced, the last ones first: each is one reduction of what the one before left."""
    groups: list[tuple[bool, int]] = []
    for axis, n in enumerate(shape):
        kind = axis in reduced
        if n == 1:
            continue
        if groups and groups[-1][0] == kind:
            groups[-1] = (kind, groups[-1][1] * n)
        else:
            groups.append((kind, n))
    found: list[Block] = []
    inner = 1
    for place in range(len(groups) - 1, -1, -1):
        kind, n = groups[place]
        if kind:
            found.append((math.prod(size for _, size in groups[:place]), n, inner))
        else:
            inner *= n
    return found or [(math.prod(shape), 1, 1)]


def _shape(
    x: Array | npt.NDArray[Any],
    *,
    function: str = "sum",
    axes: Sequence[int] | int | None = None,
    **_others: object,
) -> dict[str, int]:
    """O x R x I, of the last block of axes that is reduced; N elements go in, M come out, of so many bytes each."""
    known = _known(function)
    reduced = _checked_axes(x.shape, axes)
    n = checked_count("reduce", x.size)
    blocks = _blocks(x.shape, reduced)
    n_out = math.prod(size for axis, size in enumerate(x.shape) if axis not in reduced)
    if known.arg and len(blocks) > 1:
        raise ShapeError("reduce", f"expected neighbouring axes for {function}, got {sorted(reduced)} of {x.shape}")
    if known.arg and n == 0 and n_out:
        raise ShapeError("reduce", f"expected elements for {function} to choose from, got {x.shape}")
    size = x.dtype.itemsize
    return {
        "N": n,
        "M": checked_count("reduce", n_out),
        "R": max(block[1] for block in blocks),
        "I": blocks[0][2],
        "ARG": int(known.arg),
        "BYTES": size,
        "OUT_BYTES": 8 if known.arg else size,
    }


def _arg_launch(
    device: Device,
    chosen: Template,
    params: Params,
    known: Function,
    x: Array,
    out: Array,
    block: Block,
    last: bool,
) -> Launch:
    outer, n, inner = block
    built = {**macros(known.combine, 0, x, x), **params}
    kernel = load_kernel(device, chosen.source, f"reduce_arg_{chosen.name}", built)
    length, switch = np.uint32(n), np.int32(last)
    if chosen.name == "gpu":
        return kernel.bind((params["WG_X"], outer), (params["WG_X"], 1), x, out, length, switch)
    if chosen.name == "cpu":
        per_item = rows_per_item(device, outer, n)
        counts = np.uint32(outer), np.uint32(per_item)
        return kernel.bind((ceil_div(outer, per_item),), (1,), x, out, length, switch, *counts)
    sizes = plain_sizes(device, outer * inner)
    return kernel.bind(*sizes, x, out, np.uint32(outer * inner), length, np.uint32(inner), switch)


def _refusal(name: str, device: Device, shape: Shape) -> str | None:
    if name != "plain" and shape["ARG"] and shape["I"] > 1:
        return "only the plain kernel looks for places along columns"
    if name != "plain" and shape["N"] == 0:
        return "there is nothing to reduce"
    if name == "gpu":
        return wants_wavefronts(device, shape) or too_many_turns(device, 2 * ceil_div(shape["R"], WAVEFRONT) + 64)
    # The cpu template's rows are rows_per_item * R, of at most ITEM_ELEMENTS or one row; its columns 512 at once.
    turns = 2 * shape["R"] if name == "plain" else shape["R"] // 8 + 2 * ITEM_ELEMENTS
    return too_many_turns(device, turns)


def _cost(shape: Shape) -> Cost:
    return Cost(bytes=shape["N"] * shape["BYTES"] + shape["M"] * shape["OUT_BYTES"], flop=shape["N"])


SPEC = OpSpec(
    name="reduce",
    summary="sums, means, extremes and norms over any axes: at least 1 read of x + 1 write of the result",
    templates=(
        Template(
            name="plain",
            source="reduce",
            space={},
            default={},
            precondition="loop turns within the device's limit, if any; one work-item per result",
            applies=lambda device, shape: _refusal("plain", device, shape),
        ),
        Template(
            name="gpu",
            source="reduce_gpu",
            space={"WG_X": (64, 128, 256)},
            default={"WG_X": 256},
            constraints=(
                Constraint(
                    f"WG_X to be a multiple of {WAVEFRONT}", lambda p: p["WG_X"] > 0 and p["WG_X"] % WAVEFRONT == 0
                ),
            ),
            precondition="work-groups of 64 or more, elements to reduce; a group per row, an item per column",
            applies=lambda device, shape: _refusal("gpu", device, shape),
            preferred_class="gpu",
        ),
        Template(
            name="cpu",
            source="reduce_cpu",
            space={"TILE": (512, 2048, 4096), "JOIN_BLOCK": (16, 64)},
            default={"TILE": 2048, "JOIN_BLOCK": 64},
            constraints=(
                Constraint("TILE to be a multiple of 16", lambda p: p["TILE"] > 0 and p["TILE"] % 16 == 0),
                Constraint("JOIN_BLOCK of at least 2", lambda p: p["JOIN_BLOCK"] >= 2),
            ),
            precondition="elements to reduce, loop turns within the device's limit; vectors along what is contiguous",
            applies=lambda device, shape: _refusal("cpu", device, shape),
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
