"""y = activation(alpha * W @ x + bias + residual). Kernels by template: ``gemv.cl`` (plain), ``gemv_{gpu,cpu}.cl``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, ShapeError
from rx580lab.ops.epilogue import Epilogue
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
    optional_array,
    output,
)
from rx580lab.ops.sizing import MAX_ELEMENTS, WAVEFRONT, ceil_div, plain_sizes, too_many_turns, wants_wavefronts

__all__ = ["SPEC", "gemv", "plan"]

# Kernels add a step to a place in a row before they compare it with K, in 32 bits.
MAX_LENGTH = MAX_ELEMENTS - 2**16
# Rows of W that the cpu template reads at once; fixed in gemv_cpu.cl.
STREAMS = 8
# Work-items per compute unit that the cpu template aims at, so that a late one does not leave the others idle.
ITEMS_PER_UNIT = 4

_STORED = (np.dtype(np.float32), np.dtype(np.float16))

Values = Array | npt.NDArray[Any]


def gemv(
    device: Device,
    w: Values,
    x: Values,
    bias: Values | None = None,
    residual: Values | None = None,
    *,
    alpha: float = 1.0,
    epilogue: Epilogue | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """activation(alpha * ``w`` (N, K) @ ``x`` (..., K) + ``bias`` (N) + ``residual`` (..., N)) -> (..., N).

    For one vector or a few; W is read once, whatever their number, on a processor. Weights fp32 or fp16, the rest fp32,
    or fp16 too with fp16 weights; sums in fp32. Lengths may be 0, and K = 0 gives sums of 0.

    numpy in gives numpy out; an Array in gives an Array out. ``out`` must not be one of the inputs. Raises DtypeError
    for other element types, ShapeError when shapes do not fit together, InputError when ``out`` overlaps an input or a
    template cannot run here.
    """
    planned = plan(
        device, w, x, bias, residual, alpha=alpha, epilogue=epilogue, out=out, template=template, params=params
    )
    return given_back(planned, w, x, bias, residual)


def plan(
    device: Device,
    w: Values,
    x: Values,
    bias: Values | None = None,
    residual: Values | None = None,
    *,
    alpha: float = 1.0,
    epilogue: Epilogue | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``gemv`` runs, bound once, for running many times."""
    weights, vectors = as_array(device, "gemv", "w", w, *_STORED), as_array(device, "gemv", "x", x, *_STORED)
    terms = (
        optional_array(device, "gemv", "bias", bias, *_STORED),
        optional_array(device, "gemv", "residual", residual, *_STORED),
    )
    _check_dtypes(weights, vectors, *terms)
    shape = _shape(weights, vectors, *terms)
    target = output(device, "gemv", out, (*vectors.shape[:-1], shape["N"]), vectors.dtype)
    apart("gemv", target, w=weights, x=vectors, bias=terms[0], residual=terms[1])
    chosen, merged = choose(device, SPEC, shape, template, params)
    merged = {
        **merged,
        **{k: v for k, v in _sized(device, chosen.name, shape, merged).items() if k not in (params or {})},
    }
    if target.size == 0:
        return Plan("gemv", chosen.name, merged, (), target)
    if shape["K"] == 0:
        # OpenCL has no empty buffer to pass; the kernels never read these.
        weights, vectors = device.zeros(1, weights.dtype), device.zeros(1, vectors.dtype)
    ends = [(np.int32(one is not None), vectors if one is None else one) for one in terms]
    act = epilogue or Epilogue()
    arguments = (weights, vectors, np.float32(alpha), *ends[0], *ends[1], *act.args(), target)
    macros = {"HALF": shape["half"], "HALF_VALUES": int(vectors.dtype == np.float16), **act.macros()}
    launch = _launch(device, chosen.name, merged, macros, shape, arguments)
    return Plan("gemv", chosen.name, merged, (launch,), target)


def _check_dtypes(w: Array, x: Array, bias: Array | None, residual: Array | None) -> None:
    if x.dtype == np.float16 and w.dtype != np.float16:
        raise DtypeError("gemv", f"expected x of float32, or of float16 with such weights, got {x.dtype} and {w.dtype}")
    for name, one in (("bias", bias), ("residual", residual)):
        if one is not None and one.dtype != x.dtype:
            raise DtypeError("gemv", f"expected {name} of {x.dtype}, as x is, got {one.dtype}")


def _shape(
    w: Values, x: Values, bias: Values | None = None, residual: Values | None = None, **_keywords: Any
) -> dict[str, int]:
    if w.ndim != 2:
        raise ShapeError("gemv", f"expected w of shape (N, K), got {w.shape}")
    if x.ndim < 1 or x.shape[-1] != w.shape[1]:
        raise ShapeError("gemv", f"expected x of shape (..., K) with K = {w.shape[1]} as in w {w.shape}, got {x.shape}")
    if max(w.shape) > MAX_LENGTH:
        raise ShapeError("gemv", f"expected N and K of at most {MAX_LENGTH:,}, got {w.shape}")
    wanted = (*x.shape[:-1], w.shape[0])
    if bias is not None and bias.shape != wanted[-1:]:
        raise ShapeError("gemv", f"expected bias of shape (N,) = {wanted[-1:]}, got {bias.shape}")
    if residual is not None and residual.shape != wanted:
        raise ShapeError("gemv", f"expected residual of shape {wanted}, as the result, got {residual.shape}")
    return {
        "N": w.shape[0],
        "K": w.shape[1],
        "R": math.prod(x.shape[:-1]),
        "half": int(w.dtype == np.float16),
        "half_values": int(x.dtype == np.float16),
        "bias": int(bias is not None),
        "residual": int(residual is not None),
    }


