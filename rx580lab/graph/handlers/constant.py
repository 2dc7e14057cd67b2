"""Arrays that the model's file or shapes decide."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rx580lab.formats.onnx_file import dtype_of
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.handlers.shape import known, required, whole_numbers
from rx580lab.graph.ir import Node, Value
from rx580lab.graph.lowering import Context

__all__ = ["HANDLERS"]

# The largest array that is made on the host; unit: bytes.
HOST_BYTES = 64 << 20


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


def _filling(node: Node) -> Any:
    found = np.asarray(node.attribute("value", np.zeros(1, np.float32)))
    if found.size != 1:
        raise fault(node, f"expected a value of one element, got {found.shape}")
    return found.reshape(())


def _of_shape(node: Node, given: Values) -> list[Value]:
    value, lengths = _filling(node), whole_numbers(node, given, 0)
    if min(lengths, default=0) < 0:
        raise fault(node, f"expected lengths of 0 or more, got {lengths}")
    made = Value(value.dtype, tuple(lengths))
    return [made if made.nbytes > HOST_BYTES else Value.of(np.full(made.shape, value))]


def _of_shape_lower(node: Node, ctx: Context) -> None:
    ctx.call("expand", ctx.weights.array(_filling(node)), shape=ctx.out_value().shape, out=ctx.out())


def _range(node: Node, given: Values) -> list[Value]:
    values = [known(node, given, place) for place in range(3)]
    if any(one.size != 1 for one in values) or len({one.dtype for one in values}) != 1:
        raise fault(node, f"expected three scalars of one type, got {', '.join(str(one.dtype) for one in values)}")
    dtype = values[0].dtype
    start, limit, delta = (one.reshape(()).item() for one in values)
    if delta == 0:
        raise fault(node, "expected a step other than 0")
    whole = dtype.kind in "iu"
    length = max(-(-(limit - start) // delta) if whole else math.ceil((limit - start) / delta), 0)
    if length * dtype.itemsize > HOST_BYTES:
        raise fault(node, f"expected a range of at most {HOST_BYTES:,} bytes, got {length:,} elements")
    steps = np.arange(length, dtype=np.int64 if whole else np.float64)
    return [Value.of((steps * delta + start).astype(dtype))]


def _identity_matrix(node: Node, given: Values) -> list[Value]:
    like = required(node, given, 0)
    dtype = dtype_of(node.attribute("dtype"), str(node)) if "dtype" in node.attributes else like.dtype
    if like.ndim != 2 or like.size * dtype.itemsize > HOST_BYTES:
        raise fault(node, f"expected a matrix of at most {HOST_BYTES:,} bytes, got {like.shape}")
    rows, columns = like.shape
    return [Value.of(np.eye(rows, columns, k=node.attribute("k", 0), dtype=dtype))]


HANDLERS = (
    Handler("Constant", 1, _constant),
    Handler("ConstantOfShape", 9, _of_shape, _of_shape_lower, needs=(0,)),
    Handler("Range", 11, _range, needs=(0, 1, 2)),
    Handler("EyeLike", 9, _identity_matrix),
)
