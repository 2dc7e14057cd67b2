"""x + x * gate -> x * (gate + 1), the 1 inside the convolution that makes the gate: one pass over x instead of two.

The gate is HardSigmoid of a convolution, clip(alpha * v + beta, 0, 1): with one more, clip(alpha * v + beta + 1, 1, 2).
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
    """A sum whose last operator is ``node``."""
    if node.domain != "" or node.op != "Add":
        return None
    for value, product in reader.operands(node):
        scaled = reader.writer(product, "Mul")
        if scaled is None or scaled.inputs.count(value) != 1:
            continue
        gate = next(name for name in scaled.inputs if name != value)
        bent = reader.writer(gate, "HardSigmoid")
        host = None if bent is None else reader.writer(bent.inputs[0], "Conv")
        if bent is None or host is None or not _is_constant(reader, host):
            continue
        made = _made(reader.graph, host, bent)
        product_of = scaled.with_changes(inputs=(value, made[-1].outputs[0]), outputs=node.outputs)
        return Match((host, bent, scaled, node), (*made, product_of))
    return None


def _is_constant(reader: Reader, host: Node) -> bool:
    data = [reader.graph.data(name) for name in host.inputs[1:3]]
    return len(data) > 0 and all(one is not None and one.dtype == np.float32 for one in data)


def _made(graph: Graph, host: Node, bent: Node) -> tuple[Node, ...]:
    alpha, beta = bent.attribute("alpha", 0.2), bent.attribute("beta", 0.5)
    w = np.asarray(graph.data(host.inputs[1]), np.float64) * alpha
    held = graph.data(host.inputs[2]) if host.has_input(2) else None
    shift = (np.zeros(len(w)) if held is None else np.asarray(held, np.float64)) * alpha + beta + 1
    inputs = (
        host.inputs[0],
        graph.constant(w.astype(np.float32), host.inputs[1]),
        graph.constant(shift.astype(np.float32), f"{host.name}/bias"),
    )
    bounds = [graph.constant(np.array(bound, np.float32), bent.name) for bound in (1, 2)]
    clip = Node("Clip", "", 13, bent.name, (host.outputs[0], *bounds), bent.outputs)
    return host.with_changes(inputs=inputs), clip
