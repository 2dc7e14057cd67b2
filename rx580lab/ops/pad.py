"""Margins along the axes. Kernels: ``kernels/pad.cl``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import InputError, ShapeError
from rx580lab.ops.plan import OpSpec, Params, Plan, Template, apart, choose, given_back, output
from rx580lab.ops.sizing import ceil_div, checked_count, plain_sizes
from rx580lab.ops.walk import (
    WIDEST_BYTES,
    axis_of,
    bits_of,
    int8,
    movable,
    moved_cost,
    row_major,
    rows_per_item,
    streams,
    uint8,
    walk_templates,
)

__all__ = ["SPEC", "pad", "plan"]

AnyArray = npt.NDArray[Any]
# Name -> MODE of pad.cl.
MODES = {"constant": 0, "edge": 1, "reflect": 2, "wrap": 3}


@dataclass(frozen=True)
class _Axis:
    """Lengths in out and in x, the margin in front (0 or more) and the stride in x, in elements."""

    n: int
    x_n: int
    before: int
    step: int

    @property
    def bare(self) -> bool:
        """Whether it has no margin."""
        return self.n == self.x_n


def pad(
    device: Device,
    x: Array | AnyArray,
    *,
    pads: Sequence[int],
    mode: str = "constant",
    constant_value: float | bool = 0,
    axes: Sequence[int] | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``x`` with margins, as ONNX Pad: ``pads`` holds those in front of each of ``axes`` (all by default), then behind.

    ``x``: up to 8 axes, bools, integers or floats of 1, 2, 4 or 8 bytes, moved bit for bit. ``mode``: ``constant``
    fills with ``constant_value``, converted to x's element type; ``edge`` with the nearest element; ``reflect`` mirrors
    x without repeating its edge, to and fro; ``wrap`` repeats x. Negative pads crop first, and the other margin is of
    what is left. numpy in gives numpy out; an Array in gives an Array out. ``out`` must be apart from ``x``. Raises
    DtypeError for other elements, ShapeError for too many axes or elements, when more is cropped than there is, when
    nothing is left to fill a margin from, or when ``out`` does not fit, InputError for other arguments.
    """
    planned = plan(
        device,
        x,
        pads=pads,
        mode=mode,
        constant_value=constant_value,
        axes=axes,
        out=out,
        template=template,
        params=params,
    )
    return given_back(planned, x)


