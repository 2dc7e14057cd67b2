"""Operators that look elements up, replace them, or find them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rx580lab.graph.handlers.expansion import Expansion
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.handlers.shape import known, normalized, required, whole_numbers
from rx580lab.graph.ir import Graph, Node, Value
from rx580lab.graph.lowering import Context
from rx580lab.reference.gather_nd import gather_nd
from rx580lab.reference.topk import topk

__all__ = ["HANDLERS"]


def _axis(node: Node, rank: int, default: int = 0) -> int:
    return normalized(node, [node.attribute("axis", default)], rank)[0]


def _gather(node: Node, given: Values) -> list[Value]:
    x, indices = required(node, given, 0), required(node, given, 1)
    axis = _axis(node, x.ndim)
    return [Value(x.dtype, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))]


def _gather_lower(node: Node, ctx: Context) -> None:
    ctx.call("gather", ctx.given(0), ctx.given(1), axis=node.attribute("axis", 0), out=ctx.out())


def _gather_evaluate(node: Node, given: Any) -> list[Any]:
    return [np.take(given[0], given[1], axis=node.attribute("axis", 0))]


def _elements(node: Node, x: Value, indices: Value) -> int:
    """The axis of GatherElements and its reverse, whose indices must not reach beyond x along the others."""
    axis = _axis(node, x.ndim)
    beyond = [k for k in range(min(x.ndim, indices.ndim)) if k != axis and indices.shape[k] > x.shape[k]]
    if indices.ndim != x.ndim or beyond:
        raise fault(node, f"expected indices within {x.shape} but along axis {axis}, got {indices.shape}")
    return axis


def _gather_elements(node: Node, given: Values) -> list[Value]:
    x, indices = required(node, given, 0), required(node, given, 1)
    _elements(node, x, indices)
    return [Value(x.dtype, indices.shape)]


def _gather_elements_lower(node: Node, ctx: Context) -> None:
    ctx.call("gather_elements", ctx.given(0), ctx.given(1), axis=node.attribute("axis", 0), out=ctx.out())


def _place(indices: Any, n: int, axis: int) -> tuple[Any, ...]:
    """Where in an array each of ``indices`` along ``axis`` points; IndexError beyond its ``n``."""
    if np.any((indices < -n) | (indices >= n)):
        raise IndexError(f"expected indices from {-n} to {n - 1}")
    return tuple(indices if k == axis else one for k, one in enumerate(np.indices(indices.shape)))


def _gather_elements_evaluate(node: Node, given: Any) -> list[Any]:
    x, indices = given
    axis = _axis(node, x.ndim)
    return [x[_place(indices, x.shape[axis], axis)]]


def _gather_nd(node: Node, given: Values) -> list[Value]:
    x, indices, batch = required(node, given, 0), required(node, given, 1), node.attribute("batch_dims", 0)
    depth = indices.shape[-1] if indices.ndim else 0
    within = 0 <= batch < min(x.ndim, indices.ndim) and 1 <= depth <= x.ndim - batch
    if not within or x.shape[:batch] != indices.shape[:batch]:
        raise fault(node, f"expected indices of axes of {x.shape} after the first {batch}, got {indices.shape}")
    return [Value(x.dtype, (*indices.shape[:-1], *x.shape[batch + depth :]))]


def _gather_nd_lower(node: Node, ctx: Context) -> None:
    batch = node.attribute("batch_dims", 0)
    ctx.call("gather_nd", ctx.given(0), ctx.given(1), batch_dims=batch, out=ctx.out())


def _gather_nd_evaluate(node: Node, given: Any) -> list[Any]:
    return [gather_nd(given[0], given[1], batch_dims=node.attribute("batch_dims", 0))]


def _no_reduction(node: Node) -> None:
    reduction = node.attribute("reduction", "none")
    if reduction != "none":
        raise fault(node, f"expected reduction to be none, which alone is supported, got {reduction!r}")


def _scatter(node: Node, given: Values) -> list[Value]:
    x, indices, updates = (required(node, given, place) for place in range(3))
    _no_reduction(node)
    _elements(node, x, indices)
    if updates.shape != indices.shape or updates.dtype != x.dtype:
        raise fault(node, f"expected updates of {x.dtype} {indices.shape}, got {updates.dtype} {updates.shape}")
    return [Value(x.dtype, x.shape)]


def _scatter_lower(node: Node, ctx: Context) -> None:
    axis = node.attribute("axis", 0)
    ctx.call("scatter_elements", *map(ctx.given, range(3)), axis=axis, out=ctx.out())


def _scatter_evaluate(node: Node, given: Any) -> list[Any]:
    x, indices, updates = given
    axis, made = _axis(node, x.ndim), x.copy()
    made[_place(indices, x.shape[axis], axis)] = updates
    return [made]


def _scatter_nd(node: Node, given: Values) -> list[Value]:
    x, indices, updates = (required(node, given, place) for place in range(3))
    _no_reduction(node)
    depth = indices.shape[-1] if indices.ndim else 0
    if not 1 <= depth <= x.ndim:
        raise fault(node, f"expected indices of axes of {x.shape}, got {indices.shape}")
    wanted = (*indices.shape[:-1], *x.shape[depth:])
    if updates.shape != wanted or updates.dtype != x.dtype:
        raise fault(node, f"expected updates of {x.dtype} {wanted}, got {updates.dtype} {updates.shape}")
    return [Value(x.dtype, x.shape)]


def _scatter_nd_lower(_node: Node, ctx: Context) -> None:
    ctx.call("scatter_nd", *map(ctx.given, range(3)), out=ctx.out())


def _scatter_nd_evaluate(_node: Node, given: Any) -> list[Any]:
    x, indices, updates = given
    made = x.copy()
    made[tuple(np.moveaxis(indices, -1, 0))] = updates
    return [made]


def _one_hot(graph: Graph, node: Node, given: Values) -> list[Node]:
    """Whether an index is each of 0 .. depth - 1, and by that one of two values; indices beyond are none of them."""
    indices, values = required(node, given, 0), required(node, given, 2)
    depth = int(known(node, given, 1).reshape(-1)[0])
    axis = _axis(node, indices.ndim + 1, -1)
    if values.shape != (2,) or depth < 0:
        raise fault(node, f"expected a depth of 0 or more and two values, got {depth} and {values.shape}")
    made = Expansion(graph, node)
    place = node.inputs[0] if indices.dtype == np.int64 else made.add("Cast", node.inputs[0], to=7)
    shape = [*indices.shape[:axis], 1, *indices.shape[axis:]]
    place = made.reshape(place, *shape)
    length = made.constant(depth, np.int64)
    counted = made.add(
        "Where", made.add("Less", place, made.constant(0, np.int64)), made.add("Add", place, length), place
    )
    each = np.arange(depth, dtype=np.int64).reshape([depth if k == axis else 1 for k in range(indices.ndim + 1)])
    chosen = made.add("Equal", counted, made.constant(each))
    off, on = (made.add("Gather", node.inputs[2], made.constant(k, np.int64)) for k in (0, 1))
    made.add("Where", chosen, on, off, out=node.outputs[0])
    return made.nodes


def _topk(node: Node, given: Values) -> list[Value]:
    x, k = required(node, given, 0), _topk_count(node, given)
    axis = _axis(node, x.ndim, -1)
    if not 0 <= k <= x.shape[axis]:
        raise fault(node, f"expected k from 0 to {x.shape[axis]}, got {k}")
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    return [Value(x.dtype, shape), Value(np.dtype(np.int64), shape)]


def _topk_count(node: Node, given: Values) -> int:
    if len(given) < 2:
        return int(node.attribute("k", 0))
    (k,) = whole_numbers(node, given, 1)
    return k


def _topk_keywords(node: Node, given: Values) -> dict[str, Any]:
    axis, largest = node.attribute("axis", -1), bool(node.attribute("largest", 1))
    return {"k": _topk_count(node, given), "axis": axis, "largest": largest}


def _topk_lower(node: Node, ctx: Context) -> None:
    keywords = _topk_keywords(node, [ctx.value(k) for k in range(len(node.inputs))])
    values = ctx.out() if node.outputs[0] else None
    made = ctx.call("topk", ctx.given(0), out=values, **keywords)
    if len(node.outputs) > 1 and node.outputs[1]:
        ctx.call("expand", made.more[0], shape=ctx.out_value(1).shape, out=ctx.out(1))


def _topk_evaluate(node: Node, given: Any) -> list[Any]:
    return list(topk(given[0], **_topk_keywords(node, [Value.of(one) for one in given])))


def _nonzero(node: Node, given: Values) -> list[Value]:
    return [Value.of(np.array(np.nonzero(np.atleast_1d(known(node, given, 0))), np.int64))]


HANDLERS = (
    Handler("Gather", 1, _gather, _gather_lower, _gather_evaluate),
    Handler("GatherElements", 11, _gather_elements, _gather_elements_lower, _gather_elements_evaluate),
    Handler("GatherND", 11, _gather_nd, _gather_nd_lower, _gather_nd_evaluate),
    Handler("Scatter", 9, _scatter, _scatter_lower, _scatter_evaluate, in_place=(0,)),
    Handler("ScatterElements", 11, _scatter, _scatter_lower, _scatter_evaluate, in_place=(0,)),
    Handler("ScatterND", 11, _scatter_nd, _scatter_nd_lower, _scatter_nd_evaluate, in_place=(0,)),
    Handler("OneHot", 9, _gather, expand=_one_hot, needs=(1,)),
    Handler("TopK", 1, _topk, _topk_lower, _topk_evaluate, needs=(1,)),
    Handler("NonZero", 9, _nonzero, needs=(0,)),
)
