"""Branches: the one that is taken stands in the place of its node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rx580lab.graph.handlers.expansion import Expansion
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.handlers.shape import known
from rx580lab.graph.ir import Graph, Node, Value

__all__ = ["HANDLERS"]


def _replaced(node: Node, _given: Values) -> list[Value]:
    raise fault(node, "expected the nodes of a branch in its place")


def _renamed(node: Node, name: Callable[[str], str], prefix: str) -> Node:
    """A node of a branch, and of branches inside of it, with other names of values."""

    def branch(graph: Graph) -> Graph:
        nodes = [_renamed(one, name, prefix) for one in graph.nodes]
        inputs, outputs = tuple(map(name, graph.inputs)), tuple(map(name, graph.outputs))
        return Graph(graph.file, nodes, inputs, outputs, {name(key): one for key, one in graph.values.items()})

    attributes = {key: branch(one) if isinstance(one, Graph) else one for key, one in node.attributes.items()}
    inputs, outputs = tuple(map(name, node.inputs)), tuple(map(name, node.outputs))
    return replace(node, name=f"{prefix}/{node.name}", inputs=inputs, outputs=outputs, attributes=attributes)


def _if(graph: Graph, node: Node, given: Values) -> list[Node]:
    """The nodes of the branch that is taken; its values get names of their own, its outputs those of the node."""
    condition = known(node, given, 0)
    if condition.size != 1:
        raise fault(node, f"expected a condition of one element, got {condition.shape}")
    taken = node.attribute("then_branch" if condition.reshape(-1)[0] else "else_branch")
    if not isinstance(taken, Graph) or taken.inputs or len(taken.outputs) < len(node.outputs):
        raise fault(node, f"expected a branch without inputs and with {len(node.outputs)} outputs")
    written = [name for one in taken.nodes for name in one.outputs if name]
    names = {name: graph.fresh(node.name) for name in (*taken.values, *written)}
    made = Expansion(graph, node)
    given_away: set[str] = set()
    for inner, outer in zip(taken.outputs, node.outputs, strict=False):
        if outer and inner in written and inner not in given_away:
            names[inner] = outer
            given_away.add(inner)
    for inner, outer in zip(taken.outputs, node.outputs, strict=False):
        if outer and names.get(inner) != outer:
            made.add("Identity", names.get(inner, inner), out=outer)
    graph.values.update({names[name]: value for name, value in taken.values.items()})
    return [*(_renamed(one, lambda name: names.get(name, name), node.name) for one in taken.nodes), *made.nodes]


HANDLERS = (Handler("If", 1, _replaced, expand=_if, needs=(0,)),)
