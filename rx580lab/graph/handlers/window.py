"""Operators that look at windows of an image: convolution and pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.handlers.shape import required
from rx580lab.graph.ir import FUSED, Node, Value
from rx580lab.graph.lowering import Context

__all__ = ["HANDLERS", "resolved_pads"]


def resolved_pads(node: Node, lengths: Sequence[int], extents: Sequence[int], strides: Sequence[int]) -> list[int]:
    """All begins, then all ends, as ``auto_pad`` or ``pads`` has it; ``extents`` of the dilated window."""
    auto, rank = node.attribute("auto_pad", "NOTSET"), len(lengths)
    if auto in ("NOTSET", ""):
        return list(node.attribute("pads", [0] * (2 * rank)))
    if auto == "VALID":
        return [0] * (2 * rank)
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise fault(node, f"expected auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER, got {auto!r}")
    total = [
        max(0, (math.ceil(n / step) - 1) * step + extent - n)
        for n, extent, step in zip(lengths, extents, strides, strict=True)
    ]
    small, large = [n // 2 for n in total], [n - n // 2 for n in total]
    return [*small, *large] if auto == "SAME_UPPER" else [*large, *small]


def conv_window(node: Node, x: Value, w: Value) -> dict[str, Any]:
    """The keywords of ``ops.conv`` that say how the kernel moves, checked against the arrays' ranks."""
    rank = x.ndim - 2
    strides = node.attribute("strides", [1] * rank)
    dilations = node.attribute("dilations", [1] * rank)
    if rank < 1 or w.ndim != x.ndim or len(strides) != rank or len(dilations) != rank:
        raise fault(node, f"expected x, w, strides and dilations of one rank, got {x.shape}, {w.shape}")
    extents = [(n - 1) * step + 1 for n, step in zip(w.shape[2:], dilations, strict=True)]
    pads = resolved_pads(node, x.shape[2:], extents, strides)
    if len(pads) != 2 * rank:
        raise fault(node, f"expected {2 * rank} pads, got {pads}")
    return {"strides": strides, "dilations": dilations, "pads": pads, "group": node.attribute("group", 1)}


def _conv(node: Node, given: Values) -> list[Value]:
    x, w = required(node, given, 0), required(node, given, 1)
    window = conv_window(node, x, w)
    rank, pads = x.ndim - 2, window["pads"]
    if x.shape[1] != w.shape[1] * window["group"]:
        raise fault(node, f"expected {w.shape[1] * window['group']} channels for weights {w.shape}, got {x.shape}")
    lengths = []
    for k in range(rank):
        extent = (w.shape[2 + k] - 1) * window["dilations"][k] + 1
        lengths.append((x.shape[2 + k] + pads[k] + pads[rank + k] - extent) // window["strides"][k] + 1)
    if min(lengths) < 1:
        raise fault(node, f"expected a kernel {w.shape[2:]} within the padded image {x.shape[2:]}")
    return [Value(x.dtype, (x.shape[0], w.shape[0], *lengths))]


def _conv_lower(node: Node, ctx: Context) -> None:
    keywords = conv_window(node, ctx.value(0), ctx.value(1))
    keywords |= {key: node.attribute(key) for key in ("activation", "alpha", "beta") if node.attribute(key) is not None}
    ctx.call("conv", ctx.given(0), ctx.given(1), ctx.array(2), ctx.array(3), out=ctx.out(), **keywords)


def _global(node: Node, given: Values) -> list[Value]:
    x = required(node, given, 0)
    if x.ndim < 3:
        raise fault(node, f"expected (N, C, ...) with at least one axis more, got {x.shape}")
    return [Value(x.dtype, (*x.shape[:2], *(1 for _ in x.shape[2:])))]


def _global_average(_node: Node, ctx: Context) -> None:
    ctx.call("pool", ctx.given(0), mode="average", out=ctx.out())


HANDLERS = (
    Handler("Conv", 1, _conv, _conv_lower),
    Handler("Conv", 1, _conv, _conv_lower, domain=FUSED),
    Handler("GlobalAveragePool", 1, _global, _global_average),
)
