"""C = A @ B. Kernels by template: ``gemm.cl`` (plain), ``gemm_{gpu,cpu,cpu_skinny}.cl``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel, tuned
from rx580lab.device import Array, Device
from rx580lab.errors import LimitExceeded, ShapeError
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
from rx580lab.ops.sizing import MAX_ELEMENTS, WAVEFRONT, ceil_div, too_many_turns, turn_limit, wants_wavefronts

__all__ = ["SPEC", "gemm", "plan"]

# Kernels add a tile's length to a row or column before they compare it with M, N or K, in 32 bits.
MAX_LENGTH = MAX_ELEMENTS - 2**16
# Columns of a packed panel of B; fixed in gemm_cpu.cl (NR).
PANEL = 16
# Panels that a work-item packs; fixed in gemm_cpu.cl.
PACK = 4
# Up to so many rows, packing B would cost more than it saves (measured at K = N = 4096 on one core).
SKINNY_ROWS = 32
# Rows and columns of the smallest tile of C that the cpu template offers: one micro-tile.
LEAST_CPU = (6, PANEL)
# Work-items per compute unit that the cpu templates aim at, so that a late one does not leave the others idle.
ITEMS_PER_UNIT = 4

Matrix = Array | npt.NDArray[np.float32]


def gemm(
    device: Device,
    a: Matrix,
    b: Matrix,
    *,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``a`` (M, K) @ ``b`` (K, N) -> (M, N), fp32, row-major; lengths may be 0, and K = 0 gives zeros.

    numpy in gives numpy out; an Array in gives an Array out. ``out`` must not be ``a`` or ``b``. Raises DtypeError for
    other element types, ShapeError when shapes do not fit together, InputError when ``out`` overlaps an input.
    """
    return given_back(plan(device, a, b, out=out, template=template, params=params), a, b)


