"""The templates of ``attention``: when each may run, and the local memory that it takes."""

from __future__ import annotations

import math
from collections.abc import Callable

from rx580lab.device import Device
from rx580lab.errors import LimitExceeded, ShapeError
from rx580lab.ops._attention_unfused import refusal
from rx580lab.ops.plan import Constraint, Params, Shape, Template
from rx580lab.ops.sizing import ceil_div, too_many_turns, turn_limit, wants_wavefronts

__all__ = ["FEW_ROWS", "NR", "TEMPLATES", "fits", "lds_floats"]

# Lanes of a panel of queries; fixed in include/micro_tile.h.
NR = 16
# The least number of queries that are whole panels and whole strips of six.
STRIPS = 48
# Up to so many rows that share keys, lanes along the head do more than lanes that are queries (measured on one core).
FEW_ROWS = 8


def _rows(shape: Shape) -> int:
    """Rows of q that share keys and values."""
    return shape["H"] // shape["G"] * shape["T"]


def _width(shape: Shape) -> int:
    return ceil_div(shape["E"], NR) * NR


def lds_floats(name: str, shape: Shape, params: Params) -> tuple[int, ...]:
    """Floats of each local-memory argument of the kernel, at least one."""
    if name == "cpu_few":
        rows = _rows(shape)
        lengths: tuple[int, ...] = (rows * shape["D"], rows * shape["E"], 2 * rows + params["TILE_N"])
    else:
        m, n, half = params["TILE_M"], params["TILE_N"], shape["itemsize"] == 2
        keys = n * shape["D"] if half else 1
        values = n * _width(shape) if half or shape["E"] % NR else 1
        lengths = (m * shape["D"], n * m, m * _width(shape), 5 * m, keys, values)
    return tuple(max(length, 1) for length in lengths)


def _lds_bytes(name: str, shape: Shape, params: Params) -> int:
    return 4 * sum(lds_floats(name, shape, params))