def plan(
    device: Device,
    x: Array | AnyArray,
    *,
    pads: Sequence[int],
    mode: str = "constant",
    constant_value: float | bool = 0,
    axes: Sequence[int] | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launch that ``pad`` runs, bound once, for running many times."""
    start, sides = _margins(x, pads, mode, axes)
    source = movable(device, "pad", "x", x)
    target = output(device, "pad", out, tuple(axis.n for axis in sides), source.dtype)
    apart("pad", target, x=source)
    value = _repeated(constant_value, source.dtype)
    chosen, merged = choose(device, SPEC, _letters(sides, source.dtype.itemsize), template, params)
    if target.size == 0:
        return Plan("pad", chosen.name, merged, (), target)
    if source.size == 0 or any(axis.x_n == 0 for axis in sides):  # nothing but margins, of a buffer that must exist
        source, start = target, 0
    launch = _launch(device, chosen, source, target, _Layout(start, sides, source.dtype.itemsize, MODES[mode]), value)
    return Plan("pad", chosen.name, merged, (launch,), target)


@dataclass(frozen=True)
class _Layout:
    """Where x begins, its axes with their margins, and what fills these."""

    start: int
    axes: tuple[_Axis, ...]
    item_bytes: int
    mode: int


def _margins(
    x: Array | AnyArray, pads: Sequence[int], mode: str, axes: Sequence[int] | None
) -> tuple[int, tuple[_Axis, ...]]:
    """Where the cropped x begins, and its axes; everything checked."""
    bits_of("pad", "x", x)
    if mode not in MODES:
        raise InputError("pad", f"expected a mode among {', '.join(MODES)}, got {mode!r}")
    along = list(range(x.ndim)) if axes is None else [axis_of("pad", axis, x.ndim) for axis in axes]
    if len(pads) != 2 * len(along) or len(set(along)) != len(along):
        raise InputError(
            "pad", f"expected each axis once and two pads for each, got {len(along)} axes and {len(pads)} pads"
        )
    start, found = 0, [_Axis(n, n, 0, step) for n, step in zip(x.shape, row_major(x.shape), strict=True)]
    for axis, front, behind in zip(along, pads[: len(along)], pads[len(along) :], strict=True):
        kept = x.shape[axis] + min(front, 0) + min(behind, 0)
        if kept < 0:
            raise ShapeError(
                "pad", f"expected to crop at most {x.shape[axis]} of axis {axis}, got {front} and {behind}"
            )
        before, after = max(int(front), 0), max(int(behind), 0)
        if kept == 0 and before + after and mode != "constant":
            raise ShapeError("pad", f"expected elements along axis {axis} to fill a margin by {mode}, got none")
        start += max(-int(front), 0) * found[axis].step
        found[axis] = _Axis(before + kept + after, kept, before, found[axis].step)
    checked_count("pad", math.prod(axis.n for axis in found))
    return start, tuple(found)


def _repeated(value: float | bool, dtype: np.dtype[Any]) -> np.generic:
    """16 bytes of the constant as OpenCL's uint4."""
    with np.errstate(over="ignore"):
        try:
            one = np.array(value).astype(dtype) if dtype.kind == "f" else np.array(value, dtype)
        except (OverflowError, TypeError, ValueError) as error:
            raise InputError("pad", f"expected a constant_value that fits {dtype}, got {value!r}") from error
    filled = np.repeat(one.reshape(1), WIDEST_BYTES // dtype.itemsize)
    made: np.generic = filled.view([("lanes", np.uint32, (4,))])[0]
    return made


def _joined(layout: _Layout) -> _Layout:
    """Axes without margins joined to their neighbour, and axes of length 1 dropped; at least one is left."""
    axes: list[_Axis] = []
    for axis in layout.axes:
        outer = axes[-1] if axes else None
        if axis.n == axis.x_n == 1:
            continue
        joins = outer is not None and axis.bare and outer.step == axis.n * axis.step
        if outer is not None and joins and (outer.bare or layout.mode == MODES["constant"]):
            n = axis.n
            axes[-1] = _Axis(outer.n * n, outer.x_n * n, outer.before * n, axis.step)
        else:
            axes.append(axis)
    return replace(layout, axes=tuple(axes) or (_Axis(1, 1, 0, 1),))


def _widened(layout: _Layout) -> _Layout | None:
    """Two elements as one, or None where a start, a stride or a margin forbids it."""
    *outer, last = layout.axes
    whole = last.bare or layout.mode == MODES["constant"]
    odd = any(n % 2 for n in (last.n, last.x_n, last.before, layout.start, *(axis.step for axis in outer)))
    if layout.item_bytes >= WIDEST_BYTES or last.step != 1 or not whole or odd:
        return None
    halved = [replace(axis, step=axis.step // 2) for axis in outer]
    inner = _Axis(last.n // 2, last.x_n // 2, last.before // 2, 1)
    return _Layout(layout.start // 2, (*halved, inner), 2 * layout.item_bytes, layout.mode)


def _launch(device: Device, template: Template, x: Array, out: Array, layout: _Layout, value: np.generic) -> Launch:
    found = _joined(layout)
    while (wider := _widened(found)) is not None:
        found = _joined(wider)
    *outer, last = found.axes
    outer.reverse()  # the kernel's first is the innermost
    n_rows = math.prod(axis.n for axis in outer)
    macros = {"ITEM_BYTES": found.item_bytes, "MODE": found.mode}
    kernel = load_kernel(device, template.source, f"pad_{template.name}", macros)
    arguments = (
        np.uint32(n_rows),
        np.uint32(last.n),
        *map(np.int32, (last.x_n, last.before, found.start, last.step)),
        uint8([axis.n for axis in outer]),
        int8([axis.x_n for axis in outer], 1),
        int8([axis.before for axis in outer]),
        int8([axis.step for axis in outer]),
        value,
    )
    if template.name != "cpu":
        return kernel.bind(*plain_sizes(device, n_rows * last.n), x, out, *arguments)
    per_item, width = rows_per_item(device, last.n, found.item_bytes)
    sizes = (ceil_div(last.n, width), ceil_div(n_rows, per_item)), (1, 1)
    shares = (np.uint32(per_item), np.uint32(width), np.int32(streams(out)))
    return kernel.bind(*sizes, x, out, *arguments, *shares)


def _letters(sides: tuple[_Axis, ...], item_bytes: int) -> dict[str, int]:
    """N elements written, M of x read, of ITEM bytes."""
    kept = math.prod(min(axis.x_n, axis.n) for axis in sides)
    return {"N": math.prod(axis.n for axis in sides), "M": kept, "ITEM": item_bytes}


def _shape(
    x: Array | AnyArray,
    *,
    pads: Sequence[int],
    mode: str = "constant",
    constant_value: float | bool = 0,
    axes: Sequence[int] | None = None,
) -> dict[str, int]:
    _repeated(constant_value, x.dtype)
    _, sides = _margins(x, pads, mode, axes)
    return _letters(sides, x.dtype.itemsize)


SPEC = OpSpec(
    name="pad",
    summary="margins along the axes, bit for bit: 1 read of M + 1 write of N elements",
    templates=walk_templates("pad"),
    cost=moved_cost,
    plan=plan,
    shape=_shape,
)
