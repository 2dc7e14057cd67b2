"""Convolutions take over the activation that follows them, if nobody else reads what is between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rx580lab.graph.ir import FUSED, Graph, Node
from rx580lab.graph.passes.fuse_residual import HOSTS

__all__ = ["activation_of", "run"]

# ONNX's activations of one input -> the epilogue's name, and the attributes that are its alpha and beta.
ACTIVATIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Elu": ("elu", ("alpha",)),
    "Gelu": ("gelu", ()),
    "HardSigmoid": ("hard_sigmoid", ("alpha", "beta")),
    "HardSwish": ("hard_swish", ()),
    "LeakyRelu": ("leaky_relu", ("alpha",)),
    "Mish": ("mish", ()),
    "Relu": ("relu", ()),
    "Selu": ("selu", ("alpha", "gamma")),
    "Sigmoid": ("sigmoid", ()),
    "Softplus": ("softplus", ()),
    "Softsign": ("softsign", ()),
    "Tanh": ("tanh", ()),
}


def activation_of(graph: Graph, node: Node) -> Mapping[str, Any] | None:
    """The epilogue's keywords of a node that is an activation of its first input; None for any other."""
    if node.domain == FUSED and node.op == "Activation":
        return dict(node.attributes)
    if node.domain != "":
        return None
    if node.op in ACTIVATIONS:
        name, parameters = ACTIVATIONS[node.op]
        if node.op == "Gelu" and node.attribute("approximate", "none") != "none":
            name = "gelu_tanh"
        given = {key: node.attribute(one) for key, one in zip(("alpha", "beta"), parameters, strict=False)}
        return {"activation": name, **{key: value for key, value in given.items() if value is not None}}
    if node.op == "Clip":
        bounds = [graph.data(name) for name in node.inputs[1:]]
        if all(one is not None or not name for one, name in zip(bounds, node.inputs[1:], strict=True)):
            low, high = (*(None if one is None else float(one) for one in bounds), None, None)[:2]
            return {"activation": "clip", "alpha": low, "beta": high}
    return None


def run(graph: Graph) -> None:
    """Rewrites ``graph`` in place."""
    uses, consumers = graph.uses(), graph.consumers()
    taken: set[int] = set()
    made: list[Node] = []
    for node in graph.nodes:
        if id(node) in taken:
            continue
        if node.op in HOSTS and node.domain in ("", FUSED) and uses[node.outputs[0]] == 1:
            readers = consumers.get(node.outputs[0], [])
            keywords = activation_of(graph, readers[0]) if readers else None
            if keywords is not None and not node.attribute("activation"):
                taken.add(id(readers[0]))
                made.append(node.with_changes(domain=FUSED, outputs=readers[0].outputs, attributes=keywords))
                continue
        made.append(node)
    graph.nodes = made
