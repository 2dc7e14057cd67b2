"""int8, uint8 or int32 to fp32 by scales and zero points. Kernels: ``dequantize.cl`` (plain), ``dequantize_cpu.cl``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.device import Array, Device
from rx580lab.ops._quantize_layout import SHORT_RUN, bound, layout, templates
from rx580lab.ops.plan import Cost, OpSpec, Params, Plan, Shape, as_array, choose, given_back, optional_array, output

__all__ = ["SPEC", "dequantize", "plan"]

Floats = Array | npt.NDArray[Any]
Wholes = Array | npt.NDArray[Any]


def dequantize(
    device: Device,
    x: Wholes,
    scale: Floats,
    zero_point: Wholes | None = None,
    *,
    axis: int = 1,
    block: int = 0,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """(``x`` - ``zero_point``) * ``scale`` in fp32: ONNX DequantizeLinear.

    ``x`` is int8, uint8 or int32 (its difference from the zero point wraps) of any shape. ``scale``, fp32, and
    ``zero_point``, of x's type, are one value, or one for each index along ``axis``, or with ``block`` of x's shape but
    for ``axis``, where one serves ``block`` neighbours. numpy in gives numpy out; an Array in gives an Array out.
    Raises DtypeError, ShapeError, InputError.
    """
    keywords: dict[str, Any] = {"axis": axis, "block": block}
    made = plan(device, x, scale, zero_point, **keywords, out=out, template=template, params=params)
    return given_back(made, x, scale, zero_point)


def plan(
    device: Device,
    x: Wholes,
    scale: Floats,
    zero_point: Wholes | None = None,
    *,
    axis: int = 1,
    block: int = 0,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launch that ``dequantize`` runs, bound once, for running many times."""
    source = as_array(device, "dequantize", "x", x, np.int8, np.uint8, np.int32)
    factors = as_array(device, "dequantize", "scale", scale)
    zeros = optional_array(device, "dequantize", "zero_point", zero_point, source.dtype)
    found = layout("dequantize", source.shape, factors.shape, None if zeros is None else zeros.shape, axis, block)
    target = output(device, "dequantize", out, source.shape)
    few = "plain" if found.letters["RUN"] < SHORT_RUN else None
    chosen, merged = choose(device, SPEC, found.letters, template or few, params)
    if target.size == 0:
        return Plan("dequantize", chosen.name, merged, (), target)
    macros = {**merged, "WHOLE": int(source.dtype == np.int32)}
    tail = np.uint32(zeros is not None), np.int32(128 if source.dtype == np.int8 else 0)
    held = device.zeros(1, source.dtype) if zeros is None else zeros
    launch = bound(device, "dequantize", chosen, macros, found, (source, factors, held, target), tail)
    return Plan("dequantize", chosen.name, merged, (launch,), target, (held,))


def _shape(
    x: Wholes,
    scale: Floats,
    zero_point: Wholes | None = None,
    *,
    axis: int = 1,
    block: int = 0,
    **_keywords: Any,
) -> dict[str, int]:
    zeros = None if zero_point is None else zero_point.shape
    found = layout("dequantize", x.shape, scale.shape, zeros, axis, block).letters
    return {**found, "itemsize": x.dtype.itemsize}


def _cost(shape: Shape) -> Cost:
    n_values = shape["O"] * shape["C"] * shape["I"]
    each = shape["itemsize"] + 4
    return Cost(bytes=each * (n_values + shape["P"]), flop=2 * n_values)


SPEC = OpSpec(
    name="dequantize",
    summary="ONNX DequantizeLinear of int8, uint8 or int32: 1 read + 1 write of 4 bytes an element",
    templates=templates("dequantize"),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
