"""A function of each element, of operands that broadcast. Kernels: ``elementwise.cl`` (plain), ``_cpu``, ``_cast``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import InputError, ShapeError
from rx580lab.ops._elementwise_functions import (
    CAST_CODES,
    ORDER,
    Function,
    find,
    macros,
    parameters,
    result_dtype,
    uses_calls,
)
from rx580lab.ops.plan import Cost, OpSpec, Params, Plan, Shape, Template, as_array, choose, given_back, output
from rx580lab.ops.sizing import ceil_div, checked_count, plain_sizes, turn_limit

__all__ = ["SPEC", "elementwise", "plan"]

# What a work-item of the cpu template should at least chew on; unit: elements. Well above the 10 ns that a group costs.
ITEM_ELEMENTS = 16384
# Axes that are kernel arguments (include/broadcast.h).
AXES = 5

Operand = Array | npt.NDArray[Any]
# An axis: its length, and the stride of each of three operands along it; unit: elements.
Axis = tuple[int, int, int, int]


def elementwise(
    device: Device,
    *arrays: Operand | None,
    function: str,
    alpha: float | None = None,
    beta: float | None = None,
    to: npt.DTypeLike | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``function`` of each element of one, two or three arrays, which broadcast to one shape as numpy's do.

    fp32, and fp16 storage with fp32 arithmetic:
        neg abs exp log sqrt reciprocal floor ceil round (half to even) sign erf relu leaky_relu clip hard_swish
        hard_swish_affine hard_sigmoid gelu gelu_tanh silu sigmoid tanh elu selu softplus mish softsign thresholded_relu
        (``alpha`` and ``beta`` as in ``Epilogue``; thresholded_relu's alpha is 1); sin cos tan asin acos atan sinh cosh
        asinh acosh atanh; add sub mul div pow fmod min max (NaN comes through) prelu (x, slope); clip (x, low, high;
        None for no bound); to bool: isnan isinf equal less less_or_equal greater greater_or_equal.
    int32, int64, uint8, int8:
        neg abs sign relu add sub mul (all wrap) div (truncates) mod (the sign of the divisor) fmod (of the dividend)
        pow (wraps) min max clip and or xor bitwise_not, and the comparisons. A division by 0 gives 0.
    bool:
        not and or xor equal.
    where (condition of bool, x, y) and cast (``to``) take any of these. A float is cast to an integer by truncation, to
    the nearest end of the range beyond it, NaN to 0; an integer too wide for its target wraps.

    The arrays have one dtype, which is the result's, unless it is bool or ``to``. numpy in gives numpy out; an Array in
    gives an Array out. ``out`` may be an input of its own shape and element size. Raises ShapeError for arrays that do
    not broadcast or are too many or too few, DtypeError for a dtype that the function does not have.
    """
    made = plan(
        device,
        *arrays,
        function=function,
        alpha=alpha,
        beta=beta,
        to=to,
        out=out,
        template=template,
        params=params,
    )
    return given_back(made, *arrays)


