"""Axes in another order. Kernels: ``transpose.cl`` (plain) and, by template, ``transpose_{gpu,cpu}.cl``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import InputError
from rx580lab.ops.plan import Constraint, Cost, OpSpec, Params, Plan, Shape, Template, apart, choose, given_back, output
from rx580lab.ops.sizing import WAVEFRONT, ceil_div, turn_limit, wants_wavefronts
from rx580lab.ops.walk import (
    ITEM_SHARE_BYTES,
    WIDEST_BYTES,
    Walk,
    axis_of,
    bits_of,
    canonical,
    int8,
    movable,
    row_major,
    streams,
    uint8,
    walk_launch,
)

__all__ = ["SPEC", "plan", "transpose"]

AnyArray = npt.NDArray[Any]
# Below so many elements on a side, the plain template leaves fewer work-items idle than tiles do.
THINNEST_PLANE = 8
# Side of the cpu template's tiles; unit: elements, a multiple of 64. Their rows' pages fit into the first two levels of
# translation buffers, and a work-item has some work.
CPU_TILE = 256


@dataclass(frozen=True)
class _Plane:
    """Of a walk: its last axis (P, neighbours in out), the axis of neighbours in x (Q), and the axes beside them."""

    n_p: int
    n_q: int
    p_step: int
    q_step: int
    beside: Walk


def transpose(
    device: Device,
    x: Array | AnyArray,
    *,
    perm: Sequence[int] | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``out.shape[k] = x.shape[perm[k]]``, as ONNX Transpose; without ``perm`` the axes are reversed.

    ``x``: up to 8 axes, bools, integers or floats of 1, 2, 4 or 8 bytes, moved bit for bit. numpy in gives numpy out;
    an Array in gives an Array out. ``out`` must be apart from ``x``. Raises DtypeError for other elements, ShapeError
    for too many axes or elements or when ``out`` does not fit, InputError when ``perm`` is no permutation.
    """
    return given_back(plan(device, x, perm=perm, out=out, template=template, params=params), x)


