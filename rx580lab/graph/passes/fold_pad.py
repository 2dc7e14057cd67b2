"""Conv takes over the zeros that a Pad puts around its image."""

from __future__ import annotations

from rx580lab.graph.ir import Graph, Node

__all__ = ["run"]


def run(graph: Graph) -> None:
    """Rewrites ``graph`` in place; what else reads the padded image still finds it."""
    producers = graph.producers()
    graph.nodes = [_folded(graph, producers, node) for node in graph.nodes]
    graph.drop_unused()


def _folded(graph: Graph, producers: dict[str, Node], node: Node) -> Node:
    if node.domain != "" or node.op != "Conv" or node.attribute("auto_pad", "NOTSET") not in ("NOTSET", ""):
        return node
    before = producers.get(node.inputs[0])
    w = graph.values.get(node.inputs[1])
    if before is None or w is None:
        return node
    more = _zeros_around(graph, before, w.ndim)
    if more is None:
        return node
    own = node.attribute("pads", [0] * (2 * (w.ndim - 2)))
    pads = [a + b for a, b in zip(own, more, strict=True)]
    return node.with_changes(inputs=(before.inputs[0], *node.inputs[1:]), attributes={"pads": pads})


def _zeros_around(graph: Graph, node: Node, rank: int) -> list[int] | None:
    """The spatial pads, all begins, then all ends, of a Pad that adds zeros there and nowhere else."""
    if node.domain != "" or node.op != "Pad" or node.attribute("mode", "constant") != "constant":
        return None
    if node.opset < 11:
        value, pads = node.attribute("value", 0.0), node.attribute("pads", node.attribute("paddings"))
    else:
        given = graph.data(node.inputs[1])
        fill = graph.data(node.inputs[2]) if node.has_input(2) else None
        if given is None or node.has_input(3) or (node.has_input(2) and (fill is None or fill.size != 1)):
            return None
        value, pads = 0.0 if fill is None else float(fill.reshape(())), [int(n) for n in given]
    if value != 0 or pads is None or len(pads) != 2 * rank or min(pads) < 0:
        return None
    begins, ends = pads[:rank], pads[rank:]
    if any((*begins[:2], *ends[:2])):
        return None
    return [*begins[2:], *ends[2:]]
