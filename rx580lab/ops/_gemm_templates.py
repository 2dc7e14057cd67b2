"""The templates of ``gemm``: their parameters, what must hold between them, when they may run, and how they are sized.

Kernels: ``gemm.cl`` (plain), ``gemm_gpu.cl``, ``gemm_cpu.cl`` (cpu, cpu_inplace), ``gemm_cpu_skinny.cl``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from rx580lab.device import Device
from rx580lab.ops._gemm_problem import PANEL
from rx580lab.ops.plan import Constraint, Params, Shape, Template
from rx580lab.ops.sizing import WAVEFRONT, ceil_div, too_many_turns, turn_limit, wants_wavefronts

__all__ = ["TEMPLATES", "local_bytes", "preferred", "prefers_packed", "sized", "turns"]

# Up to so many rows, reading B in order is worth more than reading it a slice at a time (K = N = 4096, one core).
SKINNY_ROWS = 24
# Up to so many rows, copies of B by the work-items that share it cost less than panels, which are written and read.
INPLACE_ROWS = 384
# Up to so many rows, each may pass over B by itself while that is in cache (K = N = 4096, one core).
MATVEC_ROWS = 8
# From so many rows on, panels that are packed once beat every other form of B (K, N of 384 to 1536, one core).
PACKED_ROWS = 3
# Rows and columns of the smallest tile of C that the cpu templates offer: one micro-tile.
LEAST_CPU = (6, PANEL)
# Work-items per compute unit that the cpu templates aim at, so that a late one does not leave the others idle.
ITEMS_PER_UNIT = 4
# Beyond so much local memory a work-group, PoCL 3.0 dies without a word.
MOST_LOCAL = 512 * 1024
# Bytes of a piece of it that a kernel does not use: OpenCL 1.2 wants at least one.
_UNUSED = 64


def preferred(device: Device, shape: Shape) -> str | None:
    """The template that neither the device's class nor a hard precondition would choose."""
    if turn_limit(device) < math.inf:
        return None if shape["packed"] else "gpu"  # many short work-items
    few = MATVEC_ROWS if device.device_class == "cpu" else 1
    if _no_matvec(device, shape) is None and min(shape["M"], shape["N"]) <= few:
        return "matvec"
    if device.device_class != "cpu" or shape["packed"]:
        return None
    if shape["M"] <= SKINNY_ROWS and shape["N"] >= PANEL and not shape["transpose_b"]:
        return "cpu_skinny"
    return "cpu_inplace" if shape["M"] <= INPLACE_ROWS and not shape["constant_b"] else None


def prefers_packed(device: Device, n_rows: int) -> bool:
    """Whether a B that stays the same should come from ``pack_b``, for an A of so many rows in all."""
    return device.device_class == "cpu" and turn_limit(device) == math.inf and n_rows >= PACKED_ROWS


def turns(name: str, shape: Shape, params: Params) -> int:
    """No fewer loop turns than a work-item of that template makes, if the compiler unrolls nothing."""
    depth = shape["K"]
    if name == "matvec":
        return depth // WAVEFRONT + 64
    if name in ("plain", "gpu"):
        return depth if name == "plain" else 4 * depth
    n_rows, n_cols = min(shape["M"], params["TILE_M"]), min(shape["N"], params["TILE_N"])
    if name == "cpu_skinny":
        edge = PANEL * depth * n_rows if shape["N"] % PANEL else 0
        return n_rows * depth + depth // 4 * ceil_div(n_cols, PANEL) * (n_rows + 1) + edge + 5 * n_rows * n_cols
    panels = ceil_div(n_cols, PANEL)
    copied_b = panels * depth * (PANEL + 1) if name == "cpu_inplace" else 0
    copied_a = depth * (n_rows + 1) if params.get("USE_LDS") else 0
    return ceil_div(n_rows, params["PER_ITEM_M"]) * panels * (depth + 64) + copied_a + copied_b


def _refusal(name: str, least: Params) -> Callable[[Device, Shape], str | None]:
    """Why the template cannot run even with its ``least`` tiles, or None."""

    def refusal(device: Device, shape: Shape) -> str | None:
        if shape["packed"] and name != "cpu":
            return "b is packed, in the order of the cpu template"
        if shape["transpose_b"] and name == "cpu_skinny":
            return "it reads b row by row, and b is transposed"
        endless = too_many_turns(device, turns(name, shape, least))
        return endless or (wants_wavefronts(device, shape) if name == "gpu" else None)

    return refusal


