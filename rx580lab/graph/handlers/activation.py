"""Functions of each element by itself, of one array."""

from __future__ import annotations

from typing import Any

from rx580lab.graph.handlers.elementwise import broadcast_shape, on_host, same_type, unary
from rx580lab.graph.handlers.expansion import Expansion
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.ir import Graph, Node, Value
from rx580lab.graph.lowering import Context

__all__ = ["HANDLERS"]


def _gelu_function(node: Node) -> str:
    kind = node.attribute("approximate", "none")
    if kind not in ("none", "tanh"):
        raise fault(node, f"expected approximate to be none or tanh, got {kind!r}")
    return "gelu" if kind == "none" else "gelu_tanh"


def _gelu(node: Node, given: Values) -> list[Value]:
    _gelu_function(node)
    return same_type(node, given)


def _gelu_lower(node: Node, ctx: Context) -> None:
    ctx.call("elementwise", ctx.given(0), function=_gelu_function(node), out=ctx.out())


def _gelu_evaluate(node: Node, given: Any) -> list[Any]:
    return [on_host(_gelu_function(node), given[0], dtype=given[0].dtype)]


def _swish(graph: Graph, node: Node, given: Values) -> list[Node]:
    """X * sigmoid(alpha * x), which passes know."""
    (like,) = same_type(node, given)
    made, x, alpha = Expansion(graph, node), node.inputs[0], node.attribute("alpha", 1.0)
    scaled = x if alpha == 1 else made.add("Mul", x, made.constant(alpha, like.dtype))
    made.add("Mul", x, made.add("Sigmoid", scaled), out=node.outputs[0])
    return made.nodes


def _celu(graph: Graph, node: Node, given: Values) -> list[Node]:
    """Alpha * elu(x / alpha)."""
    (like,) = same_type(node, given)
    made = Expansion(graph, node)
    alpha = made.constant(node.attribute("alpha", 1.0), like.dtype)
    bent = made.add("Elu", made.add("Div", node.inputs[0], alpha))
    made.add("Mul", bent, alpha, out=node.outputs[0])
    return made.nodes


def _prelu(node: Node, given: Values) -> list[Value]:
    (like,) = same_type(node, given)
    if broadcast_shape(node, given) != like.shape:
        raise fault(node, f"expected a slope that broadcasts to {like.shape}, got {given[1].shape if given[1] else ()}")
    return [like]


def _prelu_lower(_node: Node, ctx: Context) -> None:
    ctx.call("elementwise", ctx.given(0), ctx.given(1), function="prelu", out=ctx.out())


def _prelu_evaluate(_node: Node, given: Any) -> list[Any]:
    return [on_host("prelu", *given, dtype=given[0].dtype)]


def _prelu_of_channels(graph: Graph, node: Node, given: Values) -> list[Node]:
    """Before version 7, a slope of one axis is one per channel."""
    x, slope = given
    if x is None or slope is None:
        raise fault(node, "expected two inputs")
    made = Expansion(graph, node)
    name = node.inputs[1]
    if slope.ndim == 1 and slope.size > 1 and x.ndim > 1:
        name = made.reshape(name, slope.size, *[1] * (x.ndim - 2))
    made.add("PRelu", node.inputs[0], name, out=node.outputs[0])
    return made.nodes


_PLAIN = {
    "Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Exp": "exp", "Log": "log", "Sqrt": "sqrt",
    "Reciprocal": "reciprocal", "Neg": "neg", "Abs": "abs", "Floor": "floor", "Ceil": "ceil", "Softplus": "softplus",
    "Softsign": "softsign",
}  # fmt: skip
_LATER = {
    "Sin": 7, "Cos": 7, "Tan": 7, "Asin": 7, "Acos": 7, "Atan": 7, "Sinh": 9, "Cosh": 9, "Asinh": 9, "Acosh": 9,
    "Atanh": 9, "Sign": 9, "Erf": 9, "Round": 11, "Mish": 18,
}  # fmt: skip

HANDLERS = (
    *(unary(op, function) for op, function in _PLAIN.items()),
    *(unary(op, op.lower(), since) for op, since in _LATER.items()),
    unary("LeakyRelu", "leaky_relu", attributes=("alpha",)),
    unary("Elu", "elu", attributes=("alpha",)),
    unary("Selu", "selu", attributes=("alpha", "gamma")),
    unary("HardSigmoid", "hard_sigmoid", attributes=("alpha", "beta")),
    unary("HardSwish", "hard_swish", 14),
    unary("ThresholdedRelu", "thresholded_relu", 10, attributes=("alpha",)),
    Handler("Gelu", 20, _gelu, _gelu_lower, _gelu_evaluate, in_place=(0,)),
    Handler("Swish", 24, same_type, expand=_swish),
    Handler("Celu", 12, same_type, expand=_celu),
    Handler("PRelu", 1, same_type, expand=_prelu_of_channels),
    Handler("PRelu", 7, _prelu, _prelu_lower, _prelu_evaluate, in_place=(0,)),
)
