"""Resampling along any axes, as ONNX's Resize. Kernels: ``resize.cl`` (plain) and ``resize_cpu.cl``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError
from rx580lab.ops._resize_taps import Axis, Method, Taps, axes_of
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

__all__ = ["SPEC", "plan", "resize", "resized_shape"]

FLOATS = (np.dtype(np.float32), np.dtype(np.float16))
ANY: tuple[np.dtype[Any], ...] = (*FLOATS, *map(np.dtype, ("bool", "int8", "uint8", "int32", "int64")))
# Axes that one launch resamples; fixed in resize.cl.
AXES = 3
# What a work-item of the cpu template should at least write; unit: elements. Well above the 10 ns that a group costs.
ITEM_ELEMENTS = 16384


@dataclass(frozen=True)
class _Pass:
    """One launch: planes of up to three axes, ``inside`` before and ``outside`` after, with the taps of each."""

    n_planes: int
    inside: tuple[int, int, int]
    outside: tuple[int, int, int]
    taps: tuple[Taps, Taps, Taps]
    keeps_x: bool

    @property
    def n_taps(self) -> int:
        """Taps of an element."""
        return math.prod(one.index.shape[1] for one in self.taps)

    @property
    def size(self) -> int:
        """Elements of the result."""
        return self.n_planes * math.prod(self.outside)

    @property
    def read(self) -> int:
        """Elements of the source that some tap reads."""
        return self.n_planes * math.prod(np.unique(one.index).size for one in self.taps)


def resize(
    device: Device,
    x: Array | npt.NDArray[Any],
    *,
    scales: Sequence[float] | None = None,
    sizes: Sequence[int] | None = None,
    roi: Sequence[float] | None = None,
    axes: Sequence[int] | None = None,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: bool = False,
    extrapolation_value: float = 0.0,
    antialias: bool = False,
    keep_aspect_ratio_policy: str = "stretch",
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``x`` of any rank resampled to ``scales`` or ``sizes`` along ``axes`` (all by default), as ONNX's Resize-19.

    ``mode`` nearest moves elements of any type; linear and cubic take fp32 or fp16 and compute in fp32. ``roi`` (all
    starts, then all ends, normalized) is for ``tf_crop_and_resize`` only; what lies outside of ``x`` then becomes
    ``extrapolation_value``. Coordinates are computed in float64. A NaN or infinity spoils every element with a tap on
    it, also one of weight 0. numpy in gives numpy out; an Array in gives an Array out. ``out`` must not be ``x``.
    Raises DtypeError for other element types, ShapeError for an empty axis that should grow or too many elements,
    InputError for attributes that ONNX does not allow.
    """
    planned = plan(
        device,
        x,
        scales=scales,
        sizes=sizes,
        roi=roi,
        axes=axes,
        mode=mode,
        coordinate_transformation_mode=coordinate_transformation_mode,
        nearest_mode=nearest_mode,
        cubic_coeff_a=cubic_coeff_a,
        exclude_outside=exclude_outside,
        extrapolation_value=extrapolation_value,
        antialias=antialias,
        keep_aspect_ratio_policy=keep_aspect_ratio_policy,
        out=out,
        template=template,
        params=params,
    )
    return given_back(planned, x)


