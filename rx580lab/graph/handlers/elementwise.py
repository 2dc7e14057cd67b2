"""Arithmetic of each element by itself, of operands that broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.graph.handlers.expansion import Expansion
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.ir import Graph, Node, Value
from rx580lab.graph.lowering import Context
from rx580lab.reference.elementwise import elementwise

__all__ = [
    "HANDLERS",
    "aligned",
    "binary",
    "broadcast",
    "broadcast_shape",
    "on_host",
    "same_type",
    "unary",
]


def same_type(node: Node, given: Values) -> list[Value]:
    """One output like the first input."""
    first = given[0]
    if first is None:
        raise fault(node, "expected an input, got none")
    return [Value(first.dtype, first.shape)]


def broadcast_shape(node: Node, given: Values) -> tuple[int, ...]:
    """The shape to which the inputs broadcast as numpy's arrays do."""
    shapes = [one.shape for one in given if one is not None]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise fault(node, f"expected shapes that broadcast, got {' and '.join(map(str, shapes))}") from None


def broadcast(node: Node, given: Values) -> list[Value]:
    """One output of the inputs' common dtype, of the shape to which they broadcast as numpy's arrays do."""
    present = [one for one in given if one is not None]
    dtypes = {one.dtype for one in present}
    if len(dtypes) != 1:
        raise fault(node, f"expected inputs of one element type, got {', '.join(sorted(map(str, dtypes))) or 'none'}")
    return [Value(present[0].dtype, broadcast_shape(node, given))]


def on_host(function: str, *arrays: Any, dtype: npt.DTypeLike, **keywords: Any) -> npt.NDArray[Any]:
    """What ``ops.elementwise`` computes, by numpy; floats in float64 and rounded once."""
    return np.asarray(elementwise(*arrays, function=function, **keywords)).astype(dtype)


def _parameters(node: Node, names: Sequence[str]) -> dict[str, Any]:
    """The attributes that are the function's alpha and beta; None for its own default, which is ONNX's."""
    return {key: node.attribute(name) for key, name in zip(("alpha", "beta"), names, strict=False)}


def unary(
    op: str, function: str, since: int = 1, attributes: Sequence[str] = (), dtype: npt.DTypeLike | None = None
) -> Handler:
    """A function of one array. ``attributes``: those that are alpha and beta; ``dtype``: what comes out, if not x's."""

    def infer(node: Node, given: Values) -> list[Value]:
        (like,) = same_type(node, given)
        return [like if dtype is None else Value(np.dtype(dtype), like.shape)]

    def lower(node: Node, ctx: Context) -> None:
        ctx.call("elementwise", ctx.given(0), function=function, out=ctx.out(), **_parameters(node, attributes))

    def evaluate(node: Node, given: Any) -> list[Any]:
        made = given[0].dtype if dtype is None else dtype
        return [on_host(function, given[0], dtype=made, **_parameters(node, attributes))]

    return Handler(op, since, infer, lower, evaluate, in_place=(0,) if dtype is None else ())


def binary(op: str, function: str, since: int = 7, dtype: npt.DTypeLike | None = None) -> Handler:
    """A function of two arrays of one type that broadcast. ``dtype``: what comes out, if not that type."""

    def infer(node: Node, given: Values) -> list[Value]:
        (like,) = broadcast(node, given)
        return [like if dtype is None else Value(np.dtype(dtype), like.shape)]

    def lower(_node: Node, ctx: Context) -> None:
        ctx.call("elementwise", ctx.given(0), ctx.given(1), function=function, out=ctx.out())

    def evaluate(_node: Node, given: Any) -> list[Any]:
        return [on_host(function, *given, dtype=given[0].dtype if dtype is None else dtype)]

    return Handler(op, since, infer, lower, evaluate, in_place=(0, 1) if dtype is None else ())


def aligned(op: str) -> Handler:
    """``op`` before version 7: b is of a's shape, or, with ``broadcast``, of some neighbouring axes of a from ``axis``
    on (the last ones by default).
    """

    def expand(graph: Graph, node: Node, given: Values) -> list[Node]:
        a, b = given
        if a is None or b is None:
            raise fault(node, "expected two inputs")
        made = Expansion(graph, node)
        second = node.inputs[1]
        if b.shape != a.shape:
            second = made.reshape(second, *_aligned_shape(node, a, b))
        made.add(op, node.inputs[0], second, out=node.outputs[0])
        return made.nodes

    return Handler(op, 1, broadcast, expand=expand)


def _aligned_shape(node: Node, a: Value, b: Value) -> tuple[int, ...]:
    axis = node.attribute("axis")
    start = a.ndim - b.ndim if axis is None else axis + a.ndim * (axis < 0)
    if not node.attribute("broadcast", 0):
        raise fault(node, f"expected inputs of one shape, since broadcast is 0, got {a.shape} and {b.shape}")
    if b.size == 1:
        return (1,) * a.ndim
    within = 0 <= start <= a.ndim - b.ndim
    if not within or any(n not in (1, a.shape[start + k]) for k, n in enumerate(b.shape)):
        raise fault(node, f"expected axes of {a.shape} from {start} on as second input, got {b.shape}")
    return (*b.shape, *[1] * (a.ndim - start - b.ndim))


