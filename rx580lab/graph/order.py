"""Puts a graph's nodes in an order in which each reads only what is there, or says why there is none."""

from __future__ import annotations

import graphlib

from rx580lab.errors import ModelError
from rx580lab.graph.ir import Graph, Node, reads

__all__ = ["put_in_order"]


def put_in_order(graph: Graph, outer: frozenset[str] = frozenset()) -> None:
    """Sorts the nodes, and those of branches; ``outer``: what is there before.

    ModelError for a cycle, for a value that is written twice, and for one that is read and never written.
    """
    start = outer | set(graph.inputs) | set(graph.values)
    writers: dict[str, int] = {}
    for place, node in enumerate(graph.nodes):
        for name in filter(None, node.outputs):
            if name in writers or name in start:
                raise ModelError(f"{graph.file}: {node}", f"value {name!r} is written twice")
            writers[name] = place
    for node in graph.nodes:
        for name in reads(node):
            if name not in writers and name not in start:
                raise ModelError(f"{graph.file}: {node}", f"nothing writes its input {name!r}")
    for name in graph.outputs:
        if name not in writers and name not in start:
            raise ModelError(graph.file, f"nothing writes the output {name!r}")
    graph.nodes = _sorted(graph, writers)
    everything = frozenset(start | set(writers))
    for node in graph.nodes:
        for branch in node.attributes.values():
            if isinstance(branch, Graph):
                put_in_order(branch, everything)


def _sorted(graph: Graph, writers: dict[str, int]) -> list[Node]:
    before = [{writers[name] for name in reads(node) if name in writers} for node in graph.nodes]
    if all(max(some, default=-1) < place for place, some in enumerate(before)):
        return graph.nodes  # the file's own order, which tools choose well
    try:
        order = list(graphlib.TopologicalSorter(dict(enumerate(before))).static_order())
    except graphlib.CycleError as error:
        cycle = [graph.nodes[place] for place in error.args[1]]
        names = ", ".join(map(str, cycle[:3]))
        raise ModelError(f"{graph.file}: {cycle[0]}", f"it waits for its own result, in a cycle of {names}") from error
    return [graph.nodes[place] for place in order]