def plan(
    device: Device,
    x: Array | npt.NDArray[Any],
    *,
    extrapolation_value: float = 0.0,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
    **keywords: Any,
) -> Plan:
    """The launches that ``resize`` runs, bound once, for running many times; it takes the same keywords.

    The tables of taps are made and uploaded here.
    """
    source = as_array(device, "resize", "x", x, *ANY)
    axes, method = _asked(source, **keywords)
    if method.mode != "nearest" and source.dtype not in FLOATS:
        raise DtypeError("resize", f"expected x of float32 or float16 for mode {method.mode}, got {source.dtype}")
    passes = _passes(axes, method)
    shape = _letters(source, passes, method)
    target = output(device, "resize", out, tuple(axis.n_out for axis in axes), source.dtype)
    apart("resize", target, x=source)
    chosen, merged = choose(device, SPEC, shape, template, params)
    if target.size == 0:
        return Plan("resize", chosen.name, merged, (), target)
    arrays = [source, *(device.scratch(one.size, source.dtype) for one in passes[:-1]), target]
    tables = [_tables(device, one) for one in passes]
    launches = tuple(
        _launch(device, chosen.name, merged, arrays[place : place + 2], tables[place], one, method, extrapolation_value)
        for place, one in enumerate(passes)
    )
    workspace = (*arrays[1:-1], *(table for pair in tables for table in pair))
    return Plan("resize", chosen.name, merged, launches, target, workspace)


def resized_shape(x: Any, **keywords: Any) -> tuple[int, ...]:
    """The result's shape, for anything with a shape and ``resize``'s keywords but ``extrapolation_value``."""
    return tuple(axis.n_out for axis in _asked(x, **keywords)[0])


def _asked(
    x: Array | npt.NDArray[Any],
    *,
    scales: Sequence[float] | None = None,
    sizes: Sequence[int] | None = None,
    roi: Sequence[float] | None = None,
    axes: Sequence[int] | None = None,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: bool = False,
    antialias: bool = False,
    keep_aspect_ratio_policy: str = "stretch",
) -> tuple[tuple[Axis, ...], Method]:
    method = Method(mode, coordinate_transformation_mode, nearest_mode, cubic_coeff_a, exclude_outside, antialias)
    cropping = coordinate_transformation_mode == "tf_crop_and_resize"
    found = axes_of(x.shape, scales, sizes, roi, axes, keep_aspect_ratio_policy, cropping)
    checked_count("resize", x.size)
    checked_count("resize", math.prod(axis.n_out for axis in found))
    return found, method


def _passes(axes: tuple[Axis, ...], method: Method) -> tuple[_Pass, ...]:
    """Groups of up to three neighbouring axes from the first that changes on; the axes after a group join its last."""
    lengths = [axis.n for axis in axes]
    found: list[_Pass] = []
    changing = [place for place, axis in enumerate(axes) if not axis.stays]
    while changing or not found:
        first = changing[0] if changing else 0
        rest = math.prod(lengths[first + AXES :])
        # What stays behind the group is its last axis, so that a row is always contiguous.
        width = AXES if rest == 1 and first + AXES <= len(axes) else AXES - 1
        group = list(axes[first : first + width])
        inner = math.prod(lengths[first + width :])
        if inner != 1 or not group:
            group.append(Axis(inner, inner, 1.0, (0.0, 1.0)))
        group = [Axis(1, 1, 1.0, (0.0, 1.0))] * (AXES - len(group)) + group
        z, y, x = group
        found.append(
            _Pass(
                math.prod(lengths[:first]),
                (z.n, y.n, x.n),
                (z.n_out, y.n_out, x.n_out),
                (z.taps(method), y.taps(method), x.taps(method)),
                x.stays,
            )
        )
        for place in range(first, min(first + width, len(axes))):
            lengths[place] = axes[place].n_out
        changing = [place for place in changing if place >= first + width]
    return tuple(found)


def _shape(x: Array | npt.NDArray[Any], *, extrapolation_value: float = 0.0, **keywords: Any) -> dict[str, int]:
    del extrapolation_value
    axes, method = _asked(x, **keywords)
    return _letters(x, _passes(axes, method), method)


def _letters(x: Array | npt.NDArray[Any], passes: tuple[_Pass, ...], method: Method) -> dict[str, int]:
    """S elements read and Y written, T multiply-adds in all; ``taps`` and ``width`` are the most of any launch."""
    return {
        "S": sum(one.read for one in passes),
        "Y": sum(one.size for one in passes),
        "T": sum(one.size * one.n_taps for one in passes) if method.mode != "nearest" else 0,
        "taps": max(one.n_taps for one in passes),
        "width": max(one.outside[-1] for one in passes),
        "itemsize": x.dtype.itemsize,
    }


