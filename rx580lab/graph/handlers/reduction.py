"""Sums, extremes, norms and places over axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rx580lab.graph.handlers.elementwise import on_host
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.handlers.shape import known, normalized, required
from rx580lab.graph.ir import Node, Value
from rx580lab.graph.lowering import Context
from rx580lab.reference.reduce import reduce

__all__ = ["HANDLERS"]

# The op's function, and from which version on axes are an input.
_OPERATORS = {
    "ReduceSum": ("sum", 13), "ReduceMean": ("mean", 18), "ReduceMax": ("max", 18), "ReduceMin": ("min", 18),
    "ReduceProd": ("prod", 18), "ReduceL1": ("l1", 18), "ReduceL2": ("l2", 18), "ReduceSumSquare": ("sum_square", 18),
    "ReduceLogSumExp": ("log_sum_exp", 18), "ReduceLogSum": ("log_sum", 18),
}  # fmt: skip
# Functions whose results are not whole for whole numbers: computed in floats, and truncated.
_BY_FLOATS = ("l2", "log_sum_exp", "log_sum")


def _axes(node: Node, given: Values) -> tuple[int, ...]:
    """The axes that are reduced; none of them only where the node says so, else all by default."""
    x = required(node, given, 0)
    asked = node.attribute("axes")
    if len(given) > 1 and given[1] is not None:
        asked = [int(axis) for axis in np.atleast_1d(known(node, given, 1))]
    if not asked:
        return () if node.attribute("noop_with_empty_axes", 0) else tuple(range(x.ndim))
    return normalized(node, asked, x.ndim)


def _kept_shape(x: Value, axes: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:
    return tuple(1 if k in axes else n for k, n in enumerate(x.shape) if keepdims or k not in axes)


def _keeps(node: Node) -> bool:
    return bool(node.attribute("keepdims", 1))


def _infer(node: Node, given: Values) -> list[Value]:
    x, axes = required(node, given, 0), _axes(node, given)
    made = Value(x.dtype, _kept_shape(x, axes, _keeps(node)))
    if x.size == 0 and made.size:  # no data decide what comes of no elements
        with np.errstate(all="ignore"):
            return [Value.of(_reduced(node, np.zeros(x.shape, x.dtype), axes))]
    return [made]


def _reduced(node: Node, x: Any, axes: tuple[int, ...]) -> Any:
    """By numpy; whole numbers exactly, floats in float64 and rounded once."""
    function = _OPERATORS[node.op][0]
    keywords: dict[str, Any] = {"axes": axes, "keepdims": _keeps(node)}
    if x.dtype == np.bool_:
        return reduce(x.astype(np.int32), function=function, **keywords) > 0
    if function == "mean" and x.dtype.kind != "f":
        count = math.prod(x.shape[axis] for axis in axes)
        return on_host("div", reduce(x, function="sum", **keywords), x.dtype.type(count), dtype=x.dtype)
    if function in _BY_FLOATS and x.dtype.kind != "f":
        value = _log_or_norm(function, x.astype(np.float64), keywords)
        return on_host("cast", value, to=x.dtype, dtype=x.dtype)
    return np.asarray(_log_or_norm(function, x, keywords)).astype(x.dtype)


def _log_or_norm(function: str, x: Any, keywords: dict[str, Any]) -> Any:
    if function == "log_sum":
        return np.log(reduce(x, function="sum", **keywords))
    return reduce(x, function=function, **keywords)


def _evaluate(node: Node, given: Any) -> list[Any]:
    types = [None if one is None else Value.of(one) for one in given]
    return [_reduced(node, given[0], _axes(node, types))]


def _lower(node: Node, ctx: Context) -> None:
    function, x, out = _OPERATORS[node.op][0], ctx.given(0), ctx.out()
    axes = _axes(node, [ctx.value(k) if node.has_input(k) else None for k in range(len(node.inputs))])
    keywords: dict[str, Any] = {"axes": axes, "keepdims": _keeps(node)}
    if x.dtype == np.bool_:
        bits = [one.viewed_as(np.uint8, one.shape) for one in (x, out)]
        ctx.call("reduce", bits[0], function=function, out=bits[1], **keywords)
    elif function == "mean" and x.dtype.kind != "f":
        count = math.prod(x.shape[axis] for axis in axes)
        total = ctx.call("reduce", x, function="sum", out=out, **keywords).out
        ctx.call("elementwise", total, ctx.weights.array(np.array(count, x.dtype)), function="div", out=out)
    elif function in _BY_FLOATS and x.dtype.kind != "f":
        floats = ctx.call("elementwise", x, function="cast", to=np.float32).out
        ctx.call("elementwise", _floats(ctx, function, floats, keywords), function="cast", to=x.dtype, out=out)
    else:
        _floats(ctx, function, x, {**keywords, "out": out})


def _floats(ctx: Context, function: str, x: Any, keywords: dict[str, Any]) -> Any:
    if function != "log_sum":
        return ctx.call("reduce", x, function=function, **keywords).out
    total = ctx.call("reduce", x, function="sum", **keywords).out
    return ctx.call("elementwise", total, function="log", out=total).out


def _place(node: Node, given: Values) -> list[Value]:
    x = required(node, given, 0)
    axes = normalized(node, [node.attribute("axis", 0)], x.ndim)
    if x.shape[axes[0]] == 0:
        raise fault(node, f"expected elements to choose from along axis {axes[0]}, got {x.shape}")
    return [Value(np.dtype(np.int64), _kept_shape(x, axes, _keeps(node)))]


def _place_keywords(node: Node) -> dict[str, Any]:
    return {
        "function": node.op.lower(),
        "axes": [node.attribute("axis", 0)],
        "keepdims": _keeps(node),
        "select_last_index": bool(node.attribute("select_last_index", 0)),
    }


def _place_lower(node: Node, ctx: Context) -> None:
    ctx.call("reduce", ctx.given(0), out=ctx.out(), **_place_keywords(node))


def _place_evaluate(node: Node, given: Any) -> list[Any]:
    return [reduce(given[0], **_place_keywords(node))]


HANDLERS = (
    *(Handler(op, 1, _infer, _lower, _evaluate) for op in _OPERATORS),
    *(Handler(op, since, _infer, _lower, _evaluate, needs=(1,)) for op, (_, since) in _OPERATORS.items()),
    Handler("ArgMax", 1, _place, _place_lower, _place_evaluate),
    Handler("ArgMin", 1, _place, _place_lower, _place_evaluate),
)
