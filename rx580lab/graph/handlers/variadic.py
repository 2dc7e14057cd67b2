"""Functions of any number of arrays that broadcast."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from rx580lab.graph.handlers.elementwise import broadcast, on_host
from rx580lab.graph.handlers.expansion import Expansion
from rx580lab.graph.handlers.registry import Handler, Values
from rx580lab.graph.ir import Graph, Node
from rx580lab.graph.lowering import Context

__all__ = ["HANDLERS"]


def _extreme(op: str, function: str) -> Handler:
    def lower(node: Node, ctx: Context) -> None:
        """Gathers in the output; its first operand is made so large if two are not."""
        first, *rest = map(ctx.given, range(len(node.inputs)))
        out = ctx.out()
        if rest and np.broadcast_shapes(first.shape, rest[0].shape) == out.shape:
            ctx.call("elementwise", first, rest.pop(0), function=function, out=out)
        else:
            ctx.call("expand", first, shape=out.shape, out=out)
        for one in rest:
            ctx.call("elementwise", out, one, function=function, out=out)

    def evaluate(_node: Node, given: Any) -> list[Any]:
        return [reduce(lambda a, b: on_host(function, a, b, dtype=a.dtype), given)]

    return Handler(op, 1, broadcast, lower, evaluate)


def _sum(graph: Graph, node: Node, given: Values) -> list[Node]:
    """Additions, which products can take over."""
    (like,) = broadcast(node, given)
    made = Expansion(graph, node)
    inputs, mean = node.inputs, node.op == "Mean"
    total = inputs[0]
    for place, one in enumerate(inputs[1:], start=2):
        last = place == len(inputs) and not mean
        total = made.add("Add", total, one, out=node.outputs[0] if last else None)
    if mean:
        made.add("Div", total, made.constant(len(inputs), like.dtype), out=node.outputs[0])
    elif len(inputs) == 1:
        made.add("Identity", total, out=node.outputs[0])
    return made.nodes


HANDLERS = (
    _extreme("Max", "max"),
    _extreme("Min", "min"),
    Handler("Sum", 1, broadcast, expand=_sum),
    Handler("Mean", 1, broadcast, expand=_sum),
)
