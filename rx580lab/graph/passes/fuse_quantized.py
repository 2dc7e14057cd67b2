"""DequantizeLinear, Conv or Gemm or MatMul, and QuantizeLinear become one op on bytes: int32 sums, scaled at the end.

It differs from the definition by fp32's rounding of what is left out and, where a bias of floats becomes int32, by half
a unit of the sums: at most one step of the result. Weights stay bytes. It fires only where scales and zero points are
constants. Weights that no such op takes are dequantized here, once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.graph.handlers.quantize import dequantized
from rx580lab.graph.ir import FUSED, Graph, Node, Value
from rx580lab.graph.passes.fuse_activation import activation_of
from rx580lab.graph.passes.pattern import Match, Reader, rewrite

__all__ = ["run"]

Data = npt.NDArray[Any]
BYTES = (np.dtype(np.int8), np.dtype(np.uint8))
OPS = {"Conv": "ConvInteger", "Gemm": "MatMulInteger", "MatMul": "MatMulInteger"}
# How near a bias's own scale has to be to the product of the others to be the same; both were rounded to fp32.
SAME = 1e-5


@dataclass(frozen=True)
class _Sums:
    """A product of bytes.

    Attributes:
        x: name of the bytes. x_zero, w, w_zero, scale, bias: constants; bias in units of ``scale``.
        exact: whether the bias was int32 before.
    """

    x: str
    x_zero: Data
    w: Data
    w_zero: Data
    scale: Data
    bias: Data | None
    exact: bool


def run(graph: Graph) -> None:
    """Rewrites ``graph`` in place; it needs no shapes but those of constants."""
    rewrite(graph, _requantized)
    rewrite(graph, _scaled)
    _dequantize_constants(graph)


def _requantized(reader: Reader, last: Node) -> Match | None:
    """A pattern that ends in bytes."""
    if last.domain != "" or last.op != "QuantizeLinear" or last.attribute("block_size", 0):
        return None
    end = _per_tensor(reader.graph, last)
    if end is None:
        return None
    y_scale, y_zero = end
    name = last.inputs[0]
    between: tuple[Node, ...] = ()
    activation = reader.writer(name, "Relu", "Clip")
    if activation is not None:
        if not _saturates(reader.graph, activation, y_scale, y_zero):
            return None
        name, between = activation.inputs[0], (activation,)
    product = reader.writer(name, *OPS)
    sums = None if product is None else _sums_of(reader, product)
    if product is None or sums is None:
        return None
    step = sums.scale.astype(np.float64) / y_scale
    if not sums.exact and step.max() >= 1:
        return None
    changes = {"output": y_zero.dtype.name, "out_zero_point": int(y_zero)}
    made = _node(reader.graph, product, sums, step.astype(np.float32), last.outputs, changes)
    return Match((product, *between, last), (made,))


def _scaled(reader: Reader, last: Node) -> Match | None:
    """A product whose floats something else reads: exact but for fp32's rounding, so its bias has to be int32."""
    if last.domain != "" or last.op not in OPS:
        return None
    sums = _sums_of(reader, last)
    if sums is None or not sums.exact:
        return None
    return Match((last,), (_node(reader.graph, last, sums, sums.scale, last.outputs, {"output": "float32"}),))


def _node(
    graph: Graph, product: Node, sums: _Sums, scale: Data, outputs: tuple[str, ...], changes: dict[str, Any]
) -> Node:
    def constant(data: Data | None, what: str) -> str:
        return "" if data is None else graph.constant(data, f"{product.name}/{what}")

    zeros = constant(sums.x_zero, "x_zero_point"), constant(sums.w_zero, "w_zero_point")
    tail = constant(sums.bias, "bias"), constant(np.asarray(scale, np.float32), "scale")
    return product.with_changes(
        op=OPS[product.op],
        domain=FUSED,
        opset=1,
        inputs=(sums.x, constant(sums.w, "weights"), *zeros, *tail),
        outputs=outputs,
        attributes={**dict.fromkeys(("alpha", "beta", "transA", "transB")), **changes},
    )


def _per_tensor(graph: Graph, node: Node) -> tuple[float, Data] | None:
    """Scale and zero point of a node that has one of each, constants, for bytes."""
    scale, zero = graph.data(node.inputs[1]), graph.data(node.inputs[2]) if node.has_input(2) else None
    if not node.has_input(2):
        asked = node.attribute("output_dtype", 0)
        zero = np.array(0, np.int8 if asked == 3 else np.uint8) if asked in (0, 2, 3) else None
    if scale is None or zero is None or scale.size != 1 or zero.size != 1 or zero.dtype not in BYTES:
        return None
    number = float(scale.reshape(()))
    return (number, zero.reshape(())) if scale.dtype == np.float32 and 0 < number < math.inf else None


