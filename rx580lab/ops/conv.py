"""Convolution over one to three spatial axes, with what may follow it. Kernels: ``conv.cl`` (plain)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import ShapeError
from rx580lab.ops._conv_geometry import Geometry, Lengths, geometry, int4
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
    optional_array,
    output,
)
from rx580lab.ops.sizing import plain_sizes, too_many_turns

__all__ = ["SPEC", "conv", "plan"]

FLOATS = (np.float32, np.float16)
# Bits of a kernel's argument ``flags``.
WITH_BIAS, WITH_RESIDUAL = 1, 2

AnyArray = Array | npt.NDArray[Any]


def conv(
    device: Device,
    x: AnyArray,
    w: AnyArray,
    bias: AnyArray | None = None,
    residual: AnyArray | None = None,
    *,
    strides: Lengths = None,
    dilations: Lengths = None,
    pads: Lengths = None,
    group: int = 1,
    activation: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """ONNX Conv: ``x`` (N, C, ...) by ``w`` (K, C/group, ...) -> (N, K, ...), with one to three spatial axes.

    Each value is activation(sum + bias + residual): ``bias`` (K), ``residual`` of out's shape, ``activation`` with its
    ``alpha`` and ``beta`` as in ``ops.epilogue``. ``pads`` are all begins, then all ends; None is 0, and 1 for
    ``strides`` and ``dilations``. All arrays fp32, or all fp16 with sums in fp32; lengths of x may be 0.
    numpy in gives numpy out; an Array in gives an Array out. Raises ShapeError, DtypeError, or InputError when ``out``
    is one of the inputs.
    """
    planned = plan(
        device, x, w, bias, residual, strides=strides, dilations=dilations, pads=pads, group=group,
        activation=activation, alpha=alpha, beta=beta, out=out, template=template, params=params,
    )  # fmt: skip
    return given_back(planned, x, w, bias, residual)


def plan(
    device: Device,
    x: AnyArray,
    w: AnyArray,
    bias: AnyArray | None = None,
    residual: AnyArray | None = None,
    *,
    strides: Lengths = None,
    dilations: Lengths = None,
    pads: Lengths = None,
    group: int = 1,
    activation: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``conv`` runs, bound once, for running many times."""
    source = as_array(device, "conv", "x", x, *FLOATS)
    weights = as_array(device, "conv", "w", w, source.dtype)
    found = geometry("conv", source, weights, strides=strides, dilations=dilations, pads=pads, group=group)
    shift = optional_array(device, "conv", "bias", bias, source.dtype)
    added = optional_array(device, "conv", "residual", residual, source.dtype)
    for name, one, wanted in (("bias", shift, (found.filters,)), ("residual", added, found.out_shape)):
        if one is not None and one.shape != wanted:
            raise ShapeError("conv", f"expected {name} of shape {wanted}, got {one.shape}")
    target = output(device, "conv", out, found.out_shape, source.dtype)
    apart("conv", target, x=source, w=weights, bias=shift, residual=added)
    epilogue = Epilogue(activation, alpha, beta)
    chosen, merged = choose(device, SPEC, found.letters, template, params)
    if target.size == 0:
        return Plan("conv", chosen.name, merged, (), target)
    macros = {**merged, **epilogue.macros(), "HALF": int(source.dtype == np.float16)}
    kernel = load_kernel(device, chosen.source, f"conv_{chosen.name}", macros)
    unused = device.zeros(1, source.dtype)  # OpenCL has no absent or empty buffer; no kernel reads this one
    flags = WITH_BIAS * (shift is not None) + WITH_RESIDUAL * (added is not None)
    arrays = (one if one is not None and one.size else unused for one in (source, weights, shift, added))
    launch = kernel.bind(
        *plain_sizes(device, found.n_out), *_lengths(found), np.int32(flags), *epilogue.args(), *arrays, target
    )
    return Plan("conv", chosen.name, merged, (launch,), target)


def _lengths(found: Geometry) -> tuple[Any, ...]:
    counts = np.uint32(found.n_out), np.uint32(found.channels_each), np.uint32(found.filters_each)
    triples = found.size, found.out, found.kernel, found.strides, found.dilations, found.before
    return (*counts, np.uint32(found.group), *map(int4, triples))


def _shape(
    x: AnyArray,
    w: AnyArray,
    *_optional: AnyArray | None,
    strides: Lengths = None,
    dilations: Lengths = None,
    pads: Lengths = None,
    group: int = 1,
    **_epilogue: Any,
) -> dict[str, int]:
    found = geometry("conv", x, w, strides=strides, dilations=dilations, pads=pads, group=group)
    return {**found.letters, "bytes": x.dtype.itemsize}


def _cost(shape: Shape) -> Cost:
    depth = shape["C"] // shape["G"] * shape["R"] * shape["S"] * shape["T"]
    n_out = shape["B"] * shape["K"] * shape["OD"] * shape["OH"] * shape["OW"]
    n_in = shape["B"] * shape["C"] * shape["D"] * shape["H"] * shape["W"]
    return Cost(bytes=shape["bytes"] * (n_in + n_out + shape["K"] * depth), flop=2 * n_out * depth)


def _plain_refusal(device: Device, shape: Shape) -> str | None:
    rows = shape["C"] // shape["G"] * shape["T"] * shape["R"]
    return too_many_turns(device, rows * (shape["S"] + 1) + shape["C"] // shape["G"] * (shape["T"] + 1))


SPEC = OpSpec(
    name="conv",
    summary="ONNX Conv, one to three axes: at least 1 read of x and w + 1 write of out; 2*C/G*R*S*T operations a value",
    templates=(
        Template(
            name="plain",
            source="conv",
            space={},
            default={},
            precondition="within the device's limit on loop turns, if it has one; one work-item per element",
            applies=_plain_refusal,
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