def _sized(device: Device, name: str, shape: Shape, params: Params) -> dict[str, int]:
    """What follows from the shape and the device.

    cpu: TILE_N, or as many rows as give each compute unit several work-items. gpu: WG_Y halved until the group fits.
    """
    if name == "cpu":
        fair = ceil_div(shape["N"], ITEMS_PER_UNIT * device.compute_units)
        return {"TILE_N": max(STREAMS, min(params["TILE_N"], ceil_div(fair, STREAMS) * STREAMS))}
    if name == "gpu":
        waves = params["WG_Y"]
        while waves * WAVEFRONT > (device.limits.work_group or math.inf):
            waves //= 2
        return {"WG_Y": waves}
    return {}


def _launch(
    device: Device,
    name: str,
    params: Params,
    macros: dict[str, int],
    shape: Shape,
    arguments: tuple[Any, ...],
) -> Launch:
    n_rows, n_vectors = shape["N"], shape["R"]
    lengths = np.int32(n_rows), np.int32(shape["K"]), np.int32(n_vectors)
    if name == "cpu":
        kernel = load_kernel(device, "gemv_cpu", "gemv_cpu", macros)
        tile_n = params["TILE_N"]
        return kernel.bind((ceil_div(n_rows, tile_n),), (1,), *lengths, *arguments, np.int32(tile_n))
    if name == "gpu":
        kernel = load_kernel(device, "gemv_gpu", "gemv_gpu", {**params, **macros})
        groups = ceil_div(n_rows, params["WG_Y"] * params["PER_ITEM_N"])
        sizes = groups * WAVEFRONT, n_vectors * params["WG_Y"]
        return kernel.bind(sizes, (WAVEFRONT, params["WG_Y"]), *lengths, *arguments)
    (across,), (group,) = plain_sizes(device, n_rows)
    kernel = load_kernel(device, "gemv", "gemv_plain", macros)
    return kernel.bind((across, n_vectors), (group, 1), *lengths, *arguments)


def _turns(name: str, shape: Shape) -> int:
    """No fewer loop turns than a work-item makes, with the smallest tile."""
    depth = shape["K"]
    if name == "plain":
        return depth
    return ceil_div(depth, 4 * WAVEFRONT) + 64 if name == "gpu" else shape["R"] * (depth // 16 + 40)


def _refusal(name: str) -> Callable[[Device, Shape], str | None]:
    def refusal(device: Device, shape: Shape) -> str | None:
        endless = too_many_turns(device, _turns(name, shape))
        return endless or (wants_wavefronts(device, shape) if name == "gpu" else None)

    return refusal


def _cost(shape: Shape) -> Cost:
    n, k, r = shape["N"], shape["K"], shape["R"]
    weights, values = 4 - 2 * shape.get("half", 0), 4 - 2 * shape.get("half_values", 0)
    vectors = r * (k + n * (1 + shape.get("residual", 0))) + n * shape.get("bias", 0)
    return Cost(bytes=weights * n * k + values * vectors, flop=2 * n * k * r)


SPEC = OpSpec(
    name="gemv",
    summary="W (N, K) @ x (K), fp32 or fp16: at least 1 read of W; 2*N*K operations, so memory bounds it",
    templates=(
        Template(
            name="plain",
            source="gemv",
            space={},
            default={},
            precondition="within the device's limit on loop turns, if it has one; one work-item per element",
            applies=_refusal("plain"),
        ),
        Template(
            name="gpu",
            source="gemv_gpu",
            space={"WG_Y": (1, 2, 4), "PER_ITEM_N": (1, 2, 4)},
            default={"WG_Y": 4, "PER_ITEM_N": 4},
            constraints=(
                Constraint(
                    "WG_Y to be 1, 2 or 4: wavefronts of a group, the group limit of AMD's driver",
                    lambda p: p["WG_Y"] in (1, 2, 4),
                ),
                Constraint(
                    "PER_ITEM_N to be 1, 2 or 4: rows whose sums its lanes share out evenly",
                    lambda p: p["PER_ITEM_N"] in (1, 2, 4),
                ),
            ),
            precondition="work-groups of 64 or more; a wavefront takes rows of W",
            applies=_refusal("gpu"),
            preferred_class="gpu",
        ),
        Template(
            name="cpu",
            source="gemv_cpu",
            space={"TILE_N": (16, 64, 256)},
            default={"TILE_N": 64},
            constraints=(
                Constraint(
                    "TILE_N to be a positive multiple of 8: rows that are read at once",
                    lambda p: p["TILE_N"] > 0 and p["TILE_N"] % STREAMS == 0,
                ),
            ),
            precondition="within the device's limit on loop turns, if it has one; eight rows of W at once",
            applies=_refusal("cpu"),
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
