"""Attention reads its heads where a projection left them, side by side in rows, and leaves its own there as well.

So nothing is transposed; and the projections of queries, keys and values become one product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.graph.ir import FUSED, Graph, Node, Value
from rx580lab.graph.passes.pattern import Match, Reader, rewrite

__all__ = ["join_projections", "run"]

# (B, T, H, D) -> (B, H, T, D), and back; (B, T, 3, H, D) -> (3, B, H, T, D).
BY_HEAD = [0, 2, 1, 3]
BY_PART = [2, 0, 3, 1, 4]


def run(graph: Graph) -> None:
    """Rewrites ``graph`` in place, after attention was found."""
    rewrite(graph, _match)


@dataclass(frozen=True, eq=False)
class _Heads:
    """An array of rows, the column where the first head begins, and the nodes that cut heads out of it."""

    rows: str
    column: int
    nodes: tuple[Node, ...]


def _match(reader: Reader, node: Node) -> Match | None:
    """An attention whose heads are put side by side by ``node``."""
    if node.domain != "" or node.op != "Reshape":
        return None
    values, turned = reader.graph.values, reader.writer(node.inputs[0], "Transpose")
    attention = None if turned is None else reader.writers.get(turned.inputs[0])
    if turned is None or attention is None or (attention.domain, attention.op) != (FUSED, "Attention"):
        return None
    b, h, t, e = values[turned.inputs[0]].shape if values[turned.inputs[0]].ndim == 4 else (0, 0, 0, 0)
    whole = turned.attribute("perm") == BY_HEAD and values[node.outputs[0]].shape == (b, t, h * e)
    sides = [_in_rows(reader, name) for name in attention.inputs[:3]]
    found = [one for one in sides if one is not None]
    if not whole or len(found) < len(sides) or any(values[name].shape[1::2] != (h, e) for name in attention.inputs[:3]):
        return None
    inputs = (*(one.rows for one in found), *attention.inputs[3:])
    attributes = {**attention.attributes, "heads": h, "size": e, "columns": tuple(one.column for one in found)}
    made = Node("Attention", FUSED, 1, attention.name, inputs, node.outputs, attributes)
    return Match((*(part for one in found for part in one.nodes), attention, turned, node), (made,))


def _in_rows(reader: Reader, name: str) -> _Heads | None:
    """The rows out of which (B, H, T, D) was cut."""
    values, turned = reader.graph.values, reader.writer(name, "Transpose")
    if turned is not None:
        cut = reader.writer(turned.inputs[0], "Reshape")
        if cut is None or turned.attribute("perm") != BY_HEAD:
            return None
        b, t, h, d = values[turned.inputs[0]].shape
        return _Heads(cut.inputs[0], 0, (cut, turned)) if values[cut.inputs[0]].shape == (b, t, h * d) else None
    part = _part(reader, name)
    turned = None if part is None else reader.writer(part[0], "Transpose")
    cut = None if turned is None else reader.writer(turned.inputs[0], "Reshape")
    if part is None or turned is None or cut is None or turned.attribute("perm") != BY_PART:
        return None
    b, t, n, h, d = values[turned.inputs[0]].shape
    if values[cut.inputs[0]].shape != (b, t, n * h * d):
        return None
    return _Heads(cut.inputs[0], part[1] * h * d, (cut, turned, *part[2]))


def _part(reader: Reader, name: str) -> tuple[str, int, tuple[Node, ...]] | None:
    """Of what a value is one part along the first axis, which one, and the nodes; by Gather, or Slice and Squeeze."""
    graph, taken = reader.graph, reader.writer(name, "Gather")
    if taken is not None:
        place = reader.scalar(taken.inputs[1])
        if place is None or taken.attribute("axis", 0) or graph.values[taken.inputs[1]].ndim:
            return None
        n = graph.values[taken.inputs[0]].shape[0]
        return taken.inputs[0], int(place) % n, (taken,)
    dropped = reader.writer(name, "Squeeze", "Reshape")
    cut = None if dropped is None else reader.writer(dropped.inputs[0], "Slice")
    if dropped is None or cut is None:
        return None
    whole, one = graph.values[cut.inputs[0]].shape, graph.values[cut.outputs[0]].shape
    start = reader.scalar(cut.inputs[1])
    axis = reader.scalar(cut.inputs[3]) if cut.has_input(3) else 0
    first = axis in (0, -len(whole)) and one == (1, *whole[1:]) and graph.values[name].shape == whole[1:]
    return (cut.inputs[0], int(start) % whole[0], (cut, dropped)) if first and start is not None else None


def join_projections(graph: Graph) -> None:
    """Products of one array with the weights of queries, keys and values -> one product, after each took its bias."""
    reader = Reader(graph)
    instead: dict[int, tuple[Node, ...]] = {}
    for node in graph.nodes:
        if (node.domain, node.op) != (FUSED, "Attention") or "heads" not in node.attributes:
            continue
        products = [reader.writers.get(name) for name in node.inputs[:3]]
        members = [one for one in products if one is not None and _joins(reader, one, products[0])]
        if len({id(one) for one in members}) < 3:
            continue
        joined, widths = _joined(graph, members)
        columns = tuple(sum(widths[:k]) + column for k, column in enumerate(node.attribute("columns")))
        instead |= {id(one): () for one in members}
        first = min(members, key=graph.nodes.index)
        instead[id(first)] = (joined,)
        inputs = (joined.outputs[0],) * 3 + node.inputs[3:]
        instead[id(node)] = (node.with_changes(inputs=inputs, attributes={"columns": columns}),)
    graph.nodes = [made for node in graph.nodes for made in instead.get(id(node), (node,))]


def _joins(reader: Reader, node: Node, first: Node | None) -> bool:
    """Whether a product is of the first one's rows by weights, with a bias or without as that one, and nothing else."""
    graph = reader.graph
    if first is None or (node.domain, node.op) != (FUSED, "MatMul") or reader.uses[node.outputs[0]] != 1:
        return False
    alike = node.inputs[0] == first.inputs[0] and node.attributes == first.attributes
    weights = [graph.data(name) for name in node.inputs[1:]]
    known = all(one is not None for one in weights) and len(node.inputs) == len(first.inputs) <= 3
    plain = not node.attribute("transA") and not node.attribute("transB") and graph.values[node.inputs[1]].ndim == 2
    return alike and known and plain and "activation" not in node.attributes


def _joined(graph: Graph, products: list[Node]) -> tuple[Node, list[int]]:
    """The one product, its weights side by side, and how many columns each of them has."""
    first = products[0]
    inputs = [first.inputs[0]]
    for place, columns in enumerate((_columns, _entries)[: len(first.inputs) - 1], start=1):
        inputs.append(graph.derived([one.inputs[place] for one in products], "side by side", columns))
    widths = [graph.values[one.inputs[1]].shape[1] for one in products]
    out, known = graph.fresh(f"{first.name}/joined"), graph.values[first.outputs[0]]
    graph.values[out] = Value(known.dtype, (*known.shape[:-1], sum(widths)))
    return first.with_changes(inputs=inputs, outputs=[out]), widths


def _columns(*weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.concatenate(weights, axis=1)


def _entries(*biases: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.concatenate([one.reshape(-1) for one in biases])