def plan(
    device: Device,
    x: Array | AnyArray,
    *,
    perm: Sequence[int] | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launch that ``transpose`` runs, bound once, for running many times."""
    walk = canonical(_walk(x, perm))
    order = _order(x, perm)
    source = movable(device, "transpose", "x", x)
    target = output(device, "transpose", out, tuple(source.shape[k] for k in order), source.dtype)
    apart("transpose", target, x=source)
    chosen, merged = choose(device, SPEC, _letters(walk), template, params)
    if source.size == 0:
        return Plan("transpose", chosen.name, merged, (), target)
    if chosen.name == "gpu":
        merged = _fitted_tile(merged, params, walk.item_bytes)
    plane = _plane(walk)
    if plane is None or chosen.name == "plain":
        launch = walk_launch(device, "transpose", chosen, walk, source, target)
    else:
        launch = _plane_launch(device, chosen, merged, plane, source, target)
    return Plan("transpose", chosen.name, merged, (launch,), target)


def _order(x: Array | AnyArray, perm: Sequence[int] | None) -> tuple[int, ...]:
    if perm is None:
        return tuple(reversed(range(x.ndim)))
    if len(perm) != x.ndim:
        raise InputError("transpose", f"expected perm of {x.ndim} axes, got {list(perm)}")
    order = tuple(axis_of("transpose", axis, x.ndim) for axis in perm)
    if len(set(order)) != x.ndim:
        raise InputError("transpose", f"expected each axis once in perm, got {list(perm)}")
    return order


def _walk(x: Array | AnyArray, perm: Sequence[int] | None) -> Walk:
    item_bytes = bits_of("transpose", "x", x)
    order, steps = _order(x, perm), row_major(x.shape)
    lengths = tuple(x.shape[k] for k in order)
    return Walk(lengths, tuple(steps[k] for k in order), row_major(lengths), item_bytes)


def _plane(walk: Walk) -> _Plane | None:
    """None where the innermost axis stays innermost."""
    if walk.source[-1] == 1:
        return None
    inner = walk.source.index(1)
    kept = [k for k in range(len(walk.lengths) - 1) if k != inner]
    beside = replace(
        walk,
        lengths=tuple(walk.lengths[k] for k in kept),
        source=tuple(walk.source[k] for k in kept),
        target=tuple(walk.target[k] for k in kept),
    )
    return _Plane(walk.lengths[-1], walk.lengths[inner], walk.source[-1], walk.target[inner], beside)


def _plane_launch(device: Device, chosen: Template, params: Params, plane: _Plane, x: Array, out: Array) -> Launch:
    beside = plane.beside
    n_planes = beside.count
    sides = tuple(map(np.uint32, (plane.n_p, plane.n_q, plane.p_step, plane.q_step)))
    axes = (uint8(beside.lengths[::-1]), int8(beside.source[::-1]), int8(beside.target[::-1]))
    macros = {**params, "ITEM_BYTES": beside.item_bytes}
    if chosen.name == "gpu":
        kernel = load_kernel(device, chosen.source, "transpose_gpu", macros)
        tile, rows = params["TILE"], params["WG_Y"]
        sizes = (ceil_div(plane.n_q, tile) * tile, ceil_div(plane.n_p, tile) * rows, n_planes), (tile, rows, 1)
        return kernel.bind(*sizes, x, out, *sides, *axes)
    kernel = load_kernel(device, chosen.source, "transpose_cpu_planes", macros)
    area = CPU_TILE * CPU_TILE if turn_limit(device) == math.inf else WAVEFRONT * WAVEFRONT
    side = math.isqrt(area)
    tile_p = min(plane.n_p, max(side, area // plane.n_q // side * side))
    tile_q = min(plane.n_q, max(side, area // plane.n_p))
    shared = max(1, ITEM_SHARE_BYTES // 16 // (tile_p * tile_q * beside.item_bytes))
    if turn_limit(device) < math.inf:
        shared = max(1, min(shared, int(turn_limit(device)) // 2 // (tile_p * tile_q + 64)))
    n_tiles = (ceil_div(plane.n_q, tile_q), ceil_div(plane.n_p, tile_p), ceil_div(n_planes, shared))
    # A streamed vector of up to 32 bytes must begin at a multiple of that in every out row.
    whole = all(step * beside.item_bytes % 32 == 0 for step in (plane.q_step, plane.n_p, tile_p, *beside.target))
    stream = np.int32(streams(out) and whole)
    own = (np.uint32(shared), np.uint32(tile_p), np.uint32(tile_q), stream)
    return kernel.bind(n_tiles, (1, 1, 1), x, out, np.uint32(n_planes), *sides, *axes, *own)


def _fitted_tile(params: dict[str, int], asked: Params | None, item_bytes: int) -> dict[str, int]:
    """Tiles of 16 for elements of 16 bytes, unless others were asked for: as many bytes a row as of floats, and more
    than one group's tile within 32 KiB.
    """
    if item_bytes < WIDEST_BYTES or set(asked or {}) & {"TILE", "WG_Y"}:
        return params
    return {**params, "TILE": 16, "WG_Y": 16}


def _letters(walk: Walk) -> dict[str, int]:
    """N elements of ITEM bytes, in planes of P x Q that are turned; Q is 1 where rows stay whole."""
    plane = _plane(walk)
    sides = (walk.lengths[-1], 1) if plane is None else (plane.n_p, plane.n_q)
    return {"N": walk.count, "P": sides[0], "Q": sides[1], "ITEM": walk.item_bytes}


def _shape(x: Array | AnyArray, *, perm: Sequence[int] | None = None) -> dict[str, int]:
    return _letters(canonical(_walk(x, perm)))


def _gpu_applies(device: Device, shape: Shape) -> str | None:
    if min(shape["P"], shape["Q"]) < THINNEST_PLANE:
        return f"turns planes of at least {THINNEST_PLANE} x {THINNEST_PLANE}, got {shape['P']} x {shape['Q']}"
    return wants_wavefronts(device, shape)


def _cost(shape: Shape) -> Cost:
    return Cost(bytes=2 * shape["N"] * shape["ITEM"], flop=0)


SPEC = OpSpec(
    name="transpose",
    summary="axes in another order, bit for bit: 1 read + 1 write of N elements",
    templates=(
        Template(
            name="plain",
            source="transpose",
            space={},
            default={},
            precondition="always; one work-item per element",
        ),
        Template(
            name="gpu",
            source="transpose_gpu",
            space={"TILE": (16, 32, 64), "WG_Y": (2, 4, 8, 16)},
            default={"TILE": 32, "WG_Y": 8},
            constraints=(
                Constraint("TILE to be 16, 32 or 64", lambda p: p["TILE"] in (16, 32, 64)),
                Constraint("WG_Y to divide TILE", lambda p: p["WG_Y"] > 0 and p["TILE"] % p["WG_Y"] == 0),
                Constraint(
                    f"TILE * WG_Y to be a multiple of {WAVEFRONT} up to 256",
                    lambda p: p["TILE"] * p["WG_Y"] % WAVEFRONT == 0 and p["TILE"] * p["WG_Y"] <= 256,
                ),
            ),
            precondition=f"the innermost axis moves, both sides at least {THINNEST_PLANE}; tiles in local memory",
            applies=_gpu_applies,
            preferred_class="gpu",
        ),
        Template(
            name="cpu",
            source="transpose_cpu",
            space={},
            default={},
            precondition="always; blocks turned in registers where the innermost axis moves, whole rows where it stays",
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
