"""What ``reduce`` launches: its functions by their codes, and one reduction after the other of neighbouring axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.ops.plan import Params, Template
from rx580lab.ops.sizing import WAVEFRONT, ceil_div, plain_sizes

__all__ = ["FUNCTIONS", "ITEM_ELEMENTS", "Block", "Function", "Passes", "macros", "rows_per_item"]

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


def macros(combine: int, mapped: int, source: Array, target: Array) -> dict[str, int | str]:
    """What the kernels are built with that go from ``source`` to ``target``."""
    found: dict[str, int | str] = {"COMBINE": combine, "MAP": mapped}
    if str(source.dtype) in _WHOLES:
        value, unsigned, lowest, highest = _WHOLES[str(source.dtype)]
        return {**found, "WHOLE": 1, "VALUE": value, "UVALUE": unsigned, "LOWEST": lowest, "HIGHEST": highest}
    halves = [int(one.dtype == np.float16) for one in (source, target)]
    return {**found, "IN_HALF": halves[0], "OUT_HALF": halves[1]}


def rows_per_item(device: Device, n_rows: int, width: int) -> int:
    """How many rows of ``width`` a work-item takes: enough work, but for each compute unit some."""
    return max(1, min(ceil_div(ITEM_ELEMENTS, width), ceil_div(n_rows, 4 * device.compute_units)))


class Passes:
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
        made = self.device.scratch(n, np.float32 if str(x.dtype) in FLOATS else x.dtype)
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
        built = {**macros(combine, mapped, x, out), **params}
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
            per_item = rows_per_item(self.device, outer, width)
            kind, sizes = "cpu_rows", ((segments, ceil_div(outer, per_item)), (1, 1))
            arguments = (np.uint32(n), np.uint32(width), *tail, np.uint32(outer), np.uint32(per_item))
        else:
            kind, sizes = "cpu_columns", ((ceil_div(inner, params["TILE"]), segments, outer), (1, 1, 1))
            arguments = (*axis, np.uint32(width), *tail)
        kernel = load_kernel(self.device, self.chosen.source, f"reduce_{kind}", built)
        self.launches.append(kernel.bind(*sizes, held, maxima if maxima.size else out, out, *arguments))