def _pow(node: Node, given: Values) -> list[Value]:
    (like,) = same_type(node, given)
    return [Value(like.dtype, broadcast_shape(node, given))]


def _pow_lower(_node: Node, ctx: Context) -> None:
    x, y, out, exponent = ctx.given(0), ctx.given(1), ctx.out(), ctx.data(1)
    if exponent is not None and exponent.size == 1 and exponent.reshape(())[()] == 2 and x.shape == out.shape:
        ctx.call("elementwise", x, x, function="mul", out=out)
    elif x.dtype.kind == "f" or y.dtype.kind != "f":
        same = y if y.dtype == x.dtype else ctx.call("elementwise", y, function="cast", to=x.dtype).out
        ctx.call("elementwise", x, same, function="pow", out=out)
    else:
        _pow_of_wholes(ctx, x, y, out)


def _pow_of_wholes(ctx: Context, x: Any, y: Any, out: Any) -> None:
    """Exactly where the exponent is a whole number, else by fp32 and truncated."""

    def of(function: str, *arrays: Any, **keywords: Any) -> Any:
        return ctx.call("elementwise", *arrays, function=function, **keywords).out

    is_whole = of("equal", of("floor", y), y)
    exact = of("pow", x, of("cast", y, to=x.dtype))
    near = of("cast", of("pow", of("cast", x, to=y.dtype), y), to=x.dtype)
    of("where", is_whole, exact, near, out=out)


def _pow_evaluate(_node: Node, given: Any) -> list[Any]:
    x, y = given
    if x.dtype.kind == "f" or y.dtype.kind != "f":
        return [on_host("pow", x, y.astype(x.dtype), dtype=x.dtype)]
    exact = on_host("pow", x, on_host("cast", y, dtype=x.dtype, to=x.dtype), dtype=x.dtype)
    near = on_host("cast", np.power(x.astype(np.float64), y), dtype=x.dtype, to=x.dtype)
    return [np.where(np.floor(y) == y, exact, near)]


def _mod_function(node: Node, dtype: np.dtype[Any]) -> str:
    if node.attribute("fmod", 0):
        return "fmod"
    if dtype.kind == "f":
        raise fault(node, f"expected fmod to be 1 for {dtype}, got 0")
    return "mod"


def _mod(node: Node, given: Values) -> list[Value]:
    (like,) = broadcast(node, given)
    _mod_function(node, like.dtype)
    return [like]


def _mod_lower(node: Node, ctx: Context) -> None:
    function = _mod_function(node, ctx.value(0).dtype)
    ctx.call("elementwise", ctx.given(0), ctx.given(1), function=function, out=ctx.out())


def _mod_evaluate(node: Node, given: Any) -> list[Any]:
    return [on_host(_mod_function(node, given[0].dtype), *given, dtype=given[0].dtype)]


def _clip(node: Node, given: Values) -> list[Value]:
    (like,) = same_type(node, given)
    for one in given[1:]:
        if one is not None and (one.size != 1 or one.dtype != like.dtype):
            raise fault(node, f"expected scalar bounds of {like.dtype}, got {one.dtype} {one.shape}")
    return [like]


def _clip_lower(_node: Node, ctx: Context) -> None:
    bounds = [None if one is None else one.reshape() for one in (ctx.array(1), ctx.array(2))]
    ctx.call("elementwise", ctx.given(0), *bounds, function="clip", out=ctx.out())


def _clip_evaluate(_node: Node, given: Any) -> list[Any]:
    x, *bounds = (*given, None, None)[:3]
    bounds = [None if one is None else one.reshape(()) for one in bounds]
    return [on_host("clip", x, *bounds, dtype=x.dtype)]


def _clip_of_attributes(graph: Graph, node: Node, given: Values) -> list[Node]:
    """Before version 11 the bounds are numbers."""
    (like,) = same_type(node, given)
    made = Expansion(graph, node)
    bounds = [node.attribute(name) for name in ("min", "max")]
    names = ["" if one is None else made.constant(one, like.dtype) for one in bounds]
    made.add("Clip", node.inputs[0], *names, out=node.outputs[0])
    return made.nodes


_ARITHMETIC = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div"}

HANDLERS = (
    *(binary(op, function) for op, function in _ARITHMETIC.items()),
    *map(aligned, (*_ARITHMETIC, "Pow")),
    Handler("Pow", 7, _pow, _pow_lower, _pow_evaluate, in_place=(0,)),
    Handler("Mod", 10, _mod, _mod_lower, _mod_evaluate, in_place=(0, 1)),
    Handler("Clip", 1, same_type, expand=_clip_of_attributes),
    Handler("Clip", 11, _clip, _clip_lower, _clip_evaluate, in_place=(0,)),
)
