"""The recurrence of an LSTM, over products of its inputs that are there already. Kernels: ``lstm.cl``, ``lstm_cpu.cl``.

The input products of all steps are one ``gemm`` (or ``gemm_i8_i8``), which this op leaves to that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import InputError, ShapeError
from rx580lab.ops.plan import (
    Cost,
    OpSpec,
    Params,
    Plan,
    Shape,
    Template,
    as_array,
    choose,
    given_back,
    optional_array,
    output,
)
from rx580lab.ops.sizing import WAVEFRONT, ceil_div, checked_count, too_many_turns, turn_limit

__all__ = ["DIRECTIONS", "SPEC", "lstm", "plan"]

Operand = Array | npt.NDArray[Any]
# Direction -> (how many, which of them run backwards, as bits).
DIRECTIONS = {"forward": (1, 0), "reverse": (1, 1), "bidirectional": (2, 2)}


def lstm(
    device: Device,
    gates: Operand,
    r: Operand,
    bias: Operand | None = None,
    initial_h: Operand | None = None,
    initial_c: Operand | None = None,
    lengths: Operand | None = None,
    peephole: Operand | None = None,
    r_scale: Operand | None = None,
    r_zero_point: Operand | None = None,
    *,
    direction: str = "forward",
    clip: float | None = None,
    out: Array | None = None,
    out_h: Array | None = None,
    out_c: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """All states (T, D, B, H), and the last h and c (D, B, H): ONNX LSTM with sigmoid, tanh and tanh.

    T steps of B sequences; D is 2 for ``direction`` bidirectional, else 1. ``gates`` (D, T, B, 4H), fp32: the products
    of the inputs, gates in ONNX's order: input, output, forget, cell. ``r`` (D, H, 4H): the weights of the state,
    transposed. ``bias`` (D, 8H): of the inputs, then of the state. ``initial_h``, ``initial_c`` (D, B, H); ``lengths``
    (B), int32, from 0 to T: beyond its length a sequence's states are 0; ``peephole`` (D, 3H): input, output, forget.
    ``clip`` bounds what goes into the gates.

    Where ``r`` is int8 or uint8, with ``r_scale`` (fp32) and ``r_zero_point`` (its type), (D,) or (D, 4H), the state of
    a direction, all sequences together, is quantized to uint8 by its own range in every step, and the sums are int32.

    ``out``, ``out_h``, ``out_c`` take the three. numpy in gives numpy out; an Array in gives Arrays out. Raises
    DtypeError, ShapeError, InputError.
    """
    given = (gates, r, bias, initial_h, initial_c, lengths, peephole, r_scale, r_zero_point)
    keywords: dict[str, Any] = {"out": out, "out_h": out_h, "out_c": out_c, "template": template, "params": params}
    made = plan(device, *given, direction=direction, clip=clip, **keywords)
    return given_back(made, *given)


def plan(
    device: Device,
    gates: Operand,
    r: Operand,
    bias: Operand | None = None,
    initial_h: Operand | None = None,
    initial_c: Operand | None = None,
    lengths: Operand | None = None,
    peephole: Operand | None = None,
    r_scale: Operand | None = None,
    r_zero_point: Operand | None = None,
    *,
    direction: str = "forward",
    clip: float | None = None,
    out: Array | None = None,
    out_h: Array | None = None,
    out_c: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``lstm`` runs, one a step, bound once, for running many times."""
    shape = _shape(gates, r, bias, initial_h, initial_c, lengths, peephole, r_scale, r_zero_point, direction=direction)
    products = as_array(device, "lstm", "gates", gates)
    weights = as_array(device, "lstm", "r", r, np.float32, np.int8, np.uint8)
    state = shape["D"], shape["B"], shape["H"]
    optional = [
        optional_array(device, "lstm", "bias", bias),
        optional_array(device, "lstm", "peephole", peephole),
        optional_array(device, "lstm", "lengths", lengths, np.int32),
    ]
    scales = optional_array(device, "lstm", "r_scale", r_scale)
    zeros = optional_array(device, "lstm", "r_zero_point", r_zero_point, weights.dtype)
    starts = [optional_array(device, "lstm", name, one) for name, one in (("h", initial_h), ("c", initial_c))]
    outs = (
        output(device, "lstm", out, (shape["T"], *state)),
        output(device, "lstm", out_h, state),
        output(device, "lstm", out_c, state),
    )
    bound = math.inf if clip is None or clip == 0 else float(clip)
    if not bound > 0:
        raise InputError("lstm", f"expected clip > 0, got {clip}")
    chosen, merged = choose(device, SPEC, shape, template, params)
    if math.prod(state) == 0:
        return Plan("lstm", chosen.name, merged, (), outs[0], more=outs[1:])
    nothing = device.upload(np.zeros(state, np.float32))
    began = [nothing if one is None else one for one in starts]
    spare = device.empty(state, np.float32)
    tables = [nothing if one is None else one for one in (*optional, scales, zeros)]
    switches = sum(1 << k for k, one in enumerate(optional) if one is not None)
    numbers = (np.uint32(switches), np.uint32(1 if scales is None else scales.size // shape["D"]))
    tail = (*numbers, np.int32(128 if weights.dtype == np.int8 else 0), np.float32(bound))
    launches = _steps(device, chosen, merged, shape, (products, weights, *tables), began, outs, spare, tail, direction)
    return Plan("lstm", chosen.name, merged, launches, outs[0], (nothing, spare, *began, *tables), outs[1:])


def _steps(
    device: Device,
    chosen: Template,
    params: Params,
    shape: Shape,
    arrays: Sequence[Array],
    began: Sequence[Array],
    outs: Sequence[Array],
    spare: Array,
    tail: tuple[np.generic, ...],
    direction: str,
) -> tuple[Launch, ...]:
    """The state of h goes to and fro between two arrays, and ends in the output."""
    macros = {**params, "BYTES": int(arrays[1].dtype != np.float32)}
    kernel = load_kernel(device, chosen.source, f"lstm_{chosen.name}", macros)
    y, last_h, last_c = outs
    if chosen.name == "cpu":
        sizes = (ceil_div(shape["H"], params["TILE"]), shape["B"], shape["D"]), (1, 1, 1)
    else:
        group = min(WAVEFRONT, device.limits.work_group or WAVEFRONT)
        sizes = (ceil_div(shape["H"], group) * group, shape["B"], shape["D"]), (group, 1, 1)
    lengths = [np.uint32(shape[letter]) for letter in "TBHD"]
    launches, (h, c) = [], began
    for step in range(shape["T"]):
        target = last_h if (shape["T"] - 1 - step) % 2 == 0 else spare
        numbers = (*lengths, np.uint32(step), np.uint32(DIRECTIONS[direction][1]), *tail)
        launches.append(kernel.bind(*sizes, *arrays, h, c, target, last_c, y, *numbers))
        h, c = target, last_c
    return tuple(launches)


def _shape(
    gates: Operand,
    r: Operand,
    bias: Operand | None = None,
    initial_h: Operand | None = None,
    initial_c: Operand | None = None,
    lengths: Operand | None = None,
    peephole: Operand | None = None,
    r_scale: Operand | None = None,
    r_zero_point: Operand | None = None,
    *,
    direction: str = "forward",
    **_keywords: Any,
) -> dict[str, int]:
    """T steps of B sequences through H units in D directions; weights of WEIGHT_BYTES each."""
    if direction not in DIRECTIONS:
        raise InputError("lstm", f"expected a direction among {', '.join(DIRECTIONS)}, got {direction!r}")
    n_directions = DIRECTIONS[direction][0]
    if gates.ndim != 4 or gates.shape[0] != n_directions or gates.shape[1] < 1 or gates.shape[3] % 4:
        raise ShapeError("lstm", f"expected gates of shape ({n_directions}, T, B, 4 * H), got {gates.shape}")
    _, n_steps, batch, width = gates.shape
    units = width // 4
    wanted: dict[str, tuple[Operand | None, tuple[int, ...]]] = {
        "r": (r, (n_directions, units, width)),
        "bias": (bias, (n_directions, 2 * width)),
        "initial_h": (initial_h, (n_directions, batch, units)),
        "initial_c": (initial_c, (n_directions, batch, units)),
        "lengths": (lengths, (batch,)),
        "peephole": (peephole, (n_directions, 3 * units)),
    }
    for name, (one, shape) in wanted.items():
        if one is not None and one.shape != shape:
            raise ShapeError("lstm", f"expected {name} of shape {shape}, got {one.shape}")
    in_bytes = r.dtype != np.float32
    for name, one in (("r_scale", r_scale), ("r_zero_point", r_zero_point)):
        if (one is not None) != in_bytes:
            raise InputError("lstm", f"expected {name} where r is of bytes, and only there; r is {r.dtype}")
        if one is not None and one.shape not in ((n_directions,), (n_directions, width)):
            raise ShapeError("lstm", f"expected {name} of shape ({n_directions},) or ({n_directions}, {width})")
    if r_scale is not None and r_zero_point is not None and r_scale.shape != r_zero_point.shape:
        raise ShapeError("lstm", f"expected a zero point for each scale {r_scale.shape}, got {r_zero_point.shape}")
    checked_count("lstm", math.prod(gates.shape))
    return {"T": n_steps, "B": batch, "H": units, "D": n_directions, "WEIGHT_BYTES": r.dtype.itemsize}


def _turns(shape: Shape) -> int:
    """No fewer loop turns than a work-item of the plain template makes."""
    return shape["H"] + shape["B"] * shape["H"] + 16


def _cost(shape: Shape) -> Cost:
    each = shape["T"] * shape["D"] * shape["B"]
    weights = 4 * shape["H"] * shape["H"]
    read = shape["T"] * shape["D"] * weights * shape["WEIGHT_BYTES"] + 4 * each * 4 * shape["H"]
    return Cost(bytes=read + 4 * each * shape["H"], flop=each * (2 * weights + 30 * shape["H"]))


SPEC = OpSpec(
    name="lstm",
    summary="ONNX LSTM past its input products: 1 read of 4*H*H weights a step and direction; 8*H*H operations a state",
    templates=(
        Template(
            name="plain",
            source="lstm",
            space={},
            default={},
            precondition="loop turns within the device's limit, if any; one work-item per hidden unit",
            applies=lambda device, shape: too_many_turns(device, _turns(shape)),
        ),
        Template(
            name="cpu",
            source="lstm_cpu",
            space={"TILE": (16, 32, 64, 128)},
            default={"TILE": 64},
            precondition="no limit on loop turns; work-groups of one take whole tiles of hidden units",
            applies=lambda device, _shape: (
                "llvmpipe bounds the turns of its loops" if turn_limit(device) < math.inf else None
            ),
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
