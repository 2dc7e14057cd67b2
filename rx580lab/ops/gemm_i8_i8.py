"""C = (A - zero points) @ (B - zero points) of int8 or uint8, summed in int32, and scaled on the way out.

Kernels by template: ``gemm_i8_i8.cl`` (plain), ``gemm_i8_i8_{gpu,cpu}.cl``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import LimitExceeded, ShapeError
from rx580lab.ops._gemm_i8_i8_scaling import OUTPUTS, Vector, flip, lowest_of, output_type, vector
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

__all__ = ["SPEC", "gemm_i8_i8", "plan"]

# Columns of a packed panel and rows of the micro-kernel; fixed in include/int8_pairs.h.
PANEL, STRIP = 16, 6
# A tile's length is added to a row or column before it is compared, in 32 bits.
MAX_LENGTH = MAX_ELEMENTS - 2**16

Bytes = Array | npt.NDArray[np.int8] | npt.NDArray[np.uint8]


def gemm_i8_i8(
    device: Device,
    a: Bytes,
    b: Bytes,
    a_zero_point: Vector = None,
    b_zero_point: Vector = None,
    bias: Vector = None,
    scale: Vector = None,
    row_scale: Vector = None,
    *,
    dtype: npt.DTypeLike = np.int32,
    out_zero_point: int = 0,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``a`` (..., M, K) @ ``b`` (K, N), each int8 or uint8 less its zero point -> (..., M, N).

    Zero points are of the type of their matrix: ``a_zero_point`` one or one per row (M; a is then a matrix),
    ``b_zero_point`` one or one per column (N). ``bias`` (N) in int32 is added to the sums. ``scale`` is fp32, one or
    one per column; ``row_scale`` is fp32, one or one per row. None stands for 0, and for 1 of a scale.

    ``dtype`` int32 gives the exact sums (ONNX MatMulInteger), wrapped at 2**32; float32 gives fp32(sum) * (scale *
    row_scale); int8 and uint8 round that to the nearest even, add ``out_zero_point`` and saturate (ONNX QLinearMatMul,
    with scale = a_scale * b_scale / y_scale). Scales must be finite.

    numpy in gives numpy out; an Array in gives an Array out. Raises DtypeError, ShapeError, InputError.
    """
    given = (a, b, a_zero_point, b_zero_point, bias, scale, row_scale)
    planned = plan(
        device, *given, dtype=dtype, out_zero_point=out_zero_point, out=out, template=template, params=params
    )
    return given_back(planned, *given)