def _tables(device: Device, one: _Pass) -> tuple[Array, Array]:
    """The tables ``index`` and ``weight`` of resize.cl."""
    steps = (one.inside[1] * one.inside[2], one.inside[2], 1)
    index = [(taps.index * step).reshape(-1) for taps, step in zip(one.taps, steps, strict=True)]
    inside = [taps.inside for taps in one.taps]
    weight = [taps.weight.reshape(-1) for taps in one.taps]
    return (
        device.constant(np.concatenate([*index, *inside]).astype(np.int32)),
        device.constant(np.concatenate(weight).astype(np.float32)),
    )


def _four(values: Sequence[int]) -> np.void:
    """One value per axis as a kernel's int4: .x for the last axis."""
    packed: np.void = np.array([*reversed(values), 0], np.int32).view("V16")[0]
    return packed


def _launch(
    device: Device,
    template: str,
    params: Mapping[str, int],
    arrays: Sequence[Array],
    tables: tuple[Array, Array],
    one: _Pass,
    method: Method,
    extrapolation_value: float,
) -> Launch:
    x, out = arrays
    nearest = method.mode == "nearest"
    macros = {**params, "HALF": int(not nearest and x.dtype == np.float16)}
    macros["ITEM_BYTES"] = x.dtype.itemsize if nearest else 4
    source = "resize" if template == "plain" else "resize_cpu"
    kernel = load_kernel(device, source, f"resize_{template}" + "_nearest" * nearest, macros)
    cropped = np.int32(not all(taps.inside.all() for taps in one.taps))
    lengths = (one.inside, one.outside, [taps.index.shape[1] for taps in one.taps])
    outside = np.array(extrapolation_value).astype(x.dtype).reshape(1).view(f"u{x.dtype.itemsize}")[0]
    arguments = (*(tables[:1] if nearest else tables), *map(_four, lengths), cropped)
    value = outside if nearest else np.float32(extrapolation_value)
    if template == "plain":
        return kernel.bind(*plain_sizes(device, out.size), x, out, *arguments, value, np.uint32(out.size))
    width = one.outside[-1]
    n_rows = out.size // width
    per_item = max(1, min(ITEM_ELEMENTS // width, ceil_div(n_rows, 4 * device.compute_units)))
    if turn_limit(device) < math.inf:
        per_item = max(1, min(per_item, int(turn_limit(device)) // _turns(width, one.n_taps)))
    rows = np.int32(one.keeps_x), np.uint32(n_rows), np.uint32(per_item)
    return kernel.bind((ceil_div(n_rows, per_item),), (1,), x, out, *arguments, value, *rows)


def _turns(width: int, taps: int) -> int:
    """No fewer loop turns than a work-item of the cpu template makes for a row."""
    return (width + 64) * (2 * taps + 2)


def _plain_applies(device: Device, shape: Shape) -> str | None:
    return too_many_turns(device, 3 * shape["taps"])


def _cpu_applies(device: Device, shape: Shape) -> str | None:
    return too_many_turns(device, _turns(shape["width"], shape["taps"]))


def _cost(shape: Shape) -> Cost:
    return Cost(bytes=shape["itemsize"] * (shape["S"] + shape["Y"]), flop=2 * shape["T"])


SPEC = OpSpec(
    name="resize",
    summary="resampling along any axes: at least 1 read of what taps touch + 1 write of the result",
    templates=(
        Template(
            name="plain",
            source="resize",
            space={},
            default={},
            precondition="within the device's limit on loop turns, if it has one; one work-item per element",
            applies=_plain_applies,
        ),
        Template(
            name="cpu",
            source="resize_cpu",
            space={"COLUMNS": (128, 256, 512)},
            default={"COLUMNS": 256},
            precondition="within the device's limit on loop turns, if it has one; a work-item takes rows",
            applies=_cpu_applies,
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
