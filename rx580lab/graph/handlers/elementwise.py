"""Operators of each element by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rx580lab.graph.handlers.registry import Evaluate, Handler, Values, fault
from rx580lab.graph.ir import Node, Value
from rx580lab.graph.lowering import Context

__all__ = ["HANDLERS", "broadcast", "same_type"]


def same_type(node: Node, given: Values) -> list[Value]:
    """One output like the first input."""
    first = given[0]
    if first is None:
        raise fault(node, "expected an input, got none")
    return [Value(first.dtype, first.shape)]


def broadcast(node: Node, given: Values) -> list[Value]:
    """One output of the inputs' common dtype, of the shape to which they broadcast as numpy's arrays do."""
    present = [one for one in given if one is not None]
    dtypes = {one.dtype for one in present}
    if len(dtypes) != 1:
        raise fault(node, f"expected inputs of one element type, got {', '.join(sorted(map(str, dtypes))) or 'none'}")
    try:
        shape = np.broadcast_shapes(*(one.shape for one in present))
    except ValueError:
        raise fault(
            node, f"expected shapes that broadcast, got {' and '.join(str(one.shape) for one in present)}"
        ) from None
    return [Value(present[0].dtype, shape)]


def _lower(function: str) -> Callable[[Node, Context], None]:
    def lower(node: Node, ctx: Context) -> None:
        ctx.call("elementwise", *(ctx.array(k) for k in range(len(node.inputs))), function=function, out=ctx.out())

    return lower


def _unary(op: str, function: str, compute: Callable[[Any], Any], since: int = 1) -> Handler:
    def evaluate(_node: Node, given: Any) -> list[Any]:
        return [np.asarray(compute(given[0]), given[0].dtype)]

    return Handler(op, since, same_type, _lower(function), evaluate, in_place=(0,))


def _binary(op: str, function: str, compute: Callable[[Any, Any], Any], since: int = 7) -> Handler:
    def evaluate(_node: Node, given: Any) -> list[Any]:
        return [np.asarray(compute(given[0], given[1]), given[0].dtype)]

    return Handler(op, since, broadcast, _lower(function), evaluate, in_place=(0, 1))


def _divide(a: Any, b: Any) -> Any:
    """Whole numbers towards zero, as ONNX has it."""
    if a.dtype.kind == "f":
        return a / b
    safe = np.where(b == 0, 1, b)
    return np.where(b == 0, 0, (a - np.fmod(a, safe)) // safe)


def _clip_evaluate(_node: Node, given: Any) -> list[Any]:
    x, low, high = (*given, None, None)[:3]
    x = x if low is None else np.maximum(x, low)
    return [x if high is None else np.minimum(x, high)]


def _clip(_node: Node, ctx: Context) -> None:
    ctx.call("elementwise", ctx.given(0), ctx.array(1), ctx.array(2), function="clip", out=ctx.out())


_CLIP_EVALUATE: Evaluate = _clip_evaluate

HANDLERS = (
    _unary("Relu", "relu", lambda x: np.maximum(x, 0)),
    _unary("Sigmoid", "sigmoid", lambda x: 1 / (1 + np.exp(-x))),
    _binary("Add", "add", np.add),
    _binary("Sub", "sub", np.subtract),
    _binary("Mul", "mul", np.multiply),
    _binary("Div", "div", _divide),
    Handler("Clip", 11, same_type, _clip, _CLIP_EVALUATE, in_place=(0,)),
)
