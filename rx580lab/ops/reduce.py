"""Sum, mean, extremes and norms over any axes. Kernels: ``reduce.cl`` (plain), ``reduce_gpu.cl``, ``reduce_cpu.cl``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import InputError, ShapeError
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

FLOATS = ("float32", "float16")
SUMMED = ("int32", "int64")
EVERY = (*FLOATS, *SUMMED, "uint8", "int8")
SUM, MAX, MIN, PROD = 0, 1, 2, 3
# Rows of a segment of the cpu template's columns; unit: rows. Chains of additions stay short, and the results few.
SEGMENT_ROWS = 512
# The cpu template shares a row only when each share is at least this long; unit: elements.
MIN_SHARED_ROW = 16384
# What a work-item of the cpu template should at least chew on; unit: elements. Well above the 10 ns that a group costs.
ITEM_ELEMENTS = 16384
# A gpu template shares a row or a column only when each share is at least this long; unit: elements.
MIN_ROW_SEGMENT, MIN_COLUMN_SEGMENT, MAX_SEGMENTS = 4096, 128, 256


@dataclass(frozen=True)
class Function:
    """A reduction: what becomes of an element, how values join, what becomes of the whole (codes of reduction.h)."""

    combine: int
    mapped: int = 0
    finish: int = 0
    dtypes: tuple[str, ...] = FLOATS
    arg: bool = False


FUNCTIONS: Mapping[str, Function] = {
    "sum": Function(SUM, dtypes=(*FLOATS, *SUMMED)),
    "mean": Function(SUM, finish=1),
    "max": Function(MAX, dtypes=EVERY),
    "min": Function(MIN, dtypes=EVERY),
    "prod": Function(PROD, dtypes=(*FLOATS, *SUMMED)),
    "l1": Function(SUM, mapped=1, dtypes=(*FLOATS, *SUMMED)),
    "l2": Function(SUM, mapped=2, finish=2),
    "sum_square": Function(SUM, mapped=2, dtypes=(*FLOATS, *SUMMED)),
    "log_sum_exp": Function(SUM, mapped=3, finish=3),
    "argmax": Function(MAX, dtypes=EVERY, arg=True),
    "argmin": Function(MIN, dtypes=EVERY, arg=True),
}
_WHOLES: Mapping[str, tuple[str, str, str, str]] = {
    "int32": ("int", "uint", "INT_MIN", "INT_MAX"),
    "int64": ("long", "ulong", "LONG_MIN", "LONG_MAX"),
    "uint8": ("uchar", "uchar", "0", "UCHAR_MAX"),
    "int8": ("char", "uchar", "CHAR_MIN", "CHAR_MAX"),
}
# A block of neighbouring axes that are reduced, as (outer, reduced, inner) counts.
Block = tuple[int, int, int]


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
    made = _Passes(device, chosen, merged, known)
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


def _macros(combine: int, mapped: int, source: Array, target: Array) -> dict[str, int | str]:
    found: dict[str, int | str] = {"COMBINE": combine, "MAP": mapped}
    if str(source.dtype) in _WHOLES:
        value, unsigned, lowest, highest = _WHOLES[str(source.dtype)]
        return {**found, "WHOLE": 1, "VALUE": value, "UVALUE": unsigned, "LOWEST": lowest, "HIGHEST": highest}
    halves = [int(one.dtype == np.float16) for one in (source, target)]
    return {**found, "IN_HALF": halves[0], "OUT_HALF": halves[1]}


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
    built = {**_macros(known.combine, 0, x, x), **params}
    kernel = load_kernel(device, chosen.source, f"reduce_arg_{chosen.name}", built)
    length, switch = np.uint32(n), np.int32(last)
    if chosen.name == "gpu":
        return kernel.bind((params["WG_X"], outer), (params["WG_X"], 1), x, out, length, switch)
    if chosen.name == "cpu":
        per_item = _rows_per_item(device, outer, n)
        counts = np.uint32(outer), np.uint32(per_item)
        return kernel.bind((ceil_div(outer, per_item),), (1,), x, out, length, switch, *counts)
    sizes = plain_sizes(device, outer * inner)
    return kernel.bind(*sizes, x, out, np.uint32(outer * inner), length, np.uint32(inner), switch)


def _rows_per_item(device: Device, n_rows: int, width: int) -> int:
    return max(1, min(ceil_div(ITEM_ELEMENTS, width), ceil_div(n_rows, 4 * device.compute_units)))


class _Passes:
    """The launches of one reduction: one block of axes after the other, each in one or two steps."""

    def __init__(self, device: Device, chosen: Template, params: Params, function: Function) -> None:
        self.device, self.chosen, self.params, self.function = device, chosen, params, function
        self.launches: list[Launch] = []
        self.workspace: list[Array] = []

    def run(self, x: Array, out: Array, blocks: Sequence[Block]) -> None:
        """All blocks; between them lie fp32 values, or integers of x's type."""
        exponential = self.function.mapped == 3
        count = math.prod(block[1] for block in blocks)
        for place, block in enumerate(blocks):
            last = place == len(blocks) - 1
            target = out if last else self._between(x, block[0] * block[2])
            if exponential:  # the logarithm of a sum of sums of exponentials: each block by itself
                maxima = self._between(x, block[0] * block[2])
                self._block(x, maxima, block, MAX, 0, 0, maxima, 1)
                self._block(x, target, block, SUM, 3, 3, maxima, 1)
            else:
                mapped = self.function.mapped if place == 0 else 0
                finish = self.function.finish if last else 0
                self._block(x, target, block, self.function.combine, mapped, finish, x, count)
            x = target

    def _between(self, x: Array, n: int) -> Array:
        made = self.device.empty(n, np.float32 if str(x.dtype) in FLOATS else x.dtype)
        self.workspace.append(made)
        return made

    def _block(
        self, x: Array, out: Array, block: Block, combine: int, mapped: int, finish: int, maxima: Array, count: int
    ) -> None:
        outer, n, inner = block
        width = self._segment(block)
        segments = ceil_div(n, width) if n else 1
        if segments == 1:
            self._launch(x, out, block, width, combine, mapped, finish, maxima, count)
            return
        partial = self._between(x, outer * segments * inner)
        self._launch(x, partial, block, width, combine, mapped, 0, maxima, count)
        joint = (outer, segments, inner)
        self._launch(partial, out, joint, segments, combine, 0, finish, maxima, count)

    def _segment(self, block: Block) -> int:
        """How much of R one work-item or work-group takes."""
        outer, n, inner = block
        if self.chosen.name == "plain" or n == 0:
            return max(n, 1)
        if self.chosen.name == "cpu" and inner == 1:
            shared = 2 * outer <= self.device.compute_units and n >= 2 * MIN_SHARED_ROW
            return ceil_div(n, min(4 * self.device.compute_units, n // MIN_SHARED_ROW)) if shared else n
        if self.chosen.name == "cpu":
            return n if n <= SEGMENT_ROWS else ceil_div(n, ceil_div(n, SEGMENT_ROWS))
        items = outer * (WAVEFRONT if inner == 1 else inner)
        least = MIN_ROW_SEGMENT if inner == 1 else MIN_COLUMN_SEGMENT
        wanted = ceil_div(8 * WAVEFRONT * self.device.compute_units, items)
        return ceil_div(n, max(1, min(wanted, n // least, MAX_SEGMENTS)))

    def _launch(
        self,
        x: Array,
        out: Array,
        block: Block,
        width: int,
        combine: int,
        mapped: int,
        finish: int,
        maxima: Array,
        count: int,
    ) -> None:
        outer, n, inner = block
        name, params = self.chosen.name, self.params
        built = {**_macros(combine, mapped, x, out), **params}
        held = x if x.size else out  # a reduction of nothing reads nothing
        tail = (np.int32(finish), np.float32(count))
        axis = (np.uint32(n), np.uint32(inner))
        segments = ceil_div(n, width) if n else 1
        sizes: tuple[tuple[int, ...], tuple[int, ...]]
        arguments: tuple[Any, ...]
        if name == "plain":
            kind, sizes = "plain", plain_sizes(self.device, outer * inner)
            arguments = (np.uint32(outer * inner), *axis, *tail)
        elif name == "gpu" and inner == 1:
            group = params["WG_X"]
            kind, sizes = "gpu_rows", ((segments * group, outer), (group, 1))
            arguments = (np.uint32(n), np.uint32(width), *tail)
        elif name == "gpu":
            group = params["WG_X"]
            kind, sizes = "gpu_columns", ((ceil_div(inner, group) * group, segments, outer), (group, 1, 1))
            arguments = (*axis, np.uint32(width), *tail)
        elif inner == 1:
            per_item = _rows_per_item(self.device, outer, width)
            kind, sizes = "cpu_rows", ((segments, ceil_div(outer, per_item)), (1, 1))
            arguments = (np.uint32(n), np.uint32(width), *tail, np.uint32(outer), np.uint32(per_item))
        else:
            kind, sizes = "cpu_columns", ((ceil_div(inner, params["TILE"]), segments, outer), (1, 1, 1))
            arguments = (*axis, np.uint32(width), *tail)
        kernel = load_kernel(self.device, self.chosen.source, f"reduce_{kind}", built)
        self.launches.append(kernel.bind(*sizes, held, maxima if maxima.size else out, out, *arguments))


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