def plan(
    device: Device,
    a: Bytes,
    b: Bytes,
    a_zero_point: Vector = None,
    b_zero_point: Vector = None,
    bias: Vector = None,
    scale: Vector = None,
    row_scale: Vector = None,
    *,
    dtype: npt.DTypeLike = np.int32,
    out_zero_point: int = 0,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``gemm_i8_i8`` runs, bound once, for running many times."""
    left = as_array(device, "gemm_i8_i8", "a", a, np.int8, np.uint8)
    right = as_array(device, "gemm_i8_i8", "b", b, np.int8, np.uint8)
    shape = _shape(left, right)
    kind = output_type("gemm_i8_i8", dtype, out_zero_point)
    target = output(device, "gemm_i8_i8", out, (*left.shape[:-1], shape["N"]), kind)
    rows = shape["M"] if left.ndim == 2 else None
    vectors = [
        vector(device, "gemm_i8_i8", "a_zero_point", a_zero_point, left.dtype, rows, 0),
        vector(device, "gemm_i8_i8", "b_zero_point", b_zero_point, right.dtype, shape["N"], 0),
        vector(device, "gemm_i8_i8", "bias", bias, np.int32, shape["N"], 0),
        vector(device, "gemm_i8_i8", "scale", scale, np.float32, shape["N"], 1),
        vector(device, "gemm_i8_i8", "row_scale", row_scale, np.float32, rows, 1),
    ]
    apart("gemm_i8_i8", target, a=left, b=right)
    chosen, merged = choose(device, SPEC, shape, template or _for_device(device), params)
    merged = chosen.checked({**merged, **_sized(device, chosen, shape, merged, params)})
    _check_turns(device, chosen.name, shape, merged)
    if target.size == 0:
        return Plan("gemm_i8_i8", chosen.name, merged, (), target)
    if shape["K"] == 0:  # OpenCL has no empty buffer to pass; the kernels never read these
        left, right = device.zeros(1, left.dtype), device.zeros(1, right.dtype)
    macros = {**merged, "OUTPUT": OUTPUTS[kind]}
    flips = [flip(left), flip(right)]
    zeros = [argument for pair in vectors[:2] for argument in pair]
    tail = [*(argument for pair in vectors[2:] for argument in pair), np.int32(out_zero_point), lowest_of(kind), target]
    if chosen.name == "cpu":
        return _packed(
            device, merged, macros, ((left, flips[0], *zeros[:2]), (right, flips[1], *zeros[2:])), tail, shape
        )
    kernel = load_kernel(device, chosen.source, f"gemm_i8_i8_{chosen.name}", macros)
    sizes = _sizes(device, chosen.name, merged, shape)
    launch = kernel.bind(*sizes, *_lengths(shape, "MNK"), left, right, *flips, *zeros, *tail)
    return Plan("gemm_i8_i8", chosen.name, merged, (launch,), target)


def _shape(a: Bytes, b: Bytes, *_vectors: Vector, **_keywords: Any) -> dict[str, int]:
    if a.ndim < 2:
        raise ShapeError("gemm_i8_i8", f"expected a of shape (..., M, K), got {a.shape}")
    if b.ndim != 2 or a.shape[-1] != b.shape[0]:
        raise ShapeError("gemm_i8_i8", f"expected b of shape (K, N) with K as in a {a.shape}, got {b.shape}")
    shape = {"M": math.prod(a.shape[:-1]), "N": b.shape[1], "K": b.shape[0]}
    if max(shape.values()) > MAX_LENGTH:
        raise ShapeError("gemm_i8_i8", f"expected M, N and K of at most {MAX_LENGTH:,}, got {shape}")
    return shape


def _for_device(device: Device) -> str | None:
    """Many short work-items where a driver bounds the turns of a loop."""
    return "gpu" if turn_limit(device) < math.inf else None


def _sized(device: Device, chosen: Template, shape: Shape, params: Params, asked: Params | None) -> dict[str, int]:
    """What follows from the shape and the device's limits rather than from a fixed default."""
    if chosen.name == "gpu" and "WG_Y" not in (asked or {}):
        limit = device.limits.work_group or math.inf
        return {"WG_Y": next((y for y in (16, 8, 4) if params["WG_X"] * y <= limit), 4)}
    if chosen.name == "cpu" and "TILE_N" not in (asked or {}) and "TILE_M" not in (asked or {}):
        goal = 4 * device.compute_units  # so that a late work-item does not leave the others idle
        tiles = [(48, 256), (48, 128), (24, 64), (STRIP, PANEL)]

        def enough(tile: tuple[int, int]) -> bool:
            items = ceil_div(shape["M"], tile[0]) * ceil_div(shape["N"], tile[1])
            turns = _turns("cpu", shape, {"TILE_M": tile[0], "TILE_N": tile[1]})
            return items >= goal and turns <= turn_limit(device)

        tile_m, tile_n = next((tile for tile in tiles if enough(tile)), tiles[-1])
        return {"TILE_M": tile_m, "TILE_N": tile_n}
    return {}


def _turns(name: str, shape: Shape, params: Params) -> int:
    """No fewer loop turns than a work-item of that template makes, if the compiler unrolls nothing."""
    if name == "plain":
        return shape["K"]
    if name == "gpu":
        return 10 * shape["K"] + 64
    strips = ceil_div(min(shape["M"], params["TILE_M"]), STRIP)
    columns = ceil_div(min(shape["N"], params["TILE_N"]), PANEL)
    return max(columns * strips * (shape["K"] // 2 + STRIP * (PANEL + 2)), PANEL * shape["K"])


def _refusal(name: str) -> Callable[[Device, Shape], str | None]:
    def refusal(device: Device, shape: Shape) -> str | None:
        endless = too_many_turns(device, _turns(name, shape, {"TILE_M": STRIP, "TILE_N": PANEL}))
        return endless or (wants_wavefronts(device, shape) if name == "gpu" else None)

    return refusal


def _check_turns(device: Device, name: str, shape: Shape, params: Params) -> None:
    endless = too_many_turns(device, _turns(name, shape, params))
    if endless:
        raise LimitExceeded("gemm_i8_i8", f"{endless} with {dict(params)}; use smaller tiles")


def _lengths(shape: Shape, letters: str) -> list[np.int32]:
    return [np.int32(shape[letter]) for letter in letters]


def _sizes(device: Device, name: str, params: Params, shape: Shape) -> tuple[tuple[int, int], tuple[int, int]]:
    if name == "gpu":
        group = params["WG_X"], params["WG_Y"]
        tiles = ceil_div(shape["N"], group[0] * 4), ceil_div(shape["M"], group[1] * 4)
    else:
        group = min(WAVEFRONT, device.limits.work_group or WAVEFRONT), 1
        tiles = ceil_div(shape["N"], group[0]), shape["M"]
    return (tiles[0] * group[0], tiles[1] * group[1]), group


def _packed(
    device: Device,
    params: dict[str, int],
    macros: Params,
    matrices: tuple[tuple[Any, ...], tuple[Any, ...]],
    tail: list[Any],
    shape: Shape,
) -> Plan:
    n_rows, n_cols, depth = shape["M"], shape["N"], shape["K"]
    n_pairs, n_panels = ceil_div(depth, 2), ceil_div(n_cols, PANEL)
    pairs = device.scratch((n_rows, max(n_pairs, 1), 2), np.int16)
    panels = device.scratch((n_panels, max(n_pairs, 1), PANEL, 2), np.int16)
    tiles = ceil_div(n_rows, params["TILE_M"]), ceil_div(n_cols, params["TILE_N"])
    multiply = load_kernel(device, "gemm_i8_i8_cpu", "gemm_i8_i8_cpu", macros).bind(
        tiles, (1, 1), *_lengths(shape, "MNK"), pairs, panels, *tail
    )
    launches = [multiply]
    if depth:
        a, b = matrices
        pack_a = load_kernel(device, "gemm_i8_i8_cpu", "gemm_i8_i8_cpu_pack_a", macros)
        pack_b = load_kernel(device, "gemm_i8_i8_cpu", "gemm_i8_i8_cpu_pack_b", macros)
        launches = [
            pack_a.bind((n_rows,), (1,), np.int32(depth), *a, pairs),
            pack_b.bind((n_panels,), (1,), *_lengths(shape, "NK"), *b, panels),
            multiply,
        ]
    return Plan("gemm_i8_i8", "cpu", params, tuple(launches), tail[-1], (pairs, panels))


def _cost(shape: Shape) -> Cost:
    m, n, k = shape["M"], shape["N"], shape["K"]
    return Cost(bytes=m * k + k * n + 4 * m * n, flop=2 * m * n * k)


SPEC = OpSpec(
    name="gemm_i8_i8",
    summary="(M, K) @ (K, N) of int8 in int32: at least 1 read of M*K + K*N bytes + 1 write of M*N; 2*M*N*K operations",
    templates=(
        Template(
            name="plain",
            source="gemm_i8_i8",
            space={},
            default={},
            precondition="loop turns within the device's limit, if any; one work-item per element",
            applies=_refusal("plain"),
        ),
        Template(
            name="gpu",
            source="gemm_i8_i8_gpu",
            space={"WG_X": (16,), "WG_Y": (4, 8, 16), "TILE_K": (16, 32)},
            default={"WG_X": 16, "WG_Y": 16, "TILE_K": 16},
            constraints=(
                Constraint(
                    f"WG_X * WG_Y to be a multiple of {WAVEFRONT} up to 256: whole wavefronts, AMD's group limit",
                    lambda p: 0 < p["WG_X"] * p["WG_Y"] <= 256 and p["WG_X"] * p["WG_Y"] % WAVEFRONT == 0,
                ),
                Constraint("WG_X to be 16: four columns an item, whole rows a load", lambda p: p["WG_X"] == 16),
                Constraint(
                    "TILE_K to be a positive multiple of 16 and of WG_Y: whole loads of four bytes an item",
                    lambda p: p["TILE_K"] > 0 and p["TILE_K"] % 16 == 0 and p["TILE_K"] % p["WG_Y"] == 0,
                ),
                Constraint(
                    "both tiles within 32 KiB, the LDS a group of AMD's driver gets",
                    lambda p: 0 < 16 * p["TILE_K"] * (p["WG_X"] + p["WG_Y"] + 1) <= 32768,
                ),
            ),
            precondition="work-groups of 64 or more",
            applies=_refusal("gpu"),
            preferred_class="gpu",
        ),
        Template(
            name="cpu",
            source="gemm_i8_i8_cpu",
            space={"TILE_M": (6, 24, 48, 96), "TILE_N": (16, 64, 128, 256)},
            default={"TILE_M": 48, "TILE_N": 256},
            constraints=(
                Constraint(
                    f"TILE_M to be a positive multiple of {STRIP}: whole strips",
                    lambda p: p["TILE_M"] > 0 and p["TILE_M"] % STRIP == 0,
                ),
                Constraint(
                    f"TILE_N to be a positive multiple of {PANEL}: whole panels",
                    lambda p: p["TILE_N"] > 0 and p["TILE_N"] % PANEL == 0,
                ),
            ),
            precondition="loop turns within the device's limit, if any; both matrices are packed in each call",
            applies=_refusal("cpu"),
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