def _no_matvec(device: Device, shape: Shape) -> str | None:
    """Why ``gemv`` cannot do it, or None: W is B transposed and its vectors A's rows, or W is A and its vector B."""
    if shape["packed"] or shape["transpose_a"] or shape["B"] != 1:
        return "it takes one product, a not transposed, b not packed"
    if not (shape["transpose_b"] or (shape["N"] == 1 and not shape["bias"])):
        return "it takes b transposed, or one column of b without a bias"
    return too_many_turns(device, turns("matvec", shape, {}))


def sized(device: Device, name: str, shape: Shape, params: Params) -> dict[str, int]:
    """The macros that follow from the shape and the device's limits rather than from a fixed default."""
    if name == "cpu":
        return _cpu_tiles(device, shape)
    if name == "cpu_inplace":
        return _inplace_tiles(device, shape)
    if name == "cpu_skinny":
        return _skinny_tiles(device, shape, params)
    if name == "gpu":
        return _gpu_group(device, params)
    return {}


def _cpu_tiles(device: Device, shape: Shape) -> dict[str, int]:
    """Tiles by two rules.

    Rows of A longer than 4 KiB, transposed or fp16: block of A copied (it then takes 384 KiB of L2) and shallow
    passes. Others: A in place and one deep pass. Then the largest tile of C that still gives each compute unit several
    work-items; if none does, the one that gives most.
    """
    roomy = (device.limits.lds_bytes or math.inf) >= 192 * 512 * 4
    copied = _must_copy(shape) or (shape["K"] > 1024 and roomy)
    depth = 1024 if not copied else (512 if roomy else 128)
    heights = (192, 96, 48, 24) if copied and roomy else (48, 24)
    widths = (2048, 1024, 512, 256) if copied else (1024, 512, 256)
    tile_m, tile_n = _largest(device, shape, "cpu", heights, widths, int(copied))
    return {**_tile(tile_m, tile_n), "TILE_K": depth, "USE_LDS": int(copied)}


def _inplace_tiles(device: Device, shape: Shape) -> dict[str, int]:
    """Tiles as high as C is, so that no slice of B is copied twice; narrow enough to give compute units work."""
    roomy = (device.limits.lds_bytes or math.inf) >= MOST_LOCAL
    copied = _must_copy(shape) or (shape["K"] > 1024 and roomy)
    height = next((m for m in (24, 48, 96) if shape["M"] <= m), 192)
    if not roomy and copied:
        height = 24
    widths = (1024, 256, 64)
    tile_m, tile_n = _largest(device, shape, "cpu_inplace", (height,), widths, int(copied))
    return {**_tile(tile_m, tile_n), "TILE_K": 512 if roomy else 128, "USE_LDS": int(copied)}


def _must_copy(shape: Shape) -> bool:
    return bool(shape["half"] or shape["transpose_a"])


def _largest(
    device: Device, shape: Shape, name: str, heights: tuple[int, ...], widths: tuple[int, ...], use_lds: int
) -> tuple[int, int]:
    """The first of tiles that get smaller, first in height, which gives every compute unit enough work-items."""
    tiles = [(m, widths[0]) for m in heights] + [(heights[-1], n) for n in widths[1:]]
    if turn_limit(device) < math.inf:
        tiles = [(24, 256), (24, 64), (24, 16), LEAST_CPU]
    goal = ITEMS_PER_UNIT * device.compute_units if device.compute_units > 1 else 1

    def enough(tile_m: int, tile_n: int) -> bool:
        asked = {"PER_ITEM_M": 6, "USE_LDS": use_lds, **_tile(tile_m, tile_n)}
        items = ceil_div(shape["M"], tile_m) * ceil_div(shape["N"], tile_n) * shape["B"]
        return items >= goal and turns(name, shape, asked) <= turn_limit(device)

    return next((tile for tile in tiles if enough(*tile)), tiles[-1])


def _tile(tile_m: int, tile_n: int) -> dict[str, int]:
    return {"TILE_M": tile_m, "TILE_N": tile_n}


