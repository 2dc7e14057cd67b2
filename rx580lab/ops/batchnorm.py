"""Normalization of channels by given moments, as inference has it. Kernels: ``batchnorm.cl``, ``batchnorm_cpu.cl``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import ShapeError
from rx580lab.ops._layernorm_rows import STORED, checked_epsilon
from rx580lab.ops.epilogue import Epilogue
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

__all__ = ["SPEC", "batchnorm", "plan"]

# What a work-item of the cpu template should at least chew on; unit: values. Well above the 10 ns that a group costs.
ITEM_ELEMENTS = 16384
# Shorter rows than a vector leave the cpu template nothing but scalars, and a root for each row.
SHORT_ROW = 16

Values = Array | npt.NDArray[np.floating[Any]]


def batchnorm(
    device: Device,
    x: Values,
    scale: Values,
    bias: Values,
    mean: Values,
    variance: Values,
    *,
    epsilon: float = 1e-5,
    activation: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """activation((x - mean) / sqrt(variance + epsilon) * scale + bias), a value of each per channel (axis 1 of ``x``).

    ONNX BatchNormalization at inference: ``x`` (N, C, ...) of any rank from 2, the others (C,); fp32, or fp16 with fp32
    arithmetic, the same type for all. ``activation``, ``alpha`` and ``beta`` as in ``ops.epilogue.Epilogue``. numpy in
    gives numpy out; an Array in gives an Array out; ``out`` may be ``x``. Raises DtypeError, ShapeError, and InputError
    for a negative ``epsilon`` or an unknown activation.
    """
    keywords: dict[str, Any] = {"epsilon": epsilon, "activation": activation, "alpha": alpha, "beta": beta}
    planned = plan(device, x, scale, bias, mean, variance, **keywords, out=out, template=template, params=params)
    return given_back(planned, x, scale, bias, mean, variance)


def plan(
    device: Device,
    x: Values,
    scale: Values,
    bias: Values,
    mean: Values,
    variance: Values,
    *,
    epsilon: float = 1e-5,
    activation: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launch that ``batchnorm`` runs, bound once, for running many times."""
    source = as_array(device, "batchnorm", "x", x, *STORED)
    given = {"scale": scale, "bias": bias, "mean": mean, "variance": variance}
    channels = {name: as_array(device, "batchnorm", name, one, source.dtype) for name, one in given.items()}
    shape = _shape(source, *channels.values())
    end = Epilogue(activation, alpha, beta)
    added = checked_epsilon("batchnorm", epsilon)
    target = output(device, "batchnorm", out, source.shape, source.dtype)
    apart("batchnorm", target, **channels)
    few = "plain" if shape["I"] < SHORT_ROW else None
    chosen, merged = choose(device, SPEC, shape, template or few, params)
    if source.size == 0:
        return Plan("batchnorm", chosen.name, merged, (), target)
    macros = {**merged, **end.macros(), "HALF": int(source.dtype == np.float16)}
    kernel = load_kernel(device, chosen.source, f"batchnorm_{chosen.name}", macros)
    arrays = (source, *channels.values(), target)
    lengths = np.uint32(shape["C"]), np.uint32(shape["I"]), added, *end.args()
    if chosen.name == "cpu":
        n_rows, per_item = shape["N"] * shape["C"], _rows_per_item(device, shape)
        sizes = (ceil_div(n_rows, per_item),), (1,)
        launch = kernel.bind(*sizes, *arrays, np.uint32(n_rows), *lengths, np.uint32(per_item))
    else:
        launch = kernel.bind(*plain_sizes(device, source.size), *arrays, np.uint32(source.size), *lengths)
    return Plan("batchnorm", chosen.name, merged, (launch,), target)


def _shape(x: Values, *channels: Values, **_keywords: Any) -> dict[str, int]:
    if x.ndim < 2:
        raise ShapeError("batchnorm", f"expected x of shape (N, C, ...), got {x.shape}")
    for name, one in zip(("scale", "bias", "mean", "variance"), channels, strict=True):
        if one.shape != (x.shape[1],):
            raise ShapeError("batchnorm", f"expected {name} of shape ({x.shape[1]},), got {one.shape}")
    checked_count("batchnorm", x.size)
    lengths = {"N": x.shape[0], "C": x.shape[1], "I": math.prod(x.shape[2:])}
    return {**lengths, "itemsize": np.dtype(x.dtype).itemsize}


def _turns(shape: Shape) -> int:
    """No fewer loop turns than the cpu template makes for one row."""
    return shape["I"] // 16 + 17


def _rows_per_item(device: Device, shape: Shape) -> int:
    n_rows = shape["N"] * shape["C"]
    per_item = min(ceil_div(ITEM_ELEMENTS, shape["I"]), ceil_div(n_rows, 4 * device.compute_units))
    if turn_limit(device) < math.inf:
        per_item = min(per_item, int(turn_limit(device)) // _turns(shape))
    return max(per_item, 1)


def _cost(shape: Shape) -> Cost:
    # Per element: difference, product, sum.
    n_values = shape["N"] * shape["C"] * shape["I"]
    return Cost(bytes=shape["itemsize"] * (2 * n_values + 4 * shape["C"]), flop=3 * n_values)


SPEC = OpSpec(
    name="batchnorm",
    summary="(x - mean) * scale / sqrt(variance + epsilon) + bias per channel of (N, C, I): 1 read + 1 write of N*C*I",
    templates=(
        Template(
            name="plain",
            source="batchnorm",
            space={},
            default={},
            precondition=f"always; one work-item per value; chosen for channels of fewer than {SHORT_ROW} values",
        ),
        Template(
            name="cpu",
            source="batchnorm_cpu",
            space={},
            default={},
            precondition="within the device's limit on loop turns, if it has one; a work-item takes whole channels",
            applies=lambda device, shape: too_many_turns(device, _turns(shape)),
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
