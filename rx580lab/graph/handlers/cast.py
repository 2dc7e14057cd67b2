"""Elements of another type."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from rx580lab.formats.onnx_file import dtype_of
from rx580lab.graph.handlers.elementwise import on_host
from rx580lab.graph.handlers.expansion import Expansion
from rx580lab.graph.handlers.registry import Handler, Values
from rx580lab.graph.handlers.shape import required
from rx580lab.graph.ir import Graph, Node, Value
from rx580lab.graph.lowering import Context

__all__ = ["HANDLERS"]


def _target(node: Node) -> np.dtype[Any]:
    """What ``to`` names: by its number, or before version 6 by its name."""
    to = node.attribute("to", 0)
    number = onnx.TensorProto.DataType.Value(to) if isinstance(to, str) else to
    return dtype_of(number, str(node))


def _cast(node: Node, given: Values) -> list[Value]:
    return [Value(_target(node), required(node, given, 0).shape)]


def _cast_lower(node: Node, ctx: Context) -> None:
    ctx.call("elementwise", ctx.given(0), function="cast", to=_target(node), out=ctx.out())


def _cast_evaluate(node: Node, given: Any) -> list[Any]:
    target = _target(node)
    return [on_host("cast", given[0], to=target, dtype=target)]


def _cast_to_itself(graph: Graph, node: Node, given: Values) -> list[Node]:
    """Nothing to do where the type stays."""
    if required(node, given, 0).dtype != _target(node):
        return [node]
    made = Expansion(graph, node)
    made.add("Identity", node.inputs[0], out=node.outputs[0])
    return made.nodes


def _cast_like(graph: Graph, node: Node, given: Values) -> list[Node]:
    made = Expansion(graph, node)
    target = required(node, given, 1).dtype
    made.add("Cast", node.inputs[0], out=node.outputs[0], to=onnx.helper.np_dtype_to_tensor_dtype(target))
    return made.nodes


HANDLERS = (
    Handler("Cast", 1, _cast, _cast_lower, _cast_evaluate, expand=_cast_to_itself),
    Handler("CastLike", 15, _cast, expand=_cast_like),
)
