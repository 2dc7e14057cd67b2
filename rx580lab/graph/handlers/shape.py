"""Operators that give a shape, or give elements another one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rx580lab.graph.handlers.elementwise import same_type
from rx580lab.graph.handlers.expansion import Expansion
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.ir import Graph, Node, Value
from rx580lab.graph.lowering import Context

__all__ = ["HANDLERS", "known", "normalized", "renamed", "required", "whole_numbers"]


def required(node: Node, given: Values, place: int) -> Value:
    """An input that has to be given."""
    found = given[place] if place < len(given) else None
    if found is None:
        raise fault(node, f"expected at least {place + 1} inputs, got {len(given)}")
    return found


def known(node: Node, given: Values, place: int) -> Any:
    """The data of an input that ``needs`` names."""
    data = required(node, given, place).data
    if data is None:
        raise fault(node, f"expected input {place} to be known before the model runs")
    return data


def whole_numbers(node: Node, given: Values, place: int) -> list[int]:
    """The data of an input of one axis that ``needs`` names."""
    data = known(node, given, place)
    if data.ndim > 1:
        raise fault(node, f"expected input {place} of one axis, got {data.shape}")
    return [int(one) for one in np.atleast_1d(data)]


def normalized(node: Node, axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Axes counted from the front, each of them once."""
    if any(not -rank <= axis < rank for axis in axes):
        raise fault(node, f"expected axes from {-rank} to {rank - 1}, got {list(axes)}")
    found = tuple(axis % rank for axis in axes)
    if len(set(found)) != len(found):
        raise fault(node, f"expected each axis once, got {list(axes)}")
    return found


def renamed(_node: Node, _ctx: Context) -> None:
    """Nothing to launch: the output is the input's memory."""


def _shape(node: Node, given: Values) -> list[Value]:
    lengths = required(node, given, 0).shape
    part = lengths[node.attribute("start", 0) : node.attribute("end", len(lengths))]
    return [Value.of(np.array(part, np.int64))]


def _size(node: Node, given: Values) -> list[Value]:
    return [Value.of(np.array(required(node, given, 0).size, np.int64))]


def _reshape(node: Node, given: Values) -> list[Value]:
    x, asked = required(node, given, 0), whole_numbers(node, given, 1)
    lengths = list(asked)
    if not node.attribute("allowzero", 0):
        if any(n == 0 and k >= x.ndim for k, n in enumerate(lengths)):
            raise fault(node, f"expected a 0 of the shape {lengths} to name an axis of {x.shape}")
        lengths = [x.shape[k] if n == 0 else n for k, n in enumerate(lengths)]
    rest = math.prod(n for n in lengths if n != -1)
    if lengths.count(-1) == 1 and rest and x.size % rest == 0:
        lengths = [x.size // rest if n == -1 else n for n in lengths]
    if any(n < 0 for n in lengths) or math.prod(lengths) != x.size:
        raise fault(node, f"expected a shape of {x.size} elements for {x.shape}, got {asked}")
    return [Value(x.dtype, tuple(lengths))]


def _reshape_by_attribute(graph: Graph, node: Node, _given: Values) -> list[Node]:
    made = Expansion(graph, node)
    made.add("Reshape", node.inputs[0], made.constant(node.attribute("shape", []), np.int64), out=node.outputs[0])
    return made.nodes


def _flatten(node: Node, given: Values) -> list[Value]:
    x, axis = required(node, given, 0), node.attribute("axis", 1)
    if not -x.ndim <= axis <= x.ndim:
        raise fault(node, f"expected an axis from {-x.ndim} to {x.ndim}, got {axis}")
    place = axis + x.ndim if axis < 0 else axis
    return [Value(x.dtype, (math.prod(x.shape[:place]), math.prod(x.shape[place:])))]


def _axes(node: Node, given: Values) -> list[int] | None:
    """From an input since version 13, from an attribute before; None where neither is given."""
    if node.opset < 13:
        found = node.attribute("axes")
        return None if found is None else list(found)
    return whole_numbers(node, given, 1) if len(given) > 1 and given[1] is not None else None


def _squeeze(node: Node, given: Values) -> list[Value]:
    x, asked = required(node, given, 0), _axes(node, given)
    if asked is None:
        return [Value(x.dtype, tuple(n for n in x.shape if n != 1))]
    axes = normalized(node, asked, x.ndim)
    if any(x.shape[axis] != 1 for axis in axes):
        raise fault(node, f"expected axes of length 1, got {asked} of {x.shape}")
    return [Value(x.dtype, tuple(n for k, n in enumerate(x.shape) if k not in axes))]


def _unsqueeze(node: Node, given: Values) -> list[Value]:
    x, asked = required(node, given, 0), _axes(node, given)
    if asked is None:
        raise fault(node, "expected axes, got none")
    rank = x.ndim + len(asked)
    axes, rest = normalized(node, asked, rank), iter(x.shape)
    return [Value(x.dtype, tuple(1 if k in axes else next(rest) for k in range(rank)))]


def _alias(op: str, since: int, infer: Any, needs: tuple[int, ...] = ()) -> Handler:
    """Elements as they are, in another shape."""

    def evaluate(node: Node, given: Any) -> list[Any]:
        types = [None if one is None else Value.of(one) for one in given]
        return [given[0].reshape(infer(node, types)[0].shape)]

    return Handler(op, since, infer, renamed, evaluate, needs=needs, alias=True)


def _transpose(node: Node, given: Values) -> list[Value]:
    x = required(node, given, 0)
    perm = node.attribute("perm", list(range(x.ndim))[::-1])
    if sorted(perm) != list(range(x.ndim)):
        raise fault(node, f"expected perm to order {x.ndim} axes, got {perm}")
    return [Value(x.dtype, tuple(x.shape[k] for k in perm))]


def _transpose_lower(node: Node, ctx: Context) -> None:
    ctx.call("transpose", ctx.given(0), perm=node.attribute("perm"), out=ctx.out())


def _transpose_evaluate(node: Node, given: Any) -> list[Any]:
    return [np.transpose(given[0], node.attribute("perm"))]


HANDLERS = (
    Handler("Shape", 1, _shape),
    Handler("Size", 1, _size),
    Handler("Reshape", 1, same_type, expand=_reshape_by_attribute),
    _alias("Identity", 1, same_type),
    _alias("Reshape", 5, _reshape, needs=(1,)),
    _alias("Flatten", 1, _flatten),
    _alias("Squeeze", 1, _squeeze),
    _alias("Squeeze", 13, _squeeze, needs=(1,)),
    _alias("Unsqueeze", 1, _unsqueeze),
    _alias("Unsqueeze", 13, _unsqueeze, needs=(1,)),
    Handler("Transpose", 1, _transpose, _transpose_lower, _transpose_evaluate),
)
