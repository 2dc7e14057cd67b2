"""Strided copies, planned: axes joined, elements widened, and the launches of ``include/walk.h`` and ``rows.h``.

``transpose``, ``slice``, ``concat``, ``expand`` and ``tile`` are walks: element i of the walk moves from one place
to another, and both places are sums of strides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.plan import Cost, OpSpec, Params, Plan, Shape, Template, choose
from rx580lab.ops.sizing import ceil_div, checked_count, plain_sizes, turn_limit

__all__ = [
    "ITEM_SHARE_BYTES",
    "MOST_AXES",
    "WIDEST_BYTES",
    "Walk",
    "axis_of",
    "bits_of",
    "canonical",
    "int2",
    "int8",
    "joined",
    "movable",
    "moved_cost",
    "row_major",
    "rows_per_item",
    "streams",
    "uint8",
    "walk_arguments",
    "walk_launch",
    "walk_plan",
    "walk_templates",
]

MOST_AXES = 8
WIDEST_BYTES = 16
# What a work-item of a cpu template should chew on; unit: bytes. Its launch costs nothing beside, and it fits into L2.
ITEM_SHARE_BYTES = 262144
# From this size on the target's stores bypass the caches; unit: bytes, as in copy.cl.
STREAM_FROM_BYTES = 33554432
ROW_TURNS = 32
MOVABLE_BYTES = (1, 2, 4, 8)


@dataclass(frozen=True)
class Walk:
    """``out[target_start + sum i_k target_k] = x[source_start + sum i_k source_k]`` for all i below ``lengths``.

    Axes lie outermost first; strides and starts count elements of ``item_bytes``.
    """

    lengths: tuple[int, ...]
    source: tuple[int, ...]
    target: tuple[int, ...]
    item_bytes: int
    source_start: int = 0
    target_start: int = 0

    @property
    def count(self) -> int:
        """How many elements move."""
        return math.prod(self.lengths)


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides in elements of a C-contiguous array."""
    return tuple(math.prod(shape[k + 1 :]) for k in range(len(shape)))


def canonical(walk: Walk) -> Walk:
    """The same bytes moved by fewer axes and wider elements; a walk of one element has one axis of length 1."""
    found = joined(walk)
    while (wider := _widened(found)) is not None:
        found = joined(wider)
    return found


def joined(walk: Walk) -> Walk:
    """The same elements moved by fewer axes: those of length 1 dropped, those that continue each other made one."""
    axes: list[tuple[int, int, int]] = []
    for n, source, target in zip(walk.lengths, walk.source, walk.target, strict=True):
        if n == 1:
            continue
        if axes and axes[-1][1] == n * source and axes[-1][2] == n * target:
            axes[-1] = (axes[-1][0] * n, source, target)
        else:
            axes.append((n, source, target))
    lengths, sources, targets = zip(*(axes or [(1, 1, 1)]), strict=True)
    return replace(walk, lengths=lengths, source=sources, target=targets)


