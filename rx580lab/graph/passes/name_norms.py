"""Layer norm and RMS norm written as means, differences and roots -> one LayerNormalization or RMSNormalization."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rx580lab.graph.ir import FUSED, Graph, Node, Value
from rx580lab.graph.passes.pattern import Match, Reader, close, rewrite

__all__ = ["run"]

# The version of ONNX's operator set that brought LayerNormalization.
LAYER = 17


def run(graph: Graph) -> None:
    """Rewrites ``graph`` in place."""
    rewrite(graph, _match)


def _match(reader: Reader, node: Node) -> Match | None:
    """A norm whose last operator is ``node``: one with scale and bias, with scale, or with neither."""
    if node.domain != "" or node.op not in ("Add", "Mul", "Div") or not reader.floats(node.outputs[0]):
        return None
    for inner, bias, above in _affine(reader, node, "Add"):
        for ratio, scale, below in _affine(reader, inner, "Mul"):
            found = _ratio(reader, ratio)
            if found is None:
                continue
            value, mean, axis, epsilon, nodes = found
            if not reader.alike(value, node.outputs[0]) or (bias and not mean):
                continue
            made = _made(reader, node, (value, scale, bias), axis, epsilon, mean)
            return None if made is None else Match((*nodes, *below, *above), (made,))
    return None


def _affine(reader: Reader, node: Node, op: str) -> Iterator[tuple[Node, str, tuple[Node, ...]]]:
    """The node that writes one operand of ``node``, if that is ``op``, and the constant beside it; or ``node``."""
    if node.domain == "" and node.op == op:
        for value, constant in reader.operands(node):
            data, writer = reader.graph.data(constant), reader.writer(value, "Mul", "Div")
            if data is not None and writer is not None:
                yield writer, constant, (node,)
    yield node, "", ()


def _made(
    reader: Reader, last: Node, inputs: tuple[str, str, str], axis: int, epsilon: float, mean: bool
) -> Node | None:
    """The norm as one node; None if scale or bias is not an array over the axes that are normalized."""
    graph, (value, scale, bias) = reader.graph, inputs
    known = graph.values[value]
    lengths = known.shape[axis:]
    terms = []
    for name, neutral in ((scale, 1.0), (bias, 0.0)):
        if not name and neutral == 0:
            continue
        term = name or graph.constant(np.full(lengths, neutral, known.dtype), last.name)
        data = graph.data(term)
        if data is None or data.dtype != known.dtype or data.size != graph.values[term].size:
            return None
        if data.shape != lengths:
            if data.size != np.prod(lengths) or data.shape[-len(lengths) :] != lengths or data.ndim > known.ndim:
                return None
            graph.values[(reshaped := graph.fresh(term))] = Value.of(data.reshape(lengths))
            term = reshaped
        terms.append(term)
    attributes = {"axis": axis, "epsilon": epsilon}
    if mean:
        return Node("LayerNormalization", "", LAYER, last.name, (value, *terms), last.outputs[:1], attributes)
    return Node("RMSNormalization", FUSED, 1, last.name, (value, *terms), last.outputs[:1], attributes)


# The value, whether its mean is taken away, the first axis, epsilon, and the nodes.
Ratio = tuple[str, bool, int, float, tuple[Node, ...]]


def _ratio(reader: Reader, node: Node) -> Ratio | None:
    """(x - mean(x)) / root, or x / root, the root that of a mean of squares."""
    for above, root, inverse, nodes in _fractions(reader, node):
        found = _root(reader, root, inverse)
        if found is None:
            continue
        squared, epsilon, more = found
        moment = reader.writer(squared, "ReduceMean")
        axis = None if moment is None else _first_axis(reader, moment)
        square = None if moment is None else reader.writer(moment.inputs[0], "Pow", "Mul")
        base = None if square is None else _squared(reader, square)
        if axis is None or moment is None or square is None or base is None:
            continue
        nodes = (square, moment, *more, *nodes)
        centred = _centred(reader, above, base, axis)
        if centred is not None:
            return centred[0], True, axis, epsilon, (*centred[1], *nodes)
        if base == above:
            return above, False, axis, epsilon, nodes
    return None


def _fractions(reader: Reader, node: Node) -> Iterator[tuple[str, str, bool, tuple[Node, ...]]]:
    """Numerator, what stands below, whether that is inverted already, and the nodes."""
    if node.domain != "" or len(node.inputs) != 2:
        return
    if node.op == "Div":
        yield node.inputs[0], node.inputs[1], False, (node,)
    if node.op == "Mul":
        for above, factor in reader.operands(node):
            turned = reader.writer(factor, "Reciprocal", "Div")
            if turned is None:
                yield above, factor, True, (node,)
            elif turned.op == "Reciprocal":
                yield above, turned.inputs[0], False, (turned, node)
            elif close(reader.scalar(turned.inputs[0]), 1.0):
                yield above, turned.inputs[1], False, (turned, node)


def _root(reader: Reader, name: str, inverse: bool) -> tuple[str, float, tuple[Node, ...]] | None:
    """What is below a root, and epsilon, where ``name`` is the root of their sum, or one over it if ``inverse``."""
    node = reader.writer(name, "Sqrt", "Pow")
    if node is None:
        return None
    if node.op == "Pow" and not close(reader.scalar(node.inputs[1]), -0.5 if inverse else 0.5):
        return None
    if node.op == "Sqrt" and inverse:
        return None
    added = reader.writer(node.inputs[0], "Add")
    if added is None:
        return node.inputs[0], 0.0, (node,)
    parts = reader.with_scalar(added)
    if parts is None or parts[1] < 0:
        return None
    return parts[0], parts[1], (added, node)


def _first_axis(reader: Reader, mean: Node) -> int | None:
    """The first axis of a mean over the last axes that keeps them, not counted from the end; None for another."""
    known = reader.graph.values.get(mean.inputs[0])
    if known is None or not mean.attribute("keepdims", 1):
        return None
    axes = mean.attribute("axes")
    if mean.has_input(1):
        data = reader.graph.data(mean.inputs[1])
        if data is None:
            return None
        axes = data.tolist()
    if not axes:
        return None if mean.attribute("noop_with_empty_axes", 0) or not known.ndim else 0
    places = sorted(axis % known.ndim for axis in axes)
    return places[0] if places == list(range(places[0], known.ndim)) else None


def _squared(reader: Reader, node: Node) -> str | None:
    if node.op == "Pow":
        return node.inputs[0] if close(reader.scalar(node.inputs[1]), 2.0) else None
    return node.inputs[0] if node.inputs[0] == node.inputs[1] else None


def _centred(reader: Reader, above: str, base: str, axis: int) -> tuple[str, tuple[Node, ...]] | None:
    """The x of x - mean(x), which both names are; some files write it twice."""
    found: list[tuple[str, tuple[Node, ...]]] = []
    for name in (base, above):
        node = reader.writer(name, "Sub")
        mean = None if node is None else reader.writer(node.inputs[1], "ReduceMean")
        if node is None or mean is None or mean.inputs[0] != node.inputs[0] or _first_axis(reader, mean) != axis:
            return None
        found.append((node.inputs[0], (mean, node)))
    if found[0][0] != found[1][0]:
        return None
    return found[0][0], (*found[0][1], *found[1][1])