def _skinny_tiles(device: Device, shape: Shape, params: Params) -> dict[str, int]:
    """TILE_M: M rounded up to a power of two.

    TILE_N: as wide as 16 KiB of sums and the device's local memory allow, narrower where compute units would idle.
    """
    tile_m = min(2 ** max(shape["M"] - 1, 0).bit_length(), 32)
    tile_n = 4096 // tile_m
    # Half of it: rusticl (Mesa 22.3) counts a kernel's own local arrays twice.
    lds = (device.limits.lds_bytes or math.inf) / 2
    while tile_n > PANEL and (
        (tile_n + params["TILE_K"]) * tile_m * 4 > lds
        or (tile_n > 128 and ceil_div(shape["N"], tile_n) * shape["B"] < device.compute_units)
    ):
        tile_n //= 2
    while tile_m * tile_n > PANEL and turns("cpu_skinny", shape, _tile(tile_m, tile_n)) > turn_limit(device):
        tile_m, tile_n = (tile_m // 2, tile_n) if tile_m > 1 else (tile_m, tile_n // 2)
    return _tile(tile_m, tile_n)


def _gpu_group(device: Device, params: Params) -> dict[str, int]:
    """The group halved, its longer side first, until the device takes it."""
    x, y = params["WG_X"], params["WG_Y"]
    while x * y > (device.limits.work_group or x * y):
        x, y = (x, y // 2) if y >= x else (x // 2, y)
    return {"WG_X": x, "WG_Y": y}


def local_bytes(name: str, params: Params) -> tuple[int, int]:
    """Local memory that a cpu template gets by argument, in two pieces, in the order of its kernel's arguments."""
    if name == "cpu_skinny":
        return 4 * params["TILE_M"] * params["TILE_N"], 4 * params["TILE_M"] * params["TILE_K"]
    block = 4 * params["TILE_M"] * params["TILE_K"] if params["USE_LDS"] else _UNUSED
    return block, 4 * PANEL * params["TILE_K"] if name == "cpu_inplace" else _UNUSED


def _gpu_lds_bytes(p: Params) -> int:
    return 4 * p["TILE_K"] * (p["WG_Y"] * p["PER_ITEM_M"] + 4 + p["WG_X"] * p["PER_ITEM_N"] + 4)


def _multiple(name: str, step: int, why: str) -> Constraint:
    return Constraint(
        f"{name} to be a positive multiple of {step}: {why}", lambda p: p[name] > 0 and p[name] % step == 0
    )


_PLAIN = Template(
    name="plain",
    source="gemm",
    space={},
    default={},
    precondition="b is not packed; one work-item per element",
    applies=_refusal("plain", {}),
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
        _multiple("TILE_K", 4, "an operand along K is read by float4"),
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
    precondition="work-groups of 64 or more; b is not packed",
    applies=_refusal("gpu", {}),
    preferred_class="gpu",
)

_CPU_CONSTRAINTS = (
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
)
_LEAST = {"PER_ITEM_M": 6, "USE_LDS": 1, **_tile(*LEAST_CPU)}

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
        *_CPU_CONSTRAINTS,
        Constraint(
            "with USE_LDS, TILE_M * TILE_K * 4 within 512 KiB: beyond, PoCL 3.0 dies without a word",
            lambda p: p["USE_LDS"] * p["TILE_M"] * p["TILE_K"] * 4 <= MOST_LOCAL,
        ),
    ),
    precondition="always; a work-item takes a block of C, B is packed in each call unless it comes packed",
    applies=_refusal("cpu", _LEAST),
    preferred_class="cpu",
)

_INPLACE = Template(
    name="cpu_inplace",
    source="gemm_cpu",
    space={
        "PER_ITEM_M": (4, 6),
        "TILE_M": (24, 48, 96, 192),
        "TILE_N": (64, 256, 1024),
        "TILE_K": (128, 256, 512),
        "UNROLL_K": (2, 4, 8),
        "USE_LDS": (0, 1),
    },
    default={"PER_ITEM_M": 6, "TILE_M": 192, "TILE_N": 1024, "TILE_K": 512, "UNROLL_K": 4, "USE_LDS": 0},
    constraints=(
        *_CPU_CONSTRAINTS,
        Constraint(
            "(USE_LDS * TILE_M + 16) * TILE_K * 4 within 512 KiB: beyond, PoCL 3.0 dies without a word",
            lambda p: (p["USE_LDS"] * p["TILE_M"] + PANEL) * p["TILE_K"] * 4 <= MOST_LOCAL,
        ),
    ),
    precondition=f"b is not packed; chosen for at most {INPLACE_ROWS} rows on a processor, B copied a slice at a time",
    applies=_refusal("cpu_inplace", _LEAST),
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
            lambda p: p["TILE_M"] * (p["TILE_N"] + p["TILE_K"]) * 4 <= MOST_LOCAL,
        ),
    ),
    precondition=f"b neither packed nor transposed; chosen for at most {SKINNY_ROWS} rows of {PANEL} columns or more",
    applies=_refusal("cpu_skinny", _tile(1, PANEL)),
    preferred_class="cpu",
)

_MATVEC = Template(
    name="matvec",
    source="gemv",
    space={},
    default={},
    precondition=f"one product with b transposed or one column wide: a gemv; chosen for at most {MATVEC_ROWS} rows",
    applies=_no_matvec,
    preferred_class="cpu",
)

TEMPLATES = (_PLAIN, _GPU, _CPU, _INPLACE, _SKINNY, _MATVEC)
