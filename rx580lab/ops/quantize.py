"""fp32 to int8 or uint8 by scales and zero points. Kernels: ``quantize.cl`` (plain), ``quantize_cpu.cl``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError
from rx580lab.ops._quantize_layout import SHORT_RUN, bound, layout, templates
from rx580lab.ops.plan import Cost, OpSpec, Params, Plan, Shape, as_array, choose, given_back, optional_array, output

__all__ = ["SPEC", "plan", "quantize"]

Floats = Array | npt.NDArray[np.float32]
Bytes = Array | npt.NDArray[np.int8] | npt.NDArray[np.uint8]


def quantize(
    device: Device,
    x: Floats,
    scale: Floats,
    zero_point: Bytes | None = None,
    *,
    dtype: npt.DTypeLike | None = None,
    axis: int = 1,
    block: int = 0,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """saturate(round(``x`` / ``scale``) + ``zero_point``), ties to even: ONNX QuantizeLinear, as int8 or uint8.

    ``x`` is fp32 of any shape. ``scale``, fp32, and ``zero_point``, of the result's type, are one value, or one for
    each index along ``axis``, or with ``block`` of x's shape but for ``axis``, where one serves ``block`` neighbours.
    Without a zero point the result is ``dtype``, uint8 where None. NaN becomes the least byte. A quotient within fp32's
    error of the middle between two integers may go to either. numpy in gives numpy out; an Array in gives an Array out.
    Raises DtypeError, ShapeError, InputError.
    """
    keywords: dict[str, Any] = {"dtype": dtype, "axis": axis, "block": block}
    made = plan(device, x, scale, zero_point, **keywords, out=out, template=template, params=params)
    return given_back(made, x, scale, zero_point)


def plan(
    device: Device,
    x: Floats,
    scale: Floats,
    zero_point: Bytes | None = None,
    *,
    dtype: npt.DTypeLike | None = None,
    axis: int = 1,
    block: int = 0,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launch that ``quantize`` runs, bound once, for running many times."""
    source = as_array(device, "quantize", "x", x)
    factors = as_array(device, "quantize", "scale", scale)
    zeros = optional_array(device, "quantize", "zero_point", zero_point, np.int8, np.uint8)
    kind = _kind(zeros, dtype)
    found = layout("quantize", source.shape, factors.shape, None if zeros is None else zeros.shape, axis, block)
    target = output(device, "quantize", out, source.shape, kind)
    few = "plain" if found.letters["RUN"] < SHORT_RUN else None
    chosen, merged = choose(device, SPEC, found.letters, template or few, params)
    if target.size == 0:
        return Plan("quantize", chosen.name, merged, (), target)
    tail = np.uint32(zeros is not None), np.int32(128 if kind == np.int8 else 0)
    held = device.zeros(1, np.uint8) if zeros is None else zeros
    launch = bound(device, "quantize", chosen, merged, found, (source, factors, held, target), tail)
    return Plan("quantize", chosen.name, merged, (launch,), target, (held,))


def _kind(zeros: Any, dtype: npt.DTypeLike | None) -> np.dtype[Any]:
    kind: np.dtype[Any] = np.dtype(dtype) if dtype is not None else np.dtype(np.uint8 if zeros is None else zeros.dtype)
    if kind not in (np.int8, np.uint8) or (zeros is not None and zeros.dtype != kind):
        wanted = "int8 or uint8" if zeros is None else f"{zeros.dtype} as its zero_point"
        raise DtypeError("quantize", f"expected a result of {wanted}, got {kind}")
    return kind


def _shape(
    x: Floats,
    scale: Floats,
    zero_point: Bytes | None = None,
    *,
    axis: int = 1,
    block: int = 0,
    **_keywords: Any,
) -> dict[str, int]:
    zeros = None if zero_point is None else zero_point.shape
    return layout("quantize", x.shape, scale.shape, zeros, axis, block).letters


def _cost(shape: Shape) -> Cost:
    n_values = shape["O"] * shape["C"] * shape["I"]
    return Cost(bytes=5 * n_values + 5 * shape["P"], flop=2 * n_values)


SPEC = OpSpec(
    name="quantize",
    summary="ONNX QuantizeLinear to int8 or uint8: 1 read of 4 bytes + 1 write of 1 an element",
    templates=templates("quantize"),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