def _saturates(graph: Graph, activation: Node, scale: float, zero: Data) -> bool:
    """Whether an activation only cuts what the bytes cannot hold anyway."""
    keywords = activation_of(graph, activation)
    if keywords is None:
        return False
    limits = np.iinfo(zero.dtype)
    low, high = (0.0, None) if activation.op == "Relu" else (keywords.get("alpha"), keywords.get("beta"))
    below = low is None or np.rint(low / scale) + int(zero) <= limits.min
    above = high is None or np.rint(high / scale) + int(zero) >= limits.max
    return bool(below and above)


def _sums_of(reader: Reader, product: Node) -> _Sums | None:
    """What a product of dequantized arrays is as one of bytes; None if it is none, or may not be one."""
    graph = reader.graph
    if product.attribute("alpha", 1.0) != 1 or product.attribute("beta", 1.0) != 1 or product.attribute("transA", 0):
        return None
    left = reader.writer(product.inputs[0], "DequantizeLinear")
    right = reader.writer(product.inputs[1], "DequantizeLinear")
    if left is None or right is None or left.attribute("block_size", 0) or right.attribute("block_size", 0):
        return None
    first = _per_tensor(graph, left) if left.has_input(2) or _is_bytes(reader, left.inputs[0]) else None
    second = _weights(graph, product, right)
    if first is None or second is None:
        return None
    x_scale, x_zero = first
    w, w_scale, w_zero = second
    scale = np.asarray(np.float32(x_scale) * w_scale, np.float32)
    depth = math.prod(w.shape[1:]) if product.op == "Conv" else w.shape[0]
    columns = w.shape[0] if product.op == "Conv" else w.shape[1]
    found = _bias(reader, product, scale, columns)
    if found is None or not (np.isfinite(scale) & (scale > 0)).all():
        return None
    bias, exact = found
    largest = 0.0 if bias is None else float(np.abs(bias.astype(np.float64)).max(initial=0))
    if largest + 255.0 * 255.0 * depth >= 2**31:
        return None
    return _Sums(left.inputs[0], x_zero.reshape(1), w, w_zero, scale, bias, exact)


def _is_bytes(reader: Reader, name: str) -> bool:
    """Whether QuantizeLinear made a value without a zero point, and so uint8."""
    writer = reader.writer(name, "QuantizeLinear")
    return writer is not None and not writer.has_input(2) and writer.attribute("output_dtype", 0) in (0, 2)


def _weights(graph: Graph, product: Node, node: Node) -> tuple[Data, Data, Data] | None:
    """Bytes, scales and zero points of constant weights: matrices as (K, N), scales one or one for each N or filter."""
    w, scale = graph.data(node.inputs[0]), graph.data(node.inputs[1])
    zero = graph.data(node.inputs[2]) if node.has_input(2) else None if w is None else np.zeros(1, w.dtype)
    if w is None or scale is None or zero is None or w.dtype not in BYTES or scale.dtype != np.float32:
        return None
    if product.op != "Conv" and w.ndim != 2:
        return None
    turned = product.op == "Gemm" and bool(product.attribute("transB", 0))
    axis = 0 if product.op == "Conv" or turned else 1
    along = node.attribute("axis", 1)
    if scale.size > 1 and (scale.ndim != 1 or along % w.ndim != axis or zero.shape not in (scale.shape, (1,))):
        return None
    held = np.ascontiguousarray(w.T) if turned else w
    return held, scale.reshape(-1), zero.reshape(-1)


def _bias(reader: Reader, product: Node, scale: Data, columns: int) -> tuple[Data | None, bool] | None:
    """The bias in units of ``scale`` and whether it is exactly that; None where it is no constant per column."""
    if not product.has_input(2):
        return None, True
    graph = reader.graph
    floats, whole = graph.data(product.inputs[2]), None
    writer = reader.writer(product.inputs[2], "DequantizeLinear")
    if writer is not None:
        given = [graph.data(name) if name else None for name in writer.inputs]
        if any(one is None for name, one in zip(writer.inputs, given, strict=True) if name):
            return None
        whole, floats = given[0], dequantized(writer, *given)
        plain = whole is not None and whole.dtype == np.int32 and not (len(given) > 2 and np.any(given[2]))
        if not plain or not np.allclose(np.asarray(given[1]), scale, rtol=SAME, atol=0):
            whole = None
    if floats is None or floats.dtype != np.float32 or floats.size != columns or floats.shape[-1:] != (columns,):
        return None
    if whole is not None:
        return whole.reshape(-1), True
    units = np.rint(floats.reshape(-1).astype(np.float64) / scale)
    if not (np.abs(units) < 2**31).all():
        return None
    return units.astype(np.int32), False


def _dequantize_constants(graph: Graph) -> None:
    kept: list[Node] = []
    for node in graph.nodes:
        given = [graph.data(name) if name else None for name in node.inputs]
        known = all(one is not None for name, one in zip(node.inputs, given, strict=True) if name)
        if node.domain == "" and node.op == "DequantizeLinear" and known:
            found = dequantized(node, *given)
            found.setflags(write=False)
            graph.values[node.outputs[0]] = Value.of(found)
        else:
            kept.append(node)
    graph.nodes = kept