def plan(
    device: Device,
    a: Matrix,
    b: Matrix,
    *,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``gemm`` runs, bound once, for running many times."""
    left, right = as_array(device, "gemm", "a", a), as_array(device, "gemm", "b", b)
    shape = _shape(left, right)
    target = output(device, "gemm", out, (shape["M"], shape["N"]))
    apart("gemm", target, a=left, b=right)
    chosen, merged = choose(device, SPEC, shape, template or _for_shape(device, shape), params)
    fixed = {*(params or {}), *(tuned(device, f"gemm_{chosen.name}", chosen.source) or {})}
    sized = _sized(device, chosen, shape, merged)
    merged = chosen.checked({**merged, **{name: value for name, value in sized.items() if name not in fixed}})
    _check_turns(device, chosen.name, shape, merged)
    if target.size == 0:
        return Plan("gemm", chosen.name, merged, (), target)
    if shape["K"] == 0:
        # OpenCL has no empty buffer to pass; the kernels never read this one.
        left = right = device.zeros(1)
    if chosen.name == "cpu":
        return _packed(device, merged, left, right, target, shape)
    launch = _launch(device, chosen, merged, left, right, target, shape)
    return Plan("gemm", chosen.name, merged, (launch,), target)


def _shape(a: Matrix, b: Matrix) -> dict[str, int]:
    for name, matrix, letters in (("a", a, "(M, K)"), ("b", b, "(K, N)")):
        if matrix.ndim != 2:
            raise ShapeError("gemm", f"expected {name} of shape {letters}, got {matrix.shape}")
    if a.shape[1] != b.shape[0]:
        raise ShapeError("gemm", f"expected b of shape (K, N) with K = {a.shape[1]} as in a {a.shape}, got {b.shape}")
    shape = {"M": a.shape[0], "N": b.shape[1], "K": a.shape[1]}
    if max(shape.values()) > MAX_LENGTH:
        raise ShapeError("gemm", f"expected M, N and K of at most {MAX_LENGTH:,}, got {shape}")
    return shape


def _for_shape(device: Device, shape: Shape) -> str | None:
    """The template that neither the device's class nor a hard precondition would choose."""
    if turn_limit(device) < math.inf:
        return "gpu"  # many short work-items
    few = shape["M"] <= SKINNY_ROWS and shape["N"] >= PANEL
    return "cpu_skinny" if few and device.device_class == "cpu" else None


def _turns(name: str, shape: Shape, params: Params) -> int:
    """No fewer loop turns than a work-item of that template makes, if the compiler unrolls nothing."""
    depth = shape["K"]
    if name in ("plain", "gpu"):
        return depth if name == "plain" else 4 * depth
    n_rows, n_cols = min(shape["M"], params["TILE_M"]), min(shape["N"], params["TILE_N"])
    if name == "cpu":
        return ceil_div(n_rows, params["PER_ITEM_M"]) * ceil_div(n_cols, PANEL) * (depth + 64)
    edge = PANEL * depth * n_rows if shape["N"] % PANEL else 0
    return n_rows * depth + depth // 4 * ceil_div(n_cols, PANEL) * (n_rows + 1) + edge + 5 * n_rows * n_cols


def _refusal(name: str, least: Params) -> Callable[[Device, Shape], str | None]:
    """Why the template cannot run even with its ``least`` tiles, or None."""

    def refusal(device: Device, shape: Shape) -> str | None:
        endless = too_many_turns(device, _turns(name, shape, least))
        return endless or (wants_wavefronts(device, shape) if name == "gpu" else None)

    return refusal


def _check_turns(device: Device, name: str, shape: Shape, params: Params) -> None:
    endless = too_many_turns(device, _turns(name, shape, params))
    if endless:
        raise LimitExceeded("gemm", f"{endless} with {params}; use smaller tiles")


def _sized(device: Device, chosen: Template, shape: Shape, params: Params) -> dict[str, int]:
    """The macros that follow from the shape and the device's limits rather than from a fixed default."""
    if chosen.name == "cpu":
        return _cpu_tiles(device, shape)
    if chosen.name == "cpu_skinny":
        return _skinny_tiles(device, shape, params)
    if chosen.name == "gpu":
        return _gpu_group(device, params)
    return {}


def _cpu_tiles(device: Device, shape: Shape) -> dict[str, int]:
    """Tiles by two rules.

    Rows of A longer than 4 KiB: block of A copied (it then takes 384 KiB of L2) and shallow passes. Shorter rows: A in
    place and one deep pass. Then the largest tile of C that still gives each compute unit several work-items; if none
    does, the one that gives most.
    """
    copied = shape["K"] > 1024 and (device.limits.lds_bytes or math.inf) >= 192 * 512 * 4
    heights = (192, 96, 48, 24) if copied else (48, 24)
    widths = (2048, 1024, 512, 256) if copied else (1024, 512, 256)
    tiles = [(m, widths[0]) for m in heights] + [(heights[-1], n) for n in widths[1:]]
    if turn_limit(device) < math.inf:
        tiles = [(24, 256), (24, 64), (24, 16), LEAST_CPU]
    goal = ITEMS_PER_UNIT * device.compute_units

    def enough(tile_m: int, tile_n: int) -> bool:
        asked = {"PER_ITEM_M": 6, "TILE_M": tile_m, "TILE_N": tile_n}
        items = ceil_div(shape["M"], tile_m) * ceil_div(shape["N"], tile_n)
        return items >= goal and _turns("cpu", shape, asked) <= turn_limit(device)

    tile_m, tile_n = next((tile for tile in tiles if enough(*tile)), tiles[-1])
    return {**_tile(tile_m, tile_n), "TILE_K": 512 if copied else 1024, "USE_LDS": int(copied)}


def _tile(tile_m: int, tile_n: int) -> dict[str, int]:
    return {"TILE_M": tile_m, "TILE_N": tile_n}


def _skinny_tiles(device: Device, shape: Shape, params: Params) -> dict[str, int]:
    """TILE_M: M rounded up to a power of two.

    TILE_N: as wide as 16 KiB of sums and the device's local memory allow, narrower where compute units would idle.
    """
    tile_m = min(2 ** max(shape["M"] - 1, 0).bit_length(), SKINNY_ROWS)
    tile_n = 4096 // tile_m
    # Half of it: rusticl (Mesa 22.3) counts a kernel's own local arrays twice.
    lds = (device.limits.lds_bytes or math.inf) / 2
    while tile_n > PANEL and (
        (tile_n + params["TILE_K"]) * tile_m * 4 > lds
        or (tile_n > 128 and ceil_div(shape["N"], tile_n) < device.compute_units)
    ):
        tile_n //= 2
    while tile_m * tile_n > PANEL and _turns("cpu_skinny", shape, _tile(tile_m, tile_n)) > turn_limit(device):
        tile_m, tile_n = (tile_m // 2, tile_n) if tile_m > 1 else (tile_m, tile_n // 2)
    return _tile(tile_m, tile_n)


def _gpu_group(device: Device, params: Params) -> dict[str, int]:
    """The group halved, its longer side first, until the device takes it."""
    x, y = params["WG_X"], params["WG_Y"]
    while x * y > (device.limits.work_group or x * y):
        x, y = (x, y // 2) if y >= x else (x // 2, y)
    return {"WG_X": x, "WG_Y": y}


def _lengths(shape: Shape) -> tuple[np.int32, np.int32, np.int32]:
    return np.int32(shape["M"]), np.int32(shape["N"]), np.int32(shape["K"])


def _packed(device: Device, params: dict[str, int], a: Array, b: Array, out: Array, shape: Shape) -> Plan:
    n_rows, n_cols, depth = shape["M"], shape["N"], shape["K"]
    n_panels = ceil_div(n_cols, PANEL)
    panels = device.empty((n_panels, max(depth, 1), PANEL))
    tiles = ceil_div(n_rows, params["TILE_M"]), ceil_div(n_cols, params["TILE_N"])
    multiply = load_kernel(device, "gemm_cpu", "gemm_cpu", params).bind(tiles, (1, 1), *_lengths(shape), a, panels, out)
    if depth == 0:
        return Plan("gemm", "cpu", params, (multiply,), out, (panels,))
    pack = load_kernel(device, "gemm_cpu", "gemm_cpu_pack_b", params).bind(
        (ceil_div(n_panels, PACK), ceil_div(depth, params["TILE_K"])),
        (1, 1),
        np.int32(n_cols),
        np.int32(depth),
        b,
        panels,
    )
    return Plan("gemm", "cpu", params, (pack, multiply), out, (panels,))


def _launch(device: Device, chosen: Template, params: Params, a: Array, b: Array, out: Array, shape: Shape) -> Launch:
    n_rows, n_cols = shape["M"], shape["N"]
    kernel = load_kernel(device, chosen.source, f"gemm_{chosen.name}", params)
    group: tuple[int, int]
    if chosen.name == "cpu_skinny":
        group = (1, 1)
        tiles = ceil_div(n_cols, params["TILE_N"]), ceil_div(n_rows, params["TILE_M"])
    elif chosen.name == "gpu":
        group = params["WG_X"], params["WG_Y"]
        tiles = ceil_div(n_cols, group[0] * params["PER_ITEM_N"]), ceil_div(n_rows, group[1] * params["PER_ITEM_M"])
    else:
        group = min(WAVEFRONT, device.limits.work_group or WAVEFRONT), 1
        tiles = ceil_div(n_cols, group[0]), n_rows
    sizes = tiles[0] * group[0], tiles[1] * group[1]
    return kernel.bind(sizes, group, *_lengths(shape), a, b, out)


def _cost(shape: Shape) -> Cost:
    m, n, k = shape["M"], shape["N"], shape["K"]
    return Cost(bytes=4 * (m * k + k * n + m * n), flop=2 * m * n * k)


def _gpu_lds_bytes(p: Params) -> int:
    return 4 * p["TILE_K"] * (p["WG_Y"] * p["PER_ITEM_M"] + 4 + p["WG_X"] * p["PER_ITEM_N"])


def _multiple(name: str, step: int, why: str) -> Constraint:
    return Constraint(
        f"{name} to be a positive multiple of {step}: {why}", lambda p: p[name] > 0 and p[name] % step == 0
    )


_GPU = Template(
    name="gpu",
    source="gemm_gpu",
    space={
        "WG_X": (8, 16),
        "WG_Y": (8, 16),
        "PER_ITEM_M": (4, 8),
        "PER_ITEM_N": (4, 8),
        "TILE_K": (8, 16, 32),
    },
    default={"WG_X": 16, "WG_Y": 16, "PER_ITEM_M": 4, "PER_ITEM_N": 4, "TILE_K": 16},
    constraints=(
        Constraint(
            f"WG_X * WG_Y to be a multiple of {WAVEFRONT} up to 256: whole wavefronts, the group limit of AMD's driver",
            lambda p: p["WG_X"] > 0 and 0 < p["WG_X"] * p["WG_Y"] <= 256 and p["WG_X"] * p["WG_Y"] % WAVEFRONT == 0,
        ),
        _multiple("PER_ITEM_M", 4, "LDS is read by float4"),
        _multiple("PER_ITEM_N", 4, "LDS is read by float4"),
        _multiple("TILE_K", 4, "A is read by float4"),
        Constraint(
            "a whole number of float4 per work-item in each tile: TILE_K * PER_ITEM_M a multiple of 4 * WG_X, "
            "TILE_K * PER_ITEM_N one of 4 * WG_Y",
            lambda p: (
                p["TILE_K"] * p["PER_ITEM_M"] % (4 * p["WG_X"]) == 0
                and p["TILE_K"] * p["PER_ITEM_N"] % (4 * p["WG_Y"]) == 0
            ),
        ),
        Constraint(
            "both tiles within 32 KiB, the LDS a group of AMD's driver gets", lambda p: _gpu_lds_bytes(p) <= 32768
        ),
    ),
    precondition="work-groups of 64 or more",
    applies=_refusal("gpu", {}),
    preferred_class="gpu",
)

_CPU = Template(
    name="cpu",
    source="gemm_cpu",
    space={
        "PER_ITEM_M": (4, 6),
        "TILE_M": (24, 48, 96, 192),
        "TILE_N": (256, 512, 1024, 2048),
        "TILE_K": (256, 384, 512, 1024),
        "UNROLL_K": (2, 4, 8),
        "USE_LDS": (0, 1),
    },
    default={"PER_ITEM_M": 6, "TILE_M": 48, "TILE_N": 1024, "TILE_K": 1024, "UNROLL_K": 4, "USE_LDS": 0},
    constraints=(
        Constraint("PER_ITEM_M to be 4 or 6: the micro-kernels that exist", lambda p: p["PER_ITEM_M"] in (4, 6)),
        Constraint(
            "TILE_M to be a positive multiple of PER_ITEM_M: whole strips",
            lambda p: p["TILE_M"] > 0 and p["TILE_M"] % p["PER_ITEM_M"] == 0,
        ),
        _multiple("TILE_N", PANEL, "whole panels of B"),
        Constraint(
            "TILE_K to be a positive multiple of UNROLL_K: whole turns of the inner loop",
            lambda p: 0 < p["UNROLL_K"] <= p["TILE_K"] and p["TILE_K"] % p["UNROLL_K"] == 0,
        ),
        Constraint("USE_LDS to be 0 or 1: a switch", lambda p: p["USE_LDS"] in (0, 1)),
        Constraint(
            "with USE_LDS, TILE_M * TILE_K * 4 within 512 KiB: beyond, PoCL 3.0 dies without a word",
            lambda p: not p["USE_LDS"] or p["TILE_M"] * p["TILE_K"] * 4 <= 512 * 1024,
        ),
    ),
    precondition="always; a work-item takes a block of C, B is packed in each call",
    applies=_refusal("cpu", {"PER_ITEM_M": 6, **_tile(*LEAST_CPU)}),
    preferred_class="cpu",
)

_SKINNY = Template(
    name="cpu_skinny",
    source="gemm_cpu_skinny",
    space={"TILE_M": (1, 2, 4, 8, 16, 32), "TILE_N": (64, 128, 256, 512, 1024, 2048, 4096), "TILE_K": (32, 64, 128)},
    default={"TILE_M": 32, "TILE_N": 128, "TILE_K": 64},
    constraints=(
        Constraint("TILE_M to be at least 1: rows", lambda p: p["TILE_M"] > 0),
        _multiple("TILE_N", PANEL, "whole vectors of B"),
        _multiple("TILE_K", 4, "four rows of B are read at once"),
        Constraint(
            "TILE_M * (TILE_N + TILE_K) * 4 within 512 KiB: beyond, PoCL 3.0 dies without a word",
            lambda p: p["TILE_M"] * (p["TILE_N"] + p["TILE_K"]) * 4 <= 512 * 1024,
        ),
    ),
    precondition=f"always; chosen for at most {SKINNY_ROWS} rows of {PANEL} columns or more on a processor",
    applies=_refusal("cpu_skinny", _tile(1, PANEL)),
    preferred_class="cpu",
)

SPEC = OpSpec(
    name="gemm",
    summary="(M, K) @ (K, N) in fp32: at least 1 read of M*K + K*N floats + 1 write of M*N; 2*M*N*K operations",
    templates=(
        Template(
            name="plain",
            source="gemm",
            space={},
            default={},
            precondition="always; one work-item per element",
            applies=_refusal("plain", {}),
        ),
        _GPU,
        _CPU,
        _SKINNY,
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
