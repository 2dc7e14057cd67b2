"""Convolutions and products of bytes, summed in int32."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rx580lab.device import Array
from rx580lab.graph.handlers.matrix import HANDLERS as OF_MATRICES
from rx580lab.graph.handlers.registry import Handler, Infer, Values, fault
from rx580lab.graph.handlers.shape import known, required
from rx580lab.graph.handlers.window import HANDLERS as OF_WINDOWS
from rx580lab.graph.handlers.window import conv_window
from rx580lab.graph.ir import FUSED, Node, Value
from rx580lab.graph.lowering import Context

__all__ = ["HANDLERS"]

BYTES = (np.dtype(np.int8), np.dtype(np.uint8))


def _infer_of(op: str) -> Infer:
    """Shapes are those of the operator on floats."""
    return next(one.infer for one in (*OF_WINDOWS, *OF_MATRICES) if one.op == op and not one.domain)


def _bytes(node: Node, given: Values, place: int) -> Value:
    found = required(node, given, place)
    if found.dtype not in BYTES:
        raise fault(node, f"expected input {place} of int8 or uint8, got {found.dtype}")
    return found


def _shape(node: Node, op: str, first: Value, second: Value) -> tuple[int, ...]:
    # Their types may differ, as those of floats may not.
    stand_ins = [Value(np.dtype(np.float32), one.shape) for one in (first, second)]
    return _infer_of(op)(node, stand_ins)[0].shape


def _sums(op: str) -> Infer:
    """ConvInteger, MatMulInteger: bytes, bytes -> int32."""

    def infer(node: Node, given: Values) -> list[Value]:
        return [Value(np.dtype(np.int32), _shape(node, op, _bytes(node, given, 0), _bytes(node, given, 1)))]

    return infer


def _requantized(op: str) -> Infer:
    """QLinearConv, QLinearMatMul: each array comes with its scale and zero point; the result has that one's type."""

    def infer(node: Node, given: Values) -> list[Value]:
        first, second = _bytes(node, given, 0), _bytes(node, given, 3)
        for place in (1, 4, 6):
            if required(node, given, place).dtype != np.float32:
                raise fault(node, f"expected scales of float32, got {required(node, given, place).dtype}")
        known(node, given, 7)
        return [Value(_bytes(node, given, 7).dtype, _shape(node, op, first, second))]

    return infer


def _fused(op: str) -> Infer:
    """Ours: x, w, their zero points, bias in int32, scale in fp32; ``output`` names the type."""

    def infer(node: Node, given: Values) -> list[Value]:
        shape = _shape(node, op, _bytes(node, given, 0), _bytes(node, given, 1))
        return [Value(np.dtype(node.attribute("output")), shape)]

    return infer


def _line(array: Array | None) -> Array | None:
    """Parameters of columns or filters as the ops take them: without the axes that only broadcast."""
    return array if array is None or array.ndim <= 1 else array.reshape(array.size)


def _convolve(ctx: Context, x: Array, w: Array, *vectors: Array | None, **keywords: Any) -> None:
    window = conv_window(ctx.node, ctx.value(0), Value(w.dtype, w.shape))
    ctx.call("conv_i8_i8", x, w, *map(_line, vectors), out=ctx.out(), **window, **keywords)


def _multiply(ctx: Context, a: Array, b: Array, *vectors: Array | None, **keywords: Any) -> None:
    """As numpy's matmul; stacks of matrices on the right one after the other."""
    out = ctx.out()
    left = a if a.ndim > 1 else a.reshape(1, a.size)
    right = b if b.ndim > 1 else b.reshape(b.size, 1)
    lines = [_line(one) for one in vectors]
    if right.size == right.shape[-2] * right.shape[-1]:
        right = right.reshape(right.shape[-2:])
        ctx.call("gemm_i8_i8", left, right, *lines, out=out.reshape(*left.shape[:-1], right.shape[1]), **keywords)
        return
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    lefts, rights = (_matrices(ctx, one, batch) for one in (left, right))
    products = [
        ctx.call("gemm_i8_i8", one, other, *lines, **keywords).out for one, other in zip(lefts, rights, strict=True)
    ]
    stacked = [one.reshape(1, *one.shape) for one in products]
    ctx.call("concat", *stacked, axis=0, out=out.reshape(len(stacked), *products[0].shape))