def _widened(walk: Walk) -> Walk | None:
    """Two elements as one, or None where a start, a stride or a row's length forbids it."""
    if walk.item_bytes >= WIDEST_BYTES or walk.lengths[-1] % 2 or walk.source[-1] != 1 or walk.target[-1] != 1:
        return None
    outer = (*walk.source[:-1], *walk.target[:-1], walk.source_start, walk.target_start)
    if any(step % 2 for step in outer):
        return None
    return Walk(
        lengths=(*walk.lengths[:-1], walk.lengths[-1] // 2),
        source=(*(step // 2 for step in walk.source[:-1]), 1),
        target=(*(step // 2 for step in walk.target[:-1]), 1),
        item_bytes=2 * walk.item_bytes,
        source_start=walk.source_start // 2,
        target_start=walk.target_start // 2,
    )


def int2(first: int, second: int) -> np.generic:
    """OpenCL's int2 as a kernel's argument."""
    return _vector((first, second), np.int32, 2, 0)


def int8(values: Sequence[int], rest: int = 0) -> np.generic:
    """OpenCL's int8 as a kernel's argument; lanes without a value hold ``rest``."""
    return _vector(values, np.int32, 8, rest)


def uint8(values: Sequence[int], rest: int = 1) -> np.generic:
    """OpenCL's uint8, a vector of eight 32-bit numbers, as a kernel's argument."""
    return _vector(values, np.uint32, 8, rest)


def _vector(values: Sequence[int], kind: type[np.generic], lanes: int, rest: int) -> np.generic:
    filled = (*values, *[rest] * (lanes - len(values)))
    made: np.generic = np.array(filled, kind).view([("lanes", kind, (lanes,))])[0]
    return made


def walk_launch(device: Device, op: str, template: Template, walk: Walk, x: Array, out: Array) -> Launch:
    """The launch of a canonical walk by ``<op>_<template>``, a kernel of ``walk_element`` or ``walk_rows``."""
    kernel = load_kernel(device, template.source, f"{op}_{template.name}", {"ITEM_BYTES": walk.item_bytes})
    n_columns, n_rows = walk.lengths[-1], math.prod(walk.lengths[:-1])
    arguments = walk_arguments(walk)
    if template.name != "cpu":
        return kernel.bind(*plain_sizes(device, walk.count), x, out, *arguments)
    per_item, width = rows_per_item(device, n_columns, walk.item_bytes)
    sizes = (ceil_div(n_columns, width), ceil_div(n_rows, per_item)), (1, 1)
    stream = np.int32(streams(out))
    return kernel.bind(*sizes, x, out, *arguments, np.uint32(per_item), np.uint32(width), stream)


def walk_arguments(walk: Walk) -> tuple[np.generic, ...]:
    """WALK_ARGUMENTS of walk.h."""
    return (
        np.uint32(math.prod(walk.lengths[:-1])),
        np.uint32(walk.lengths[-1]),
        int2(walk.source_start, walk.target_start),
        int2(walk.source[-1], walk.target[-1]),
        uint8(walk.lengths[-2::-1]),
        int8(walk.source[-2::-1]),
        int8(walk.target[-2::-1]),
    )


def walk_plan(
    device: Device,
    spec: OpSpec,
    walks: Sequence[tuple[Walk, Array]],
    out: Array,
    asked: str | None,
    params: Params | None,
) -> Plan:
    """The plan of an op that is nothing but walks, each from an array of its own into ``out``."""
    item_bytes = out.dtype.itemsize
    chosen, merged = choose(device, spec, {"N": out.size, "ITEM": item_bytes}, asked, params)
    parts = [(part, x) for walk, x in walks if walk.count for part in _in_reach(canonical(walk))]
    launches = tuple(walk_launch(device, spec.name, chosen, part, x, out) for part, x in parts)
    return Plan(spec.name, chosen.name, merged, launches, out)


def _in_reach(walk: Walk) -> list[Walk]:
    """The walk in parts of at most eight axes of rows each, its shortest ones taken apart."""
    if len(walk.lengths) - 1 <= MOST_AXES:
        return [walk]
    k = min(range(len(walk.lengths) - 1), key=walk.lengths.__getitem__)

    def without(values: tuple[int, ...]) -> tuple[int, ...]:
        return values[:k] + values[k + 1 :]

    parts = [
        replace(
            walk,
            lengths=without(walk.lengths),
            source=without(walk.source),
            target=without(walk.target),
            source_start=walk.source_start + i * walk.source[k],
            target_start=walk.target_start + i * walk.target[k],
        )
        for i in range(walk.lengths[k])
    ]
    return [each for part in parts for each in _in_reach(part)]


def moved_cost(shape: Shape) -> Cost:
    """Of an op that writes N elements of ITEM bytes and reads M of them."""
    return Cost(bytes=(shape["N"] + shape["M"]) * shape["ITEM"], flop=0)


def rows_per_item(device: Device, n_columns: int, item_bytes: int) -> tuple[int, int]:
    """How many rows a work-item of a cpu template takes, and how many columns of each.

    Where a device limits loop turns, few enough for one per element and ``ROW_TURNS`` more per row: llvmpipe goes
    through the loops of all branches, and those it masks out count too.
    """
    share, more = max(1, ITEM_SHARE_BYTES // item_bytes), 0
    if turn_limit(device) < math.inf:
        share, more = min(share, int(turn_limit(device)) // 2), ROW_TURNS
    width = max(1, min(n_columns, share))
    return max(1, share // (width + more)), width


def streams(out: Array) -> bool:
    """Whether the output is so large that its stores should bypass the caches."""
    return out.nbytes >= STREAM_FROM_BYTES


def walk_templates(op: str) -> tuple[Template, ...]:
    """The two templates of an op that is a walk, whose kernels lie in ``kernels/<op>.cl``."""
    return (
        Template(
            name="plain",
            source=op,
            space={},
            default={},
            precondition="always; one work-item per element of up to 16 bytes",
        ),
        Template(
            name="cpu",
            source=op,
            space={},
            default={},
            precondition="always; work-groups of one that walk rows, 32 bytes at a time where they are contiguous",
            preferred_class="cpu",
        ),
    )


def movable(device: Device, where: str, name: str, value: Array | npt.ArrayLike) -> Array:
    """``value`` on ``device``: bool, integer or float elements of 1, 2, 4 or 8 bytes, at most eight axes."""
    found = value if isinstance(value, Array) else np.asarray(value)
    bits_of(where, name, found)
    if isinstance(found, Array):
        if found.device is not device:
            raise InputError(where, f"expected {name} on {device.selector}, got one on {found.device.selector}")
        return found
    return device.upload(found)


def bits_of(where: str, name: str, value: Array | npt.NDArray[Any]) -> int:
    """Bytes of its elements. DtypeError for other kinds, ShapeError for too many axes or elements."""
    if value.dtype.kind not in "biuf" or value.dtype.itemsize not in MOVABLE_BYTES:
        raise DtypeError(where, f"expected {name} of bools, integers or floats of 1 to 8 bytes, got {value.dtype}")
    if value.ndim > MOST_AXES:
        raise ShapeError(where, f"expected {name} of at most {MOST_AXES} axes, got {value.ndim}")
    checked_count(where, value.size)
    return value.dtype.itemsize


def axis_of(where: str, axis: Any, rank: int) -> int:
    """``axis`` counted from the front. InputError beyond the rank."""
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)) or not -rank <= axis < rank:
        raise InputError(where, f"expected an axis from {-rank} to {rank - 1}, got {axis!r}")
    return int(axis) % rank
