"""Maximum, average and norm of windows and of whole planes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rx580lab.graph.handlers.expansion import Expansion
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.handlers.shape import required
from rx580lab.graph.handlers.window import auto_pad, resolved_pads
from rx580lab.graph.ir import Graph, Node, Value
from rx580lab.graph.lowering import Context
from rx580lab.ops.pool import pooled_lengths

__all__ = ["HANDLERS"]


def pool_window(node: Node, x: Value) -> dict[str, Any]:
    """The keywords of ``ops.pool`` that say where the windows are."""
    rank, kernel = x.ndim - 2, node.attribute("kernel_shape", [])
    strides, dilations = (node.attribute(name, [1] * rank) for name in ("strides", "dilations"))
    if not 1 <= rank <= 3 or not len(kernel) == len(strides) == len(dilations) == rank:
        raise fault(
            node,
            "expected (N, C, 1 to 3 axes) and kernel_shape, strides and dilations for these axes, got"
            f" {x.shape}, {kernel}, {strides}, {dilations}",
        )
    if min(*kernel, *strides, *dilations) < 1:
        raise fault(node, f"expected kernel_shape, strides and dilations of at least 1, got {dict(node.attributes)}")
    extents = [(n - 1) * step + 1 for n, step in zip(kernel, dilations, strict=True)]
    return {
        "kernel_shape": kernel,
        "strides": strides,
        "dilations": dilations,
        "pads": resolved_pads(node, x.shape[2:], extents, strides),
        # ONNX's lengths for automatic padding are those without it, either way.
        "ceil_mode": bool(node.attribute("ceil_mode", 0)) and auto_pad(node) == "NOTSET",
    }


def _windows(node: Node, given: Values) -> list[Value]:
    x = required(node, given, 0)
    if node.attribute("storage_order", 0) not in (0, 1):
        raise fault(node, f"expected storage_order 0 or 1, got {node.attribute('storage_order')}")
    shape = (*x.shape[:2], *pooled_lengths(x, **pool_window(node, x)))
    return [Value(x.dtype, shape), Value(np.dtype(np.int64), shape)][: len(node.outputs)]


def _max_lower(node: Node, ctx: Context) -> None:
    keywords = pool_window(node, ctx.value(0))
    if len(node.outputs) > 1 and node.outputs[1]:
        order = node.attribute("storage_order", 0)
        keywords |= {"indices": True, "storage_order": order, "out_indices": ctx.out(1)}
    ctx.call("pool", ctx.given(0), mode="max", out=ctx.out(), **keywords)


def _average_lower(node: Node, ctx: Context) -> None:
    keywords = pool_window(node, ctx.value(0))
    padding = bool(node.attribute("count_include_pad", 0))
    ctx.call("pool", ctx.given(0), mode="average", count_include_pad=padding, out=ctx.out(), **keywords)


def _global(node: Node, given: Values) -> list[Value]:
    x = required(node, given, 0)
    if x.ndim < 3:
        raise fault(node, f"expected (N, C, ...) with at least one axis more, got {x.shape}")
    return [Value(x.dtype, (*x.shape[:2], *(1 for _ in x.shape[2:])))]


def _global_average(_node: Node, ctx: Context) -> None:
    ctx.call("pool", ctx.given(0), mode="average", out=ctx.out())


def _global_max(_node: Node, ctx: Context) -> None:
    ctx.call("pool", ctx.given(0), mode="max", out=ctx.out())


def _global_norm(graph: Graph, node: Node, given: Values) -> list[Node]:
    x, order, made = required(node, given, 0), _order(node), Expansion(graph, node)
    axes = list(range(2, x.ndim))
    if order in (1, 2):
        made.add(f"ReduceL{order:.0f}", node.inputs[0], out=node.outputs[0], axes=axes)
        return made.nodes
    powers = made.add("Pow", made.add("Abs", node.inputs[0]), made.constant(order, x.dtype))
    total = made.add("ReduceSum", powers, made.constant(axes, np.int64))
    made.add("Pow", total, made.constant(1 / order, x.dtype), out=node.outputs[0])
    return made.nodes


def _norm(graph: Graph, node: Node, given: Values) -> list[Node]:
    """Sums of powers are convolutions of each channel by ones, where padding adds nothing."""
    x, order, made = required(node, given, 0), _order(node), Expansion(graph, node)
    window = pool_window(node, x)
    rank, pads = x.ndim - 2, list(window["pads"])
    for k, n in enumerate(pooled_lengths(x, **window)):
        extent = (window["kernel_shape"][k] - 1) * window["dilations"][k] + 1
        reached = (n - 1) * window["strides"][k] + extent
        pads[rank + k] = max(reached - x.shape[2 + k] - pads[k], 0)
    size = made.add("Abs", node.inputs[0])
    powers = made.add("Mul", size, size) if order == 2 else made.add("Pow", size, made.constant(order, x.dtype))
    ones = made.constant(np.ones((x.shape[1], 1, *window["kernel_shape"]), x.dtype))
    steps = {name: window[name] for name in ("strides", "dilations")}
    total = made.add("Conv", powers, ones, pads=pads, group=x.shape[1], **steps)
    made.add("Pow", total, made.constant(1 / order, x.dtype), out=node.outputs[0])
    return made.nodes


def _order(node: Node) -> float:
    order = float(node.attribute("p", 2))
    if not 0 < order < math.inf:
        raise fault(node, f"expected p above 0, got {order}")
    return order


HANDLERS = (
    Handler("MaxPool", 1, _windows, _max_lower),
    Handler("AveragePool", 1, _windows, _average_lower),
    Handler("LpPool", 1, _windows, expand=_norm),
    Handler("GlobalAveragePool", 1, _global, _global_average),
    Handler("GlobalMaxPool", 1, _global, _global_max),
    Handler("GlobalLpPool", 1, _global, expand=_global_norm),
)
