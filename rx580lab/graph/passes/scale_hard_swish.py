"""HardSwish takes over the numbers that it is multiplied by, and those that are added to it, which some nets learn."""

from __future__ import annotations

import math

from rx580lab.graph.ir import FUSED, Graph, Node
from rx580lab.graph.passes.fuse_activation import activation_of
from rx580lab.graph.passes.pattern import Reader, close

__all__ = ["run"]


def run(graph: Graph) -> None:
    """Rewrites ``graph`` in place."""
    reader, consumers = Reader(graph), graph.consumers()
    taken: set[int] = set()
    instead: dict[int, Node] = {}
    for node in graph.nodes:
        if not _is_hard_swish(graph, node):
            continue
        last, scale, shift = node, 1.0, 0.0
        while reader.uses[last.outputs[0]] == 1 and last.outputs[0] in consumers:
            after = consumers[last.outputs[0]][0]
            found = _affine(reader, after, last.outputs[0])
            if found is None or not reader.alike(last.outputs[0], after.outputs[0]):
                break
            scale, shift = scale * found[0], shift * found[0] + found[1]
            taken.add(id(last))
            last = after
        if last is not node:
            taken.add(id(last))
            keywords = {"activation": "hard_swish_affine", "alpha": scale, "beta": shift}
            instead[id(last)] = Node("Activation", FUSED, 1, node.name, node.inputs[:1], last.outputs, keywords)
    graph.nodes = [instead.get(id(node), node) for node in graph.nodes if id(node) in instead or id(node) not in taken]


def _is_hard_swish(graph: Graph, node: Node) -> bool:
    found = activation_of(graph, node) or {}
    if found.get("activation") != "hard_swish":
        return False
    return close(found.get("alpha", 1 / 6), 1 / 6) and close(found.get("beta", 0.5), 0.5)


def _affine(reader: Reader, node: Node, value: str) -> tuple[float, float] | None:
    """Scale and offset that ``node`` applies to ``value`` by a constant number; None if it does anything else."""
    if node.domain != "" or node.op not in ("Mul", "Div", "Add", "Sub") or node.inputs.count(value) != 1:
        return None
    first = node.inputs[0] == value
    number = reader.scalar(node.inputs[1 if first else 0])
    if number is None or not math.isfinite(number):
        return None
    if node.op == "Mul":
        return number, 0.0
    if node.op == "Add":
        return 1.0, number
    if node.op == "Sub":
        return (1.0, -number) if first else (-1.0, number)
    return (1 / number, 0.0) if first and number else None
