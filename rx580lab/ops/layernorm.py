"""Normalization of rows to mean 0 and variance 1. Kernels: ``layernorm.cl``, by template ``layernorm_{gpu,cpu}.cl``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.device import Array, Device
from rx580lab.ops._layernorm_rows import (
    STORED,
    checked_epsilon,
    launch_rows,
    row_templates,
    rows_and_columns,
    sized_group,
)
from rx580lab.ops.plan import (
    Cost,
    OpSpec,
    Params,
    Plan,
    Shape,
    apart,
    as_array,
    choose,
    given_back,
    optional_array,
    output,
)

__all__ = ["SPEC", "layernorm", "plan"]

Values = Array | npt.NDArray[np.floating[Any]]


def layernorm(
    device: Device,
    x: Values,
    scale: Values,
    bias: Values | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, moments over ``axis`` and all axes after it.

    ONNX LayerNormalization: ``scale`` and ``bias`` have the shape of those axes; fp32, or fp16 with fp32 arithmetic,
    the same type for all. A row with NaN or an infinity becomes NaN throughout. numpy in gives numpy out; an Array in
    gives an Array out; ``out`` may be ``x``. Raises DtypeError, ShapeError, and InputError for a negative ``epsilon``.
    """
    keywords: dict[str, Any] = {"axis": axis, "epsilon": epsilon, "out": out, "template": template, "params": params}
    return given_back(plan(device, x, scale, bias, **keywords), x, scale, bias)


def plan(
    device: Device,
    x: Values,
    scale: Values,
    bias: Values | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launch that ``layernorm`` runs, bound once, for running many times."""
    source = as_array(device, "layernorm", "x", x, *STORED)
    factors = as_array(device, "layernorm", "scale", scale, source.dtype)
    shifts = optional_array(device, "layernorm", "bias", bias, source.dtype)
    shape = _shape(source, factors, shifts, axis=axis)
    added = checked_epsilon("layernorm", epsilon)
    target = output(device, "layernorm", out, source.shape, source.dtype)
    apart("layernorm", target, scale=factors, bias=shifts)
    chosen, merged = choose(device, SPEC, shape, template, params)
    merged = sized_group(device, merged, params, shape["C"])
    if source.size == 0:
        return Plan("layernorm", chosen.name, merged, (), target)
    if shifts is None:
        shifts = device.zeros(factors.shape, factors.dtype)
    arrays = (source, factors, shifts, target)
    macros = {"HALF": int(source.dtype == np.float16)}
    launch = launch_rows(device, "layernorm", chosen, merged, macros, shape, arrays, added)
    return Plan("layernorm", chosen.name, merged, (launch,), target)


def _shape(
    x: Values, scale: Values, bias: Values | None = None, *, axis: int = -1, epsilon: float = 0
) -> dict[str, int]:
    del epsilon  # no length
    return rows_and_columns("layernorm", x, scale, axis, bias=bias)


def _cost(shape: Shape) -> Cost:
    # Per element: sum; difference, sum, product, sum; two differences, product, product, sum.
    n_values = shape["R"] * shape["C"]
    return Cost(bytes=shape["itemsize"] * (2 * n_values + 2 * shape["C"]), flop=10 * n_values)


SPEC = OpSpec(
    name="layernorm",
    summary="(x - mean) / sqrt(variance + epsilon) * scale + bias over rows of (R, C): 1 read + 1 write of R*C values",
    templates=row_templates("layernorm"),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
