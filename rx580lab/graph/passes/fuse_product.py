"""MatMul and Gemm take over the transposes before them, and the bias, the residual and the activation after them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rx580lab.graph.ir import FUSED, Graph, Node
from rx580lab.graph.passes.fuse_activation import activation_of
from rx580lab.graph.passes.pattern import Reader

__all__ = ["run"]


@dataclass
class _Chain:
    """A product and what follows it, as one node that grows.

    Attributes:
        last: the node whose outputs it has. bias, residual: values or "". scale: of the product alone.
    """

    first: Node
    last: Node
    inputs: tuple[str, str]
    attributes: dict[str, Any] = field(default_factory=dict)
    bias: str = ""
    residual: str = ""
    scale: float = 1.0

    @property
    def out(self) -> str:
        """Its output."""
        return self.last.outputs[0]

    def node(self) -> Node:
        """All of it as one node."""
        inputs = (*self.inputs, self.bias, self.residual)
        given = inputs[: 4 if self.residual else 3 if self.bias else 2]
        attributes = {**self.attributes, "scale": self.scale}
        return Node("MatMul", FUSED, 1, self.first.name, given, self.last.outputs, attributes)


def run(graph: Graph) -> None:
    """Rewrites ``graph`` in place."""
    reader, consumers = Reader(graph), graph.consumers()
    taken: set[int] = set()
    instead: dict[int, Node] = {}
    for node in graph.nodes:
        chain = _begin(reader, node)
        if chain is None:
            continue
        members = [node]
        while reader.uses[chain.out] == 1 and chain.out in consumers:
            after = consumers[chain.out][0]
            if id(after) in taken or not _grows(reader, chain, after):
                break
            chain.last = after
            members.append(after)
        taken.update(map(id, members))
        instead[id(chain.last)] = chain.node()
    graph.nodes = [instead.get(id(node), node) for node in graph.nodes if id(node) in instead or id(node) not in taken]


def _begin(reader: Reader, node: Node) -> _Chain | None:
    """The chain of the product alone; None for anything but a product of arrays of rows, its own term a plain one."""
    graph = reader.graph
    if node.domain != "" or node.op not in ("MatMul", "Gemm") or not reader.floats(node.outputs[0]):
        return None
    ranks = [graph.values[name].ndim for name in node.inputs[:2]]
    if min(ranks) < 2:
        return None
    chain = _Chain(node, node, (node.inputs[0], node.inputs[1]))
    turned = [bool(node.attribute(key, 0)) for key in ("transA", "transB")]
    if node.op == "Gemm":
        chain.scale = float(node.attribute("alpha", 1.0))
        beta = float(node.attribute("beta", 1.0))
        if node.has_input(2) and beta != 0 and (beta != 1 or not _add(reader, chain, node.inputs[2])):
            return None
    sides = list(chain.inputs)
    for place, side in enumerate(sides):
        before = reader.writer(side, "Transpose")
        if before is not None and reader.uses[side] == 1 and _swaps_last(before, ranks[place]):
            sides[place], turned[place] = before.inputs[0], not turned[place]
    chain.inputs = (sides[0], sides[1])
    chain.attributes = {"transA": int(turned[0]), "transB": int(turned[1])}
    return chain


def _swaps_last(node: Node, rank: int) -> bool:
    return bool(node.attribute("perm", list(range(rank))[::-1]) == [*range(rank - 2), rank - 1, rank - 2])


def _grows(reader: Reader, chain: _Chain, after: Node) -> bool:
    """Takes ``after``, the only reader of the chain so far, into the chain; False if it does not belong there."""
    if "activation" in chain.attributes or not reader.alike(chain.out, after.outputs[0]):
        return False
    if after.domain == "" and after.op == "Add":
        others = [name for name in after.inputs if name != chain.out]
        return len(others) == 1 and _add(reader, chain, others[0])
    if after.domain == "" and after.op in ("Mul", "Div") and not chain.bias and not chain.residual:
        number = reader.scalar(after.inputs[1])
        if after.op == "Mul" and number is None:
            number = reader.scalar(after.inputs[0])
        if number is None or (after.op == "Div" and number == 0):
            return False
        chain.scale *= number if after.op == "Mul" else 1 / number
        return True
    keywords = activation_of(reader.graph, after)
    if keywords is None or after.inputs[0] != chain.out or after.inputs.count(chain.out) != 1:
        return False
    chain.attributes.update(keywords)
    return True


def _add(reader: Reader, chain: _Chain, name: str) -> bool:
    """Takes a term as the bias, if it is one number for each column, or as the residual, if it is as large as C."""
    known, whole = reader.graph.values[name], reader.graph.values[chain.out]
    n_columns = whole.shape[-1]
    per_column = known.shape[-1:] == (n_columns,) and known.size == n_columns and known.ndim <= whole.ndim
    if known.dtype != whole.dtype:
        return False
    if per_column and not chain.bias:
        chain.bias = name
    elif known.shape == whole.shape and not chain.residual:
        chain.residual = name
    else:
        return False
    return True
