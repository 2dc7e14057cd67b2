"""Convolutions over pixel-major arrays (N, ..., C), which ``passes.layout`` makes for processors."""

from __future__ import annotations

from typing import Any

import numpy as np

from rx580lab import ops
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.handlers.shape import required
from rx580lab.graph.ir import FUSED, Node, Value
from rx580lab.graph.lowering import Context
from rx580lab.ops.conv import PackedWeights, pack_weights

__all__ = ["HANDLERS"]


def _window(node: Node) -> dict[str, Any]:
    return {key: node.attribute(key) for key in ("strides", "dilations", "pads", "group")}


def _ending(node: Node) -> dict[str, Any]:
    """The activation. None, Relu and Clip share a program, as bounds that are arguments: compiling takes seconds."""
    name = node.attribute("activation")
    if name in (None, "relu"):
        return {"activation": "clip", "alpha": None if name is None else 0.0}
    return {key: node.attribute(key) for key in ("activation", "alpha", "beta") if node.attribute(key) is not None}


def _conv(node: Node, given: Values) -> list[Value]:
    x, w = required(node, given, 0), required(node, given, 1)
    letters: dict[str, int] = ops.spec("conv").shape(x, w, layout="nhwc", **_window(node))
    lengths = [letters[name] for name in ("OD", "OH", "OW")]
    return [Value(x.dtype, (x.shape[0], *lengths[5 - x.ndim :], letters["K"]))]


def _packed(ctx: Context, data: Any, group: int) -> PackedWeights:
    made: PackedWeights = ctx.weights.made(
        data, f"conv, {group} groups", lambda: pack_weights(ctx.device, data, group=group)
    )
    return made


def _data(node: Node, ctx: Context) -> Any:
    data = ctx.data(1)
    if data is None:
        raise fault(node, "expected constant weights")
    return data


def _conv_lower(node: Node, ctx: Context) -> None:
    w = _packed(ctx, _data(node, ctx), node.attribute("group", 1))
    ctx.call(
        "conv", ctx.given(0), w, ctx.array(2), ctx.array(3), out=ctx.out(), layout="nhwc", **_window(node),
        **_ending(node),
    )  # fmt: skip


def _blocks(node: Node, given: Values) -> list[Value]:
    x, w = required(node, given, 0), required(node, given, 1)
    n, height, width, _ = x.shape
    return [Value(x.dtype, (n, height * w.shape[2], width * w.shape[3], w.shape[1]))]


def _blocks_lower(node: Node, ctx: Context) -> None:
    """A row of blocks of out is R rows: of each, the S * K values of a block lie side by side.

    So row r is a product of pixels with S * K filters, whose result has the other rows to its left and right.
    """
    w, x = _data(node, ctx), ctx.given(0)
    n, height, width, _ = x.shape
    channels, filters, n_rows, n_columns = w.shape
    bias = ctx.data(2)
    shift = None if bias is None else ctx.weights.array(np.tile(bias, n_columns))
    out = ctx.out().reshape(n, height, n_rows * width, n_columns * filters)
    for row in range(n_rows):
        part = w[:, :, row].transpose(2, 1, 0).reshape(n_columns * filters, channels, 1, 1)
        left, right = row * width, (n_rows - 1 - row) * width
        ctx.call(
            "conv", x, _packed(ctx, np.ascontiguousarray(part), 1), shift, out=out, layout="nhwc",
            out_borders=(0, left, 0, right), **_ending(node),
        )  # fmt: skip


def _mean(node: Node, given: Values) -> list[Value]:
    x = required(node, given, 0)
    return [Value(x.dtype, (x.shape[0], *(1 for _ in x.shape[1:-1]), x.shape[-1]))]


def _mean_lower(_node: Node, ctx: Context) -> None:
    x = ctx.given(0)
    ctx.call("reduce", x, function="mean", axes=list(range(1, x.ndim - 1)), out=ctx.out())


HANDLERS = (
    Handler("PixelMean", 1, _mean, _mean_lower, domain=FUSED),
    Handler("PixelConv", 1, _conv, _conv_lower, domain=FUSED),
    Handler("PixelBlocks", 1, _blocks, _blocks_lower, domain=FUSED),
)