def _matrices(ctx: Context, stack: Array, batch: Sequence[int]) -> list[Array]:
    """The matrices of a stack that broadcasts to ``batch``, each by itself."""
    own = (*(1,) * (len(batch) + 2 - stack.ndim), *stack.shape[:-2])
    whole, found = stack.reshape(*own, *stack.shape[-2:]), {}
    made = []
    for index in itertools.product(*map(range, batch)):
        place = tuple(0 if n == 1 else k for k, n in zip(index, own, strict=True))
        if place not in found:
            axes = list(range(len(place)))
            cut = ctx.call("slice", whole, starts=place, ends=[k + 1 for k in place], axes=axes).out
            found[place] = cut.reshape(stack.shape[-2:])
        made.append(found[place])
    return made


Emit = Callable[..., None]


def _sums_lower(emit: Emit) -> Callable[[Node, Context], None]:
    def lower(_node: Node, ctx: Context) -> None:
        emit(ctx, ctx.given(0), ctx.given(1), ctx.array(2), ctx.array(3), dtype=np.int32)

    return lower


def _fused_lower(emit: Emit) -> Callable[[Node, Context], None]:
    def lower(node: Node, ctx: Context) -> None:
        vectors = (ctx.array(k) for k in range(2, 6))
        keywords = {"dtype": ctx.out_value().dtype, "out_zero_point": node.attribute("out_zero_point", 0)}
        emit(ctx, ctx.given(0), ctx.given(1), *vectors, **keywords)

    return lower


def _requantized_lower(emit: Emit, *, bias: bool) -> Callable[[Node, Context], None]:
    def lower(_node: Node, ctx: Context) -> None:
        zero_point = ctx.data(7)
        per_row = not bias and ctx.value(1).size > 1
        row_scale = (_line(ctx.given(1)),) if per_row else ()
        added = ctx.array(8) if bias else None
        keywords = {
            "dtype": ctx.out_value().dtype,
            "out_zero_point": 0 if zero_point is None else int(zero_point.item()),
        }
        scale = _scale(ctx, (4,) if per_row else (1, 4))
        emit(ctx, ctx.given(0), ctx.given(3), ctx.array(2), ctx.array(5), added, scale, *row_scale, **keywords)

    return lower


def _scale(ctx: Context, factors: tuple[int, ...]) -> Array:
    """The scales of what is multiplied over that of the result, by the host where it knows them."""
    given = [ctx.data(k) for k in (*factors, 6)]
    data = [one for one in given if one is not None]
    if len(data) == len(given):

        def make() -> Array:
            product = np.prod(np.broadcast_arrays(*data[:-1]), axis=0, dtype=np.float32)
            return ctx.device.upload(np.asarray(product / data[-1], np.float32).reshape(-1))

        return ctx.weights.made(data[-2], f"scale of {ctx.node.name}", make)
    product = ctx.given(factors[0])
    if len(factors) > 1:
        product = ctx.call("elementwise", product, ctx.given(factors[1]), function="mul").out
    return ctx.call("elementwise", product, ctx.given(6), function="div").out


HANDLERS = (
    Handler("ConvInteger", 10, _sums("Conv"), _sums_lower(_convolve)),
    Handler("MatMulInteger", 10, _sums("MatMul"), _sums_lower(_multiply)),
    Handler("QLinearConv", 10, _requantized("Conv"), _requantized_lower(_convolve, bias=True), needs=(7,)),
    Handler("QLinearMatMul", 10, _requantized("MatMul"), _requantized_lower(_multiply, bias=False), needs=(7,)),
    Handler("ConvInteger", 1, _fused("Conv"), _fused_lower(_convolve), domain=FUSED),
    Handler("MatMulInteger", 1, _fused("MatMul"), _fused_lower(_multiply), domain=FUSED),
)
