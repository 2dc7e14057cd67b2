"""Operators that passes make of several: no file holds them, so that what they are given fits."""

from __future__ import annotations

from rx580lab.graph.handlers.elementwise import same_type
from rx580lab.graph.handlers.registry import Handler, Values
from rx580lab.graph.handlers.shape import required
from rx580lab.graph.ir import FUSED, Node, Value
from rx580lab.graph.lowering import Context
from rx580lab.ops.attention import HeadsInRows

__all__ = ["HANDLERS"]


def _activation(node: Node, ctx: Context) -> None:
    parameters = {key: node.attribute(key) for key in ("alpha", "beta")}
    ctx.call("elementwise", ctx.given(0), function=node.attribute("activation"), out=ctx.out(), **parameters)


def _attention(node: Node, given: Values) -> list[Value]:
    q, v = required(node, given, 0), required(node, given, 2)
    if "heads" in node.attributes:
        return [Value(q.dtype, (*q.shape[:2], node.attribute("heads") * node.attribute("size")))]
    return [Value(q.dtype, (*q.shape[:-1], v.shape[-1]))]


def _attention_lower(node: Node, ctx: Context) -> None:
    if "heads" in node.attributes:
        heads = HeadsInRows(*(node.attribute(key) for key in ("heads", "size", "columns")))
        arrays = (*map(ctx.given, range(3)), ctx.array(3))
        ctx.call("attention", *arrays, scale=node.attribute("scale"), heads=heads, out=ctx.out())
        return
    q, k, v, out = (
        one if one.ndim == 4 else one.reshape(1, *one.shape) for one in (*map(ctx.given, range(3)), ctx.out())
    )
    ctx.call("attention", q, k, v, ctx.array(3), scale=node.attribute("scale"), out=out)


def _rmsnorm_lower(node: Node, ctx: Context) -> None:
    axis, epsilon = node.attribute("axis"), node.attribute("epsilon")
    ctx.call("rmsnorm", ctx.given(0), ctx.given(1), axis=axis, epsilon=epsilon, out=ctx.out())


HANDLERS = (
    Handler("Activation", 1, same_type, _activation, in_place=(0,), domain=FUSED),
    Handler("Attention", 1, _attention, _attention_lower, domain=FUSED),
    Handler("RMSNormalization", 1, same_type, _rmsnorm_lower, domain=FUSED),
)
