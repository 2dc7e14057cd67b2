"""What ``quantize`` and ``dequantize`` have in common: which element has which scale, and the launch by that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import InputError, ShapeError
from rx580lab.ops.plan import Params, Shape, Template
from rx580lab.ops.sizing import ceil_div, checked_count, plain_sizes, turn_limit

__all__ = ["Layout", "bound", "layout", "per_run", "templates"]

# Shorter runs leave the cpu template nothing but scalars.
SHORT_RUN = 16
# What a work-item of the cpu template should at least chew on; unit: elements. Well above the 10 ns that a group costs.
ITEM_ELEMENTS = 16384


@dataclass(frozen=True)
class Layout:
    """Elements as (outer, length, inner); each parameter serves ``block`` neighbours of ``length``.

    ``steps``: between parameters along the three; all 0 where one serves everything.
    """

    outer: int
    length: int
    inner: int
    block: int
    steps: tuple[int, int, int]

    @property
    def n_values(self) -> int:
        """Number of elements."""
        return self.outer * self.length * self.inner

    @property
    def letters(self) -> dict[str, int]:
        """O x C x I values; P parameters, each for runs of RUN."""
        blocked = self.steps[0] > 0
        run = self.n_values if not self.steps[1] else 0 if blocked else self.inner
        n_params = self.length if self.steps[1] else 1
        if blocked:
            n_params = self.outer * ceil_div(self.length, self.block) * self.inner
        return {"O": self.outer, "C": self.length, "I": self.inner, "P": n_params, "RUN": run}


def layout(
    where: str,
    shape: tuple[int, ...],
    scale: tuple[int, ...],
    zero_point: tuple[int, ...] | None,
    axis: int,
    block: int,
) -> Layout:
    """How parameters of those shapes serve an array of ``shape``. ShapeError or InputError where they do not."""
    checked_count(where, math.prod(shape))
    if zero_point is not None and math.prod(zero_point) != math.prod(scale):
        raise ShapeError(where, f"expected a zero_point for each scale {scale}, got {zero_point}")
    if block < 0:
        raise InputError(where, f"expected a block of at least 0, got {block}")
    if math.prod(scale) == 1 and len(scale) <= 1:
        return Layout(1, 1, math.prod(shape), 1, (0, 0, 0))
    if not -len(shape) <= axis < len(shape):
        raise InputError(where, f"expected an axis of {shape}, got {axis}")
    place = axis % len(shape)
    outer, length, inner = math.prod(shape[:place]), shape[place], math.prod(shape[place + 1 :])
    if not block:
        if scale != (length,):
            raise ShapeError(where, f"expected one scale, or ({length},) for axis {axis} of {shape}, got {scale}")
        return Layout(outer, length, inner, 1, (0, 1, 0))
    wanted = (*shape[:place], ceil_div(length, block), *shape[place + 1 :])
    if scale != wanted:
        raise ShapeError(where, f"expected scales {wanted} for blocks of {block} along axis {axis}, got {scale}")
    return Layout(outer, length, inner, block, (wanted[place] * inner, inner, 1))


def per_run(device: Device, shape: Shape) -> str | None:
    """None, or why the cpu template cannot run."""
    if not shape["RUN"] and shape["P"] > 1:
        return "scales change within each run of elements"
    if turn_limit(device) < math.inf:
        return "llvmpipe bounds the turns of its loops; one work-item per element has none"
    return None


def bound(
    device: Device,
    stem: str,
    chosen: Template,
    params: Params,
    found: Layout,
    arrays: Sequence[Array],
    tail: tuple[Any, ...],
) -> Launch:
    """The launch of ``<stem>_<template>``; ``arrays``: x, scale, zero points, out; ``tail``: has_zero, flip."""
    kernel = load_kernel(device, chosen.source, f"{stem}_{chosen.name}", params)
    if chosen.name == "plain":
        lengths = (found.n_values, found.inner, found.length, found.block, *found.steps)
        return kernel.bind(*plain_sizes(device, found.n_values), *arrays, *map(np.uint32, lengths), *tail)
    n_params = found.length if found.steps[1] else 1
    width = found.inner
    n_rows, tile = found.n_values // width, params["TILE"]
    chewed = max(1, min(ceil_div(ITEM_ELEMENTS, width), ceil_div(n_rows, 4 * device.compute_units)))
    sizes = (ceil_div(width, tile), ceil_div(n_rows, chewed)), (1, 1)
    counts = map(np.uint32, (n_rows, width, n_params))
    return kernel.bind(*sizes, *arrays, *counts, *tail, np.uint32(chewed))


def templates(stem: str) -> tuple[Template, ...]:
    """The two templates of both ops."""
    return (
        Template(
            name="plain",
            source=stem,
            space={},
            default={},
            precondition=f"always; one work-item per element; chosen for runs of one scale shorter than {SHORT_RUN}",
        ),
        Template(
            name="cpu",
            source=f"{stem}_cpu",
            space={"TILE": (4096, 16384, 65536)},
            default={"TILE": 16384},
            precondition="scales that stay along the last axis, no limit on loop turns; work-groups of one",
            applies=per_run,
            preferred_class="cpu",
        ),
    )
