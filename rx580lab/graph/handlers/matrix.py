"""Products of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from rx580lab.device import Array
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.handlers.shape import required
from rx580lab.graph.ir import FUSED, Node, Value
from rx580lab.graph.lowering import Context
from rx580lab.ops.epilogue import Epilogue
from rx580lab.ops.gemm import pack_b, prefers_packed

__all__ = ["HANDLERS"]


def _gemm(node: Node, given: Values) -> list[Value]:
    a, b = required(node, given, 0), required(node, given, 1)
    if a.ndim != 2 or b.ndim != 2 or a.dtype != b.dtype:
        raise fault(node, f"expected two matrices of one element type, got {a.dtype} {a.shape}, {b.dtype} {b.shape}")
    m, k = a.shape[::-1] if node.attribute("transA", 0) else a.shape
    inner, n = b.shape[::-1] if node.attribute("transB", 0) else b.shape
    if k != inner:
        raise fault(node, f"expected inner lengths that agree, got {a.shape} by {b.shape}")
    added = given[2] if len(given) > 2 else None
    if added is not None and not _spreads(added.shape, (m, n)):
        raise fault(node, f"expected a third input that broadcasts to {(m, n)}, got {added.shape}")
    return [Value(a.dtype, (m, n))]


def _multiply(
    ctx: Context, a: Array, bias: Array | None = None, residual: Array | None = None, *, out: Array, **keywords: Any
) -> None:
    """``a`` by input 1. Weights are packed once where that pays, for all plans of the model."""
    known, turned = ctx.data(1), bool(keywords.get("transpose_b"))
    depth = a.shape[-2 if keywords.get("transpose_a") else -1]
    if known is None or not prefers_packed(ctx.device, a.size // max(depth, 1)):
        b: Any = ctx.given(1)
        b = b if b.ndim > 1 else b.reshape(b.size, 1)
        ctx.call("gemm", a, b, bias, residual, constant_b=False, out=out, **keywords)
        return
    rows = known if known.ndim > 1 else known.reshape(known.size, 1)
    form = "gemm transposed" if turned else "gemm"
    packed = ctx.weights.made(known, form, lambda: pack_b(ctx.device, rows, transpose_b=turned))
    ctx.call("gemm", a, packed, bias, residual, out=out, **{**keywords, "transpose_b": False})


def _spreads(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether ``shape`` broadcasts to ``target``, which stays as it is."""
    pairs = zip(shape[::-1], target[::-1], strict=False)
    return len(shape) <= len(target) and all(n in (1, wanted) for n, wanted in pairs)


def _gemm_lower(node: Node, ctx: Context) -> None:
    beta = node.attribute("beta", 1.0)
    out, added = ctx.out_value().shape, ctx.array(2)
    bias = residual = None
    if added is not None and beta != 0:
        if beta != 1:
            factor = ctx.weights.array(np.array(beta, added.dtype))
            added = ctx.call("elementwise", added, factor, function="mul").out
        if added.size == out[1] and added.shape[-1:] == out[1:]:
            bias = added.reshape(out[1])
        else:
            residual = added if added.shape == out else ctx.call("expand", added, shape=out).out
    transposed = {"transpose_a": bool(node.attribute("transA", 0)), "transpose_b": bool(node.attribute("transB", 0))}
    alpha = float(node.attribute("alpha", 1.0))
    _multiply(ctx, ctx.given(0), bias, residual, alpha=alpha, out=ctx.out(), **transposed)


def _matmul(node: Node, given: Values) -> list[Value]:
    a, b = required(node, given, 0), required(node, given, 1)
    if not a.ndim or not b.ndim or a.dtype != b.dtype:
        raise fault(node, f"expected two arrays of one element type, got {a.dtype} {a.shape} and {b.dtype} {b.shape}")
    rows, columns = a.shape if a.ndim > 1 else (1, *a.shape), b.shape if b.ndim > 1 else (*b.shape, 1)
    if rows[-1] != columns[-2]:
        raise fault(node, f"expected inner lengths that agree, got {a.shape} by {b.shape}")
    try:
        batch = np.broadcast_shapes(rows[:-2], columns[:-2])
    except ValueError:
        raise fault(node, f"expected batch axes that broadcast, got {a.shape} by {b.shape}") from None
    return [Value(a.dtype, (*batch, *rows[-2:-1][: a.ndim - 1], *columns[-1:][: b.ndim - 1]))]


def _matmul_lower(_node: Node, ctx: Context) -> None:
    a, columns, out = ctx.given(0), ctx.value(1).shape, ctx.out()
    rows = a if a.ndim > 1 else a.reshape(1, a.size)
    columns = columns if len(columns) > 1 else (*columns, 1)
    batch = np.broadcast_shapes(rows.shape[:-2], columns[:-2])
    _multiply(ctx, rows, out=out.reshape(*batch, rows.shape[-2], columns[-1]))


def _fused(node: Node, given: Values) -> list[Value]:
    a, b = required(node, given, 0), required(node, given, 1)
    turned = [
        Value(one.dtype, (*one.shape[:-2], *one.shape[:-3:-1]) if node.attribute(key) else one.shape)
        for one, key in ((a, "transA"), (b, "transB"))
    ]
    return _matmul(node, turned)


def _fused_lower(node: Node, ctx: Context) -> None:
    bias = ctx.array(2)
    _multiply(
        ctx,
        ctx.given(0),
        None if bias is None else bias.reshape(bias.size),
        ctx.array(3),
        transpose_a=bool(node.attribute("transA")),
        transpose_b=bool(node.attribute("transB")),
        alpha=float(node.attribute("scale", 1.0)),
        epilogue=Epilogue(*(node.attribute(key) for key in ("activation", "alpha", "beta"))),
        out=ctx.out(),
    )


def _product(_node: Node, given: Any) -> list[Any]:
    return [np.asarray(np.matmul(given[0], given[1]), given[0].dtype)]


HANDLERS = (
    Handler("Gemm", 1, _gemm, _gemm_lower),
    Handler("MatMul", 1, _matmul, _matmul_lower, _product),
    Handler("MatMul", 1, _fused, _fused_lower, domain=FUSED),
)