def _gpu_lds_bytes(params: Params) -> int:
    """What the gpu kernel declares: weights, and chunks of queries and keys or of values, in float4."""
    keys, height = 64, params["WG_Y"]
    pitch = height + 1
    chunks = 16 * (pitch + keys // 4 + 1)
    values = (8 if params["PER_ITEM_E"] > 8 else 16) * 4 * params["PER_ITEM_E"]
    return 16 * (keys * pitch + max(chunks, values))


def _lds_limit(device: Device) -> float:
    """Local memory for a kernel's own arrays: half of it on llvmpipe, since rusticl (Mesa 22.3) counts those twice."""
    limit = device.limits.lds_bytes or math.inf
    return limit / 2 if turn_limit(device) < math.inf else limit


def _gpu_tiles(device: Device, shape: Shape) -> dict[str, int]:
    """Sums for the head's width; then as many rows as local memory and the group's limit allow, but not in vain."""
    per_item = next(n for n in (4, 8, 16) if 16 * n >= shape["E"])
    heights = [n for n in (16, 8, 4) if 16 * n <= (device.limits.work_group or 256)]
    usable = [n for n in heights if _gpu_lds_bytes({"WG_Y": n, "PER_ITEM_E": per_item}) <= _lds_limit(device)]
    enough = [n for n in usable if 4 * n < 2 * _rows(shape)]
    return {"WG_Y": (enough or usable[-1:] or [4])[0], "PER_ITEM_E": per_item}


# From large to small; what fits first is taken.
_CPU_TILES = ((48, 96), (48, 48), (48, 12), (48, 6))


def fits(
    device: Device, chosen: Template, shape: Shape, params: dict[str, int], asked: Params | None
) -> dict[str, int]:
    """``params`` with tiles, where they were not asked for, that the device's local memory holds."""
    limit = device.limits.lds_bytes or math.inf
    if chosen.name == "gpu":
        free = {name: n for name, n in _gpu_tiles(device, shape).items() if name not in (asked or {})}
        params = {**params, **free}
        if 16 * params["PER_ITEM_E"] < shape["E"]:
            raise ShapeError("attention", f"expected values of at most {16 * params['PER_ITEM_E']}, got {shape['E']}")
    if chosen.name == "cpu" and not {"TILE_M", "TILE_N"} & set(asked or {}):
        tiles = next(
            (
                {"TILE_M": m, "TILE_N": n}
                for m, n in _CPU_TILES
                if _lds_bytes("cpu", shape, {"TILE_M": m, "TILE_N": n}) <= limit
            ),
            {},
        )
        params = {**params, **tiles}
    if chosen.name.startswith("cpu") and _lds_bytes(chosen.name, shape, params) > limit:
        needed = _lds_bytes(chosen.name, shape, params)
        raise LimitExceeded("attention", f"expected tiles within {limit:,} bytes of local memory, got {needed:,}")
    return params


def _turns(name: str, shape: Shape) -> int:
    """No fewer loop turns than a work-item makes, with the tiles that make fewest."""
    rows, s, d, e = _rows(shape), shape["S"], shape["D"], shape["E"]
    if name == "plain":
        return s * (2 * d + e + 4) + 2 * e
    if name == "cpu_few":
        return rows * (d + e + s * (d // 8 + e // 8 + 12) + 4 * e) + 64
    if name == "gpu":
        return ceil_div(s, 64) * (2 * d + 64 * (2 + ceil_div(e, 64)) + 128) + 64
    return STRIPS * (2 * d + 2 * e) + s * (d + 8 * e + 64)


def _refusal(name: str) -> Callable[[Device, Shape], str | None]:
    """Why a template cannot run, or None."""

    def refused(device: Device, shape: Shape) -> str | None:
        endless = too_many_turns(device, _turns(name, shape))
        if endless or name == "plain":
            return endless
        if name == "gpu":
            needed, allowed = _gpu_lds_bytes(_gpu_tiles(device, shape)), _lds_limit(device)
            short = f"needs {needed:,} bytes of local memory, of {allowed:,.0f}" if needed > allowed else None
            return wants_wavefronts(device, shape) or short
        least = {"TILE_M": STRIPS, "TILE_N": 6} if name == "cpu" else {"TILE_N": 64}
        needed, limit = _lds_bytes(name, shape, least), device.limits.lds_bytes or math.inf
        return f"needs {needed:,} bytes of local memory, the device has {limit:,}" if needed > limit else None

    return refused


def _multiple(name: str, step: int, why: str) -> Constraint:
    return Constraint(
        f"{name} to be a positive multiple of {step}: {why}", lambda p: p[name] > 0 and p[name] % step == 0
    )


_GPU = Template(
    name="gpu",
    source="attention_gpu",
    space={"WG_Y": (4, 8, 16), "PER_ITEM_E": (4, 8, 16)},
    default={"WG_Y": 16, "PER_ITEM_E": 4},
    constraints=(
        Constraint("WG_Y to be 4, 8 or 16: whole wavefronts, up to 256 work-items", lambda p: p["WG_Y"] in (4, 8, 16)),
        Constraint(
            "PER_ITEM_E to be 4, 8 or 16: whole vectors of up to 256 values", lambda p: p["PER_ITEM_E"] in (4, 8, 16)
        ),
        Constraint(
            "its tiles within 32 KiB, the LDS a group of AMD's driver gets", lambda p: _gpu_lds_bytes(p) <= 32768
        ),
    ),
    precondition="work-groups of 64 or more and its tiles within the device's local memory",
    applies=_refusal("gpu"),
    preferred_class="gpu",
)

_CPU = Template(
    name="cpu",
    source="attention_cpu",
    space={"TILE_M": (48, 96, 192), "TILE_N": (48, 96, 192), "UNROLL_K": (2, 4, 8)},
    default={"TILE_M": 48, "TILE_N": 96, "UNROLL_K": 4},
    constraints=(
        _multiple("TILE_M", STRIPS, "whole panels of 16 and whole strips of 6 queries"),
        _multiple("TILE_N", 6, "whole strips of keys"),
        Constraint("UNROLL_K to be at least 1", lambda p: p["UNROLL_K"] > 0),
    ),
    precondition="its tiles within the device's local memory, loop turns within its limit, if any",
    applies=_refusal("cpu"),
    preferred_class="cpu",
)

_FEW = Template(
    name="cpu_few",
    source="attention_cpu_few",
    space={"TILE_N": (32, 64, 128)},
    default={"TILE_N": 64},
    constraints=(_multiple("TILE_N", 16, "whole vectors of weights"),),
    precondition=f"its rows within the device's local memory; chosen for H/G * T of at most {FEW_ROWS}",
    applies=_refusal("cpu_few"),
    preferred_class="cpu",
)

TEMPLATES = (
    Template(
        name="plain",
        source="attention",
        space={},
        default={},
        precondition="within the device's limit on loop turns, if it has one; one work-item per row",
        applies=_refusal("plain"),
    ),
    Template(
        name="unfused",
        source="gemm",
        space={},
        default={},
        precondition="fp32, no mask, not causal: gemm, softmax, gemm over a buffer of T x S scores; never chosen",
        applies=refusal,
    ),
    _GPU,
    _CPU,
    _FEW,
)
