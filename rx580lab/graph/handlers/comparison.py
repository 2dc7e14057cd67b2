"""Comparisons, truth values and choices between elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from rx580lab.graph.handlers.elementwise import aligned, binary, broadcast_shape, same_type, unary
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.handlers.shape import required
from rx580lab.graph.ir import Node, Value
from rx580lab.graph.lowering import Context

__all__ = ["HANDLERS"]


def _where(node: Node, given: Values) -> list[Value]:
    condition, x, y = (required(node, given, place) for place in range(3))
    if condition.dtype != np.bool_ or x.dtype != y.dtype:
        types = f"{condition.dtype}, {x.dtype}, {y.dtype}"
        raise fault(node, f"expected a condition of bool and two inputs of one element type, got {types}")
    return [Value(x.dtype, broadcast_shape(node, given))]


def _where_lower(_node: Node, ctx: Context) -> None:
    ctx.call("elementwise", *map(ctx.given, range(3)), function="where", out=ctx.out())


def _where_evaluate(_node: Node, given: Any) -> list[Any]:
    return [np.where(*given)]


def _is_inf(node: Node, given: Values) -> list[Value]:
    return [Value(np.dtype(np.bool_), same_type(node, given)[0].shape)]


def _is_inf_lower(node: Node, ctx: Context) -> None:
    """One sign alone: whether it equals that infinity."""
    signs = [bool(node.attribute(name, 1)) for name in ("detect_negative", "detect_positive")]
    x, out = ctx.given(0), ctx.out()
    if all(signs):
        ctx.call("elementwise", x, function="isinf", out=out)
    else:  # nothing equals NaN
        wanted = {(True, False): -np.inf, (False, True): np.inf, (False, False): np.nan}[signs[0], signs[1]]
        ctx.call("elementwise", x, ctx.weights.array(np.array(wanted, x.dtype)), function="equal", out=out)


def _is_inf_evaluate(node: Node, given: Any) -> list[Any]:
    x = given[0]
    lowest, highest = node.attribute("detect_negative", 1), node.attribute("detect_positive", 1)
    return [np.asarray((np.isneginf(x) & bool(lowest)) | (np.isposinf(x) & bool(highest)))]


_COMPARED = {"Equal": "equal", "Less": "less", "Greater": "greater"}
_LOGICAL = {"And": "and", "Or": "or", "Xor": "xor"}

HANDLERS = (
    *(binary(op, function, dtype=np.bool_) for op, function in _COMPARED.items()),
    *(binary(op, function) for op, function in _LOGICAL.items()),
    *map(aligned, (*_COMPARED, *_LOGICAL)),
    binary("LessOrEqual", "less_or_equal", 12, np.bool_),
    binary("GreaterOrEqual", "greater_or_equal", 12, np.bool_),
    *(binary(f"Bitwise{op}", function, 18) for op, function in _LOGICAL.items()),
    unary("BitwiseNot", "bitwise_not", 18),
    unary("Not", "not"),
    unary("IsNaN", "isnan", 9, dtype=np.bool_),
    Handler("IsInf", 10, _is_inf, _is_inf_lower, _is_inf_evaluate),
    Handler("Where", 9, _where, _where_lower, _where_evaluate, in_place=(1, 2)),
)
