"""Conv and ConvTranspose take over the addition of an array as large as their result."""

from __future__ import annotations

from rx580lab.graph.ir import FUSED, Graph, Node

__all__ = ["HOSTS", "run"]

HOSTS = ("Conv", "ConvTranspose")


def run(graph: Graph) -> None:
    """Rewrites ``graph`` in place. The convolution moves to where the sum was, when the other array is there."""
    uses, producers = graph.uses(), graph.producers()
    order = {id(node): place for place, node in enumerate(graph.nodes)}
    taken: set[int] = set()
    made: dict[int, Node] = {}
    for node in graph.nodes:
        if node.domain != "" or node.op != "Add" or len(node.inputs) != 2 or node.inputs[0] == node.inputs[1]:
            continue
        hosts = []
        for own, other in (node.inputs, node.inputs[::-1]):
            host = producers.get(own)
            if host is not None and uses[own] == 1 and _fits(graph, host, own, other) and id(host) not in taken:
                hosts.append((order[id(host)], host, other))
        if hosts:
            # The later of two: the earlier one's result is there by then, and need not wait.
            _, host, other = max(hosts, key=lambda one: one[0])
            taken.add(id(host))
            inputs = (*host.inputs[:3], *[""] * (3 - len(host.inputs)), other)
            made[id(node)] = host.with_changes(domain=FUSED, inputs=inputs, outputs=node.outputs)
    graph.nodes = [made.get(id(node), node) for node in graph.nodes if id(node) not in taken]


def _fits(graph: Graph, host: Node, own: str, other: str) -> bool:
    if host.op not in HOSTS or host.domain not in ("", FUSED) or host.has_input(3) or host.attribute("activation"):
        return False
    a, b = graph.values.get(own), graph.values.get(other)
    return a is not None and b is not None and b.data is None and a.shape == b.shape and a.dtype == b.dtype
