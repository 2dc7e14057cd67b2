"""From floats to bytes by a scale and a zero point, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.handlers.shape import required
from rx580lab.graph.ir import Node, Value
from rx580lab.graph.lowering import Context

__all__ = ["HANDLERS", "dequantized"]

BYTES = (np.dtype(np.int8), np.dtype(np.uint8))
# TensorProto's codes of what output_dtype may ask for.
FLOAT, UINT8, INT8 = 1, 2, 3


def _parameters(node: Node, given: Values, stored: np.dtype[Any]) -> None:
    """The scale is fp32; the zero point has the type of what is ``stored``, and the scale's shape."""
    scale = required(node, given, 1)
    zero = given[2] if len(given) > 2 else None
    if scale.dtype != np.float32:
        raise fault(node, f"expected a scale of float32, got {scale.dtype}")
    if zero is not None and (zero.dtype != stored or zero.size != scale.size):
        raise fault(node, f"expected a zero point of {stored} {scale.shape}, got {zero.dtype} {zero.shape}")


def _quantize(node: Node, given: Values) -> list[Value]:
    x, zero = required(node, given, 0), given[2] if len(given) > 2 else None
    if x.dtype not in (np.dtype(np.float32), np.dtype(np.int32)):
        raise fault(node, f"expected float32 or int32 to quantize, got {x.dtype}")
    asked = node.attribute("output_dtype", 0)
    if asked not in (0, UINT8, INT8):
        raise fault(node, f"expected output_dtype to be int8 or uint8, got TensorProto's type {asked}")
    kind = np.dtype(np.int8 if asked == INT8 else np.uint8) if zero is None or asked else zero.dtype
    if kind not in BYTES:
        raise fault(node, f"expected a result of int8 or uint8, got {kind}")
    if node.attribute("precision", 0) not in (0, FLOAT):
        raise fault(node, f"expected precision to be float32, got TensorProto's type {node.attribute('precision')}")
    _parameters(node, given, kind)
    return [Value(kind, x.shape)]


def _layout(node: Node) -> dict[str, int]:
    """Where scales lie; ``block_size`` counts where it is not 0."""
    return {"axis": node.attribute("axis", 1), "block": node.attribute("block_size", 0)}


def _quantize_lower(node: Node, ctx: Context) -> None:
    x = ctx.given(0)
    if x.dtype != np.float32:
        x = ctx.call("elementwise", x, function="cast", to=np.float32).out
    ctx.call("quantize", x, ctx.given(1), ctx.array(2), dtype=ctx.out_value().dtype, out=ctx.out(), **_layout(node))


def _quantize_evaluate(node: Node, given: Any) -> list[Any]:
    x, scale, zero = (*given, None)[:3]
    kind = _quantize(node, [None if one is None else Value.of(one) for one in given])[0].dtype
    limits = np.iinfo(kind)
    whole = np.rint(x.astype(np.float32) / _spread(node, scale, x.shape)).astype(np.float64)
    shifted = whole if zero is None else whole + _spread(node, zero, x.shape)
    return [np.clip(np.where(np.isnan(shifted), limits.min, shifted), limits.min, limits.max).astype(kind)]


def _spread(node: Node, values: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Parameters, ready to broadcast against an array of ``shape``."""
    if values.size == 1:
        return values.reshape(())
    axis, block = node.attribute("axis", 1), node.attribute("block_size", 0)
    if block:
        return np.take(np.repeat(values, block, axis), np.arange(shape[axis]), axis)
    along = [1] * len(shape)
    along[axis] = -1
    return values.reshape(along)


def _dequantize(node: Node, given: Values) -> list[Value]:
    x = required(node, given, 0)
    if x.dtype not in (*BYTES, np.dtype(np.int32)):
        raise fault(node, f"expected int8, uint8 or int32 to dequantize, got {x.dtype}")
    if node.attribute("output_dtype", 0) not in (0, FLOAT):
        raise fault(
            node, f"expected output_dtype to be float32, got TensorProto's type {node.attribute('output_dtype')}"
        )
    _parameters(node, given, x.dtype)
    return [Value(np.dtype(np.float32), x.shape)]


def _dequantize_lower(node: Node, ctx: Context) -> None:
    ctx.call("dequantize", ctx.given(0), ctx.given(1), ctx.array(2), out=ctx.out(), **_layout(node))


def dequantized(node: Node, x: Any, scale: Any, zero: Any = None) -> npt.NDArray[np.float32]:
    """What DequantizeLinear gives for arrays on the host.

    It is not the operator's ``evaluate``: folded at once, weights would be fp32 before ``passes`` could keep them.
    """
    difference = x.astype(np.int64) if zero is None else x.astype(np.int64) - _spread(node, zero, x.shape)
    return np.asarray(difference.astype(np.float32) * _spread(node, scale, x.shape))


def _dynamic(node: Node, given: Values) -> list[Value]:
    x = required(node, given, 0)
    if x.dtype != np.float32 or not x.size:
        raise fault(node, f"expected values of float32, got {x.dtype} {x.shape}")
    return [Value(np.dtype(np.uint8), x.shape), Value(np.dtype(np.float32), ()), Value(np.dtype(np.uint8), ())]


def _dynamic_lower(_node: Node, ctx: Context) -> None:
    ctx.call("dynamic_quantize", ctx.given(0), out=ctx.out(), out_scale=ctx.out(1), out_zero_point=ctx.out(2))


HANDLERS = (
    Handler("QuantizeLinear", 10, _quantize, _quantize_lower, _quantize_evaluate),
    Handler("DequantizeLinear", 10, _dequantize, _dequantize_lower),
    Handler("DynamicQuantizeLinear", 11, _dynamic, _dynamic_lower),
)