def plan(
    device: Device,
    *arrays: Operand | None,
    function: str,
    alpha: float | None = None,
    beta: float | None = None,
    to: npt.DTypeLike | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``elementwise`` runs, bound once, for running many times."""
    known = find(function, arrays)
    shape = _shape(*arrays, function=function, alpha=alpha, beta=beta, to=to)
    scalars = parameters(known, alpha, beta)
    operands = _operands(device, known, arrays)
    whole = np.broadcast_shapes(*(one.shape for one in operands))
    target = output(device, "elementwise", out, whole, result_dtype(known, operands[-1].dtype, to))
    _check_alias(target, operands)
    chosen, merged = choose(device, SPEC, shape, template, params)
    if target.size == 0:
        return Plan("elementwise", chosen.name, merged, (), target)
    if known.name == "cast":
        launches: tuple[Launch, ...] = (_cast(device, chosen, merged, operands[0], target),)
    else:
        launches = _launches(device, known, chosen, merged, operands, target, scalars)
    return Plan("elementwise", chosen.name, merged, launches, target)


def _shape(
    *arrays: Operand | None,
    function: str,
    alpha: float | None = None,
    beta: float | None = None,
    to: npt.DTypeLike | None = None,
) -> dict[str, int]:
    """N elements come out, each of OUT_BYTES, of IN_BYTES in all.

    CALLS: whether builtins compute them. SIGNED_BYTES: whether it is arithmetic on int8.
    """
    known = find(function, arrays)
    given = [one for one in arrays if one is not None]
    try:
        whole = np.broadcast_shapes(*(one.shape for one in given))
    except ValueError as error:
        shapes = " and ".join(str(one.shape) for one in given)
        raise ShapeError("elementwise", f"expected shapes that broadcast, got {shapes}") from error
    for n in (math.prod(whole), *(one.size for one in given)):
        checked_count("elementwise", n)
    dtype = np.dtype(given[-1].dtype)
    parameters(known, alpha, beta)
    return {
        "N": math.prod(whole),
        "IN_BYTES": sum(one.size * one.dtype.itemsize for one in given),
        "OUT_BYTES": result_dtype(known, dtype, to).itemsize,
        "CALLS": int(uses_calls(known, dtype)),
        "SIGNED_BYTES": int(dtype == np.int8 and not known.truth and known.name not in ("where", "cast")),
    }


def _operands(device: Device, function: Function, arrays: Sequence[Operand | None]) -> list[Array]:
    """The arrays on the device; a bound of ``clip`` that is not given is the end of the type's range."""
    dtype = next(one for one in reversed(arrays) if one is not None).dtype
    if function.name == "clip":
        ends = (-np.inf, np.inf) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        bounds = zip(arrays[1:], ends, strict=True)
        arrays = [arrays[0], *(given if given is not None else np.array(end, dtype) for given, end in bounds)]
    return [
        as_array(device, "elementwise", name, one, one.dtype)
        for name, one in zip("abc", arrays, strict=False)
        if one is not None
    ]


def _check_alias(out: Array, operands: Sequence[Array]) -> None:
    for name, one in zip("abc", operands, strict=False):
        same_place = out.size and one.int_ptr == out.int_ptr
        if same_place and (one.shape != out.shape or one.dtype.itemsize != out.dtype.itemsize):
            raise InputError(
                "elementwise",
                f"expected out to share memory only with an input of its shape and element size, got {name} "
                f"{one.shape} of {one.dtype} for out {out.shape} of {out.dtype}",
            )


def _axes(shapes: Sequence[tuple[int, ...]], whole: tuple[int, ...]) -> list[Axis]:
    """The output's axes, innermost first, without those of length 1; neighbours that all operands cross alike are one.

    Operands are contiguous, so along the first axis each moves by 0 or 1.
    """
    strides = []
    for shape in [*shapes, *[()] * (3 - len(shapes))]:
        step, own = 1, []
        for n in reversed(shape):
            own.append(0 if n == 1 else step)
            step *= n
        strides.append(own + [0] * (len(whole) - len(shape)))
    axes: list[Axis] = []
    for n, *steps in zip(reversed(whole), *strides, strict=True):
        if n == 1:
            continue
        if axes and all(step == before * axes[-1][0] for step, before in zip(steps, axes[-1][1:], strict=True)):
            length, *inner = axes[-1]
            axes[-1] = (length * n, *inner)
        else:
            axes.append((n, *steps))
    return axes or [(1, 0, 0, 0)]


def _launches(
    device: Device,
    function: Function,
    chosen: Template,
    params: Params,
    operands: Sequence[Array],
    out: Array,
    scalars: tuple[np.float32, np.float32],
) -> tuple[Launch, ...]:
    axes = _axes([one.shape for one in operands], out.shape)
    inner, beyond = axes[:AXES], axes[AXES:]
    inner += [(1, 0, 0, 0)] * (AXES - len(inner))
    n = math.prod(axis[0] for axis in inner)
    built = {**macros(function, operands[-1].dtype), **params}
    kernel = load_kernel(device, chosen.source, f"elementwise_{chosen.name}", built)
    sizes: tuple[tuple[int, ...], tuple[int, ...]]
    counts: tuple[np.uint32, ...]
    if chosen.name == "cpu":
        width, rows = inner[0][0], n // inner[0][0]
        per_item = _rows_per_item(device, min(width, params["TILE"]), rows)
        sizes = (ceil_div(width, params["TILE"]), ceil_div(rows, per_item)), (1, 1)
        counts = (np.uint32(rows), np.uint32(per_item))
    else:
        sizes, counts = plain_sizes(device, n), (np.uint32(n),)
    buffers = [*operands, *[operands[-1]] * (3 - len(operands))]
    code = np.int32(ORDER.index(function.name))
    numbers = [np.uint32(number) for axis in inner for number in axis]
    launches = []
    for place, index in enumerate(itertools.product(*(range(axis[0]) for axis in reversed(beyond)))):
        bases = (sum(i * axis[k] for i, axis in zip(reversed(index), beyond, strict=True)) for k in (1, 2, 3))
        offsets = [np.uint32(base) for base in (*bases, place * n)]
        launches.append(kernel.bind(*sizes, *buffers, out, code, *scalars, *counts, *numbers, *offsets))
    return tuple(launches)


def _rows_per_item(device: Device, width: int, n_rows: int) -> int:
    """How many runs of ``width`` a work-item takes: enough work, but for each compute unit some."""
    return max(1, min(ceil_div(ITEM_ELEMENTS, width), ceil_div(n_rows, 4 * device.compute_units)))


def _cast(device: Device, chosen: Template, params: Params, x: Array, out: Array) -> Launch:
    tile = {"TILE": params["TILE"]} if chosen.name == "cpu" else {}
    built = {"FROM": CAST_CODES[str(x.dtype)], **tile}
    kernel = load_kernel(device, "elementwise_cast", f"cast_{chosen.name}", built)
    sizes = ((ceil_div(x.size, tile["TILE"]),), (1,)) if tile else plain_sizes(device, x.size)
    return kernel.bind(*sizes, x, out, np.int32(CAST_CODES[str(out.dtype)]), np.uint32(x.size))


def _plain_applies(device: Device, shape: Shape) -> str | None:
    if shape["SIGNED_BYTES"] and turn_limit(device) < math.inf:
        return "Mesa 22.3 ends the process when it compiles quotients or minima of signed bytes for llvmpipe"
    return None


def _cpu_applies(device: Device, shape: Shape) -> str | None:
    if turn_limit(device) < math.inf:
        return "llvmpipe takes minutes to compile its loops, one for each function"
    if shape["CALLS"]:
        return "the function is one of OpenCL's own, which stays a call for each element"
    return None


def _cost(shape: Shape) -> Cost:
    return Cost(bytes=shape["IN_BYTES"] + shape["N"] * shape["OUT_BYTES"], flop=shape["N"])


SPEC = OpSpec(
    name="elementwise",
    summary="a function of each element of operands that broadcast: 1 read of each operand + 1 write of N elements",
    templates=(
        Template(
            name="plain",
            source="elementwise",
            space={},
            default={},
            precondition="but for arithmetic on int8 where loop turns are limited; one work-item per element",
            applies=_plain_applies,
        ),
        Template(
            name="cpu",
            source="elementwise_cpu",
            space={"TILE": (4096, 16384, 32768), "STREAM_FROM": (2097152, 8388608, 33554432)},
            default={"TILE": 32768, "STREAM_FROM": 8388608},
            precondition="functions that are not OpenCL's own, no limit on loop turns; work-groups of one walk runs",
            applies=_cpu_applies,
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
