"""Recurrent operators: the input products of all steps at once, then the recurrence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rx580lab.device import Array
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.handlers.shape import required
from rx580lab.graph.ir import Node, Value
from rx580lab.graph.lowering import Context
from rx580lab.ops.lstm import DIRECTIONS

__all__ = ["HANDLERS"]

# Places of inputs, the same in LSTM and DynamicQuantizeLSTM.
BIAS, LENGTHS, INITIAL_H, INITIAL_C, PEEPHOLE = 3, 4, 5, 6, 7


def _direction(node: Node) -> str:
    found = str(node.attribute("direction", "forward")).lower()
    if found not in DIRECTIONS:
        raise fault(node, f"expected a direction among {', '.join(DIRECTIONS)}, got {found!r}")
    return found


def _check_form(node: Node) -> None:
    names = [str(name).lower() for name in node.attribute("activations", [])]
    wanted = ["sigmoid", "tanh", "tanh"] * DIRECTIONS[_direction(node)][0]
    if names and names != wanted:
        raise fault(node, f"expected the activations {', '.join(wanted)}, got {', '.join(names)}")
    if node.attribute("input_forget", 0):
        raise fault(node, "expected input and forget gates of their own (input_forget 0), got them coupled")


def _lstm(node: Node, given: Values) -> list[Value]:
    return _states(node, given, transposed=True)


def _states(node: Node, given: Values, *, transposed: bool) -> list[Value]:
    """Y, Y_h and Y_c; ``transposed``: weights are (D, 4H, I) as ONNX has them, else (D, I, 4H)."""
    _check_form(node)
    x, w, r = (required(node, given, k) for k in range(3))
    if x.ndim != 3 or r.ndim != 3 or w.ndim != 3 or x.dtype != np.float32:
        raise fault(node, f"expected x, w and r of three axes, x of float32, got {x.shape}, {w.shape} and {r.shape}")
    n_directions, units = DIRECTIONS[_direction(node)][0], r.shape[2] if transposed else r.shape[1]
    wanted_w, wanted_r = (n_directions, 4 * units, x.shape[2]), (n_directions, 4 * units, units)
    if not transposed:
        wanted_w, wanted_r = (wanted_w[0], *wanted_w[:0:-1]), (wanted_r[0], *wanted_r[:0:-1])
    if w.shape != wanted_w or r.shape != wanted_r or node.attribute("hidden_size", units) != units:
        raise fault(node, f"expected weights {wanted_w} and {wanted_r} for x {x.shape}, got {w.shape} and {r.shape}")
    batch, steps = (x.shape[0], x.shape[1]) if node.attribute("layout", 0) else (x.shape[1], x.shape[0])
    if not steps:
        raise fault(node, f"expected at least one step, got x {x.shape}")
    kind = np.dtype(np.float32)
    if node.attribute("layout", 0):
        return [Value(kind, (batch, steps, n_directions, units)), *[Value(kind, (batch, n_directions, units))] * 2]
    return [Value(kind, (steps, n_directions, batch, units)), *[Value(kind, (n_directions, batch, units))] * 2]


def _out(ctx: Context, k: int) -> Array | None:
    """The array of an output that is wanted."""
    outputs = ctx.node.outputs
    return ctx.out(k) if k < len(outputs) and outputs[k] else None


def _recur(ctx: Context, gates: Array, r: Array, *scales: Array) -> None:
    """The op ``lstm`` over input products (D, T, B, 4H), results as the node's layout has them."""
    node, by_batch = ctx.node, bool(ctx.node.attribute("layout", 0))
    starts = [ctx.array(k) for k in (INITIAL_H, INITIAL_C)]
    if by_batch:
        starts = [None if one is None else ctx.call("transpose", one, perm=(1, 0, 2)).out for one in starts]
    outs = [None if by_batch else _out(ctx, k) for k in range(3)]
    made = ctx.call(
        "lstm", gates, r, ctx.array(BIAS), *starts, ctx.array(LENGTHS), ctx.array(PEEPHOLE), *scales,
        direction=_direction(node), clip=node.attribute("clip"), out=outs[0], out_h=outs[1], out_c=outs[2],
    )  # fmt: skip
    if by_batch:
        perms: Sequence[tuple[int, ...]] = ((2, 0, 1, 3), (1, 0, 2), (1, 0, 2))
        for k, (result, perm) in enumerate(zip((made.out, *made.more), perms, strict=True)):
            target = _out(ctx, k)
            if target is not None:
                ctx.call("transpose", result, perm=perm, out=target)


def _steps_first(ctx: Context) -> Array:
    x = ctx.given(0)
    return ctx.call("transpose", x, perm=(1, 0, 2)).out if ctx.node.attribute("layout", 0) else x


def _lstm_lower(_node: Node, ctx: Context) -> None:
    x, w = _steps_first(ctx), ctx.given(1)
    rows = x.reshape(1, x.shape[0] * x.shape[1], x.shape[2])
    product = ctx.call("gemm", rows, w, transpose_b=True, constant_b=ctx.data(1) is not None).out
    held = ctx.data(2)
    if held is None:
        r = ctx.call("transpose", ctx.given(2), perm=(0, 2, 1)).out
    else:
        turned = np.ascontiguousarray(held.swapaxes(1, 2))
        r = ctx.weights.made(held, "turned", lambda: ctx.device.upload(turned))
    _recur(ctx, product.reshape(w.shape[0], *x.shape[:2], w.shape[1]), r)


def _quantized(node: Node, given: Values) -> list[Value]:
    for place in (1, 2, 8, 9, 10, 11):
        found = required(node, given, place)
        kinds = (np.float32,) if place in (8, 10) else (np.int8, np.uint8)
        if found.dtype not in kinds:
            raise fault(node, f"expected input {place} of {np.dtype(kinds[0])}, got {found.dtype}")
    if required(node, given, 1).data is None or any(required(node, given, k).data is None for k in (8, 9)):
        raise fault(node, "expected the input weights, their scales and zero points to be constants")
    return _states(node, given, transposed=False)


def _quantized_lower(node: Node, ctx: Context) -> None:
    x = ctx.given(0)
    quantized = ctx.call("dynamic_quantize", x)
    x_scale, x_zero = quantized.more
    rows = quantized.out.reshape(x.shape[0] * x.shape[1], x.shape[2])
    w, scales, zeros = (np.asarray(ctx.data(k)) for k in (1, 8, 9))
    products = []
    for d in range(w.shape[0]):
        parts = (w[d], zeros[d].reshape(-1), scales[d].reshape(-1))
        b, b_zero, b_scale = (
            _held(ctx, part, f"{node.name} {name} {d}") for name, part in zip("wzs", parts, strict=True)
        )
        scale = ctx.call("elementwise", x_scale, b_scale, function="mul").out
        found = ctx.call("gemm_i8_i8", rows, b, x_zero, b_zero, None, scale, dtype=np.float32).out
        products.append(found.reshape(1, *x.shape[:2], w.shape[2]))
    gates = products[0] if len(products) == 1 else ctx.call("concat", *products, axis=0).out
    _recur(ctx, gates, ctx.given(2), ctx.given(10), ctx.given(11))


def _held(ctx: Context, part: Any, form: str) -> Array:
    """A part of the weights on the device, once for all plans."""
    whole: Any = ctx.data(1)
    return ctx.weights.made(whole, form, lambda: ctx.device.upload(np.ascontiguousarray(part)))


HANDLERS = (
    Handler("LSTM", 7, _lstm, _lstm_lower),
    Handler("DynamicQuantizeLSTM", 1, _quantized, _quantized_lower, domain="com.microsoft"),
)
