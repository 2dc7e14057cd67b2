"""HardSigmoid of a convolution -> Clip, its slope and offset in the weights; and x + x * that -> x * (that + 1).

clip(alpha * v + beta, 0, 1), with the one inside: clip(alpha * v + beta + 1, 1, 2). That is one pass over x, not two.
"""

from __future__ import annotations

import numpy as np

from rx580lab.graph.ir import Graph, Node
from rx580lab.graph.passes.pattern import Match, Reader, rewrite

__all__ = ["run"]


def run(graph: Graph) -> None:
    """Rewrites ``graph`` in place. Constants alone decide, so that it may run before shapes are known."""
    rewrite(graph, _match)


def _match(reader: Reader, node: Node) -> Match | None:
    """A gate, or a sum with what it gates, whose last operator is ``node``."""
    if node.domain != "" or node.op not in ("Add", "HardSigmoid"):
        return None
    if node.op == "HardSigmoid":
        host = _host(reader, node)
        return None if host is None else Match((host, node), _made(reader.graph, host, node, 0))
    for value, product in reader.operands(node):
        scaled = reader.writer(product, "Mul")
        if scaled is None or scaled.inputs.count(value) != 1:
            continue
        bent = reader.writer(next(name for name in scaled.inputs if name != value), "HardSigmoid")
        host = None if bent is None else _host(reader, bent)
        if bent is None or host is None or not reader.closed((host, bent, scaled, node)):
            continue
        made = _made(reader.graph, host, bent, 1)
        gated = scaled.with_changes(inputs=(value, made[-1].outputs[0]), outputs=node.outputs)
        return Match((host, bent, scaled, node), (*made, gated))
    return None


def _host(reader: Reader, bent: Node) -> Node | None:
    """The convolution by constants before a HardSigmoid that alone reads it."""
    host = reader.writer(bent.inputs[0], "Conv")
    return host if host is not None and _is_constant(reader, host) and reader.closed((host, bent)) else None


def _is_constant(reader: Reader, host: Node) -> bool:
    data = [reader.graph.data(name) for name in host.inputs[1:3]]
    return len(data) > 0 and all(one is not None and one.dtype == np.float32 for one in data)


def _made(graph: Graph, host: Node, bent: Node, more: int) -> tuple[Node, ...]:
    alpha, beta = bent.attribute("alpha", 0.2), bent.attribute("beta", 0.5)
    w = np.asarray(graph.data(host.inputs[1]), np.float64) * alpha
    held = graph.data(host.inputs[2]) if host.has_input(2) else None
    shift = (np.zeros(len(w)) if held is None else np.asarray(held, np.float64)) * alpha + beta + more
    inputs = (
        host.inputs[0],
        graph.constant(w.astype(np.float32), host.inputs[1]),
        graph.constant(shift.astype(np.float32), f"{host.name}/bias"),
    )
    bounds = [graph.constant(np.array(bound, np.float32), bent.name) for bound in (more, more + 1)]
    clip = Node("Clip", "", 13, bent.name, (host.outputs[0], *bounds), bent.outputs)
    return host.with_changes(inputs=inputs), clip
