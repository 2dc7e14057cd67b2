"""Division of rows by their root mean square. Kernels: ``rmsnorm.cl`` and, by template, ``rmsnorm_{gpu,cpu}.cl``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.device import Array, Device
from rx580lab.errors import ShapeError
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

__all__ = ["SPEC", "plan", "rmsnorm"]

Values = Array | npt.NDArray[np.floating[Any]]


def rmsnorm(
    device: Device,
    x: Values,
    scale: Values,
    residual: Values | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """X / sqrt(mean(x^2) + epsilon) * scale, the mean over ``axis`` and all axes after it (ONNX RMSNormalization).

    ``scale`` has the shape of those axes. With ``residual``, of the shape of ``x``, the sum x + residual is normalized,
    and the result is two arrays: the norm and that sum, rounded as stored. fp32, or fp16 with fp32 arithmetic, the same
    type for all; squares must stay within fp32. numpy in gives numpy out; an Array in gives an Array out; ``out`` may
    be ``x``. Raises DtypeError, ShapeError, and InputError for a negative ``epsilon``.
    """
    keywords: dict[str, Any] = {"axis": axis, "epsilon": epsilon, "out": out, "template": template, "params": params}
    return given_back(plan(device, x, scale, residual, **keywords), x, scale, residual)


def plan(
    device: Device,
    x: Values,
    scale: Values,
    residual: Values | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launch that ``rmsnorm`` runs, bound once, for running many times."""
    source = as_array(device, "rmsnorm", "x", x, *STORED)
    factors = as_array(device, "rmsnorm", "scale", scale, source.dtype)
    added = optional_array(device, "rmsnorm", "residual", residual, source.dtype)
    shape = _shape(source, factors, added, axis=axis)
    smallest = checked_epsilon("rmsnorm", epsilon)
    target = output(device, "rmsnorm", out, source.shape, source.dtype)
    apart("rmsnorm", target, scale=factors, residual=added)
    chosen, merged = choose(device, SPEC, shape, template, params)
    merged = sized_group(device, merged, params, shape["C"])
    more = () if added is None else (device.scratch(source.shape, source.dtype),)
    if source.size == 0:
        return Plan("rmsnorm", chosen.name, merged, (), target, more=more)
    arrays = (source, factors, source if added is None else added, target, *(more or (target,)))
    macros = {"HALF": int(source.dtype == np.float16), "RESIDUAL": int(added is not None)}
    launch = launch_rows(device, "rmsnorm", chosen, merged, macros, shape, arrays, smallest)
    return Plan("rmsnorm", chosen.name, merged, (launch,), target, more=more)


def _shape(
    x: Values, scale: Values, residual: Values | None = None, *, axis: int = -1, epsilon: float = 0
) -> dict[str, int]:
    del epsilon  # no length
    if residual is not None and residual.shape != x.shape:
        raise ShapeError("rmsnorm", f"expected residual of shape {x.shape} as x, got {residual.shape}")
    return {**rows_and_columns("rmsnorm", x, scale, axis), "residual": int(residual is not None)}


def _cost(shape: Shape) -> Cost:
    # Per element: product, sum, product, product; with a residual one sum more.
    n_values, passes = shape["R"] * shape["C"], 2 + 2 * shape["residual"]
    return Cost(bytes=shape["itemsize"] * (passes * n_values + shape["C"]), flop=(4 + shape["residual"]) * n_values)


SPEC = OpSpec(
    name="rmsnorm",
    summary="x / sqrt(mean(x^2) + epsilon) * scale over rows of (R, C): 1 read + 1 write of R*C values",
    templates=row_templates("rmsnorm"),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
