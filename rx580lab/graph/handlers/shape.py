"""Operators that move, cut and rename, and those that make arrays of shapes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rx580lab.graph.handlers.elementwise import same_type
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.ir import Node, Value
from rx580lab.graph.lowering import Context

__all__ = ["HANDLERS", "required"]


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


def renamed(_node: Node, _ctx: Context) -> None:
    """Nothing to launch: the output is the input's memory."""


def _constant(node: Node, _given: Values) -> list[Value]:
    attributes = dict(node.attributes)
    if "value" in attributes:
        return [Value.of(attributes["value"])]
    for name, dtype in (("value_float", np.float32), ("value_int", np.int64)):
        if name in attributes:
            return [Value.of(np.array(attributes[name], dtype))]
        if name + "s" in attributes:
            return [Value.of(np.array(attributes[name + "s"], dtype))]
    raise fault(node, f"expected a value of numbers, got {', '.join(attributes) or 'no attribute'}")


def _shape(node: Node, given: Values) -> list[Value]:
    lengths = required(node, given, 0).shape
    part = lengths[node.attribute("start", 0) : node.attribute("end", len(lengths))]
    return [Value.of(np.array(part, np.int64))]


def _reshape(node: Node, given: Values) -> list[Value]:
    x, asked = required(node, given, 0), known(node, given, 1)
    lengths = [int(n) for n in asked]
    if not node.attribute("allowzero", 0):
        if any(n == 0 and k >= x.ndim for k, n in enumerate(lengths)):
            raise fault(node, f"expected a 0 of the shape {lengths} to name an axis of {x.shape}")
        lengths = [x.shape[k] if n == 0 else n for k, n in enumerate(lengths)]
    rest = math.prod(n for n in lengths if n != -1)
    if lengths.count(-1) == 1 and rest and x.size % rest == 0:
        lengths = [x.size // rest if n == -1 else n for n in lengths]
    if any(n < 0 for n in lengths) or math.prod(lengths) != x.size:
        raise fault(node, f"expected a shape of {x.size} elements for {x.shape}, got {[int(n) for n in asked]}")
    return [Value(x.dtype, tuple(lengths))]


def _reshape_evaluate(node: Node, given: Any) -> list[Any]:
    types = [Value.of(one) for one in given]
    return [given[0].reshape(_reshape(node, types)[0].shape)]


def _transpose(node: Node, given: Values) -> list[Value]:
    x = required(node, given, 0)
    perm = node.attribute("perm", list(range(x.ndim))[::-1])
    if sorted(perm) != list(range(x.ndim)):
        raise fault(node, f"expected perm to order {x.ndim} axes, got {perm}")
    return [Value(x.dtype, tuple(x.shape[k] for k in perm))]


def _transpose_lower(node: Node, ctx: Context) -> None:
    ctx.call("transpose", ctx.given(0), perm=node.attribute("perm"), out=ctx.out())


HANDLERS = (
    Handler("Constant", 1, _constant),
    Handler("Shape", 1, _shape),
    Handler("Identity", 1, same_type, renamed, lambda _node, given: [given[0]], alias=True),
    Handler("Reshape", 5, _reshape, renamed, _reshape_evaluate, needs=(1,), alias=True),
    Handler(
        "Transpose",
        1,
        _transpose,
        _transpose_lower,
        lambda node, given: [np.transpose(given[0], node.attribute("perm"))],
    ),
)
