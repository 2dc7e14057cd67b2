"""What passes ask of a graph while they look for patterns, and how they put one node where several were."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from rx580lab.graph.ir import Graph, Node

__all__ = ["Match", "Product", "Reader", "close", "rewrite"]

# Constants of formulas come rounded to fp32, or as a few digits.
TOLERANCE = 1e-5


def close(a: float | None, b: float) -> bool:
    """Whether a constant of a file stands for ``b``."""
    return a is not None and math.isclose(a, b, rel_tol=TOLERANCE)


@dataclass(frozen=True, eq=False)
class Match:
    """A pattern that was found.

    Attributes:
        nodes: all that it consists of; the last is the one whose place and outputs the new nodes take.
        made: the new nodes, in order.
    """

    nodes: tuple[Node, ...]
    made: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class Product:
    """A product written out: ``factors``, each as often as it occurs, times ``scalar``; ``nodes`` that made it."""

    factors: tuple[str, ...]
    scalar: float
    nodes: tuple[Node, ...]


class Reader:
    """A graph as it is when a pass begins: who writes and reads each value, and what constants are."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.writers = graph.producers()
        self.uses = graph.uses()

    def writer(self, name: str, *ops: str) -> Node | None:
        """The node that writes a value, if it is one of ONNX's own ``ops``."""
        node = self.writers.get(name)
        return node if node is not None and node.domain == "" and node.op in ops else None

    def scalar(self, name: str) -> float | None:
        """The number that a constant of one element is; None for anything else."""
        data = self.graph.data(name)
        return float(data.reshape(())) if data is not None and data.size == 1 and data.dtype.kind in "fiu" else None

    def operands(self, node: Node) -> Iterator[tuple[str, str]]:
        """Both inputs of a commutative node, in either order."""
        if len(node.inputs) == 2:
            yield node.inputs[0], node.inputs[1]
            yield node.inputs[1], node.inputs[0]

    def with_scalar(self, node: Node) -> tuple[str, float] | None:
        """The other operand of a commutative node, and the number that one is."""
        for value, constant in self.operands(node):
            number = self.scalar(constant)
            if number is not None and self.scalar(value) is None:
                return value, number
        return None

    def floats(self, name: str) -> bool:
        """Whether a value is of a type that kernels compute with in fp32."""
        known = self.graph.values.get(name)
        return known is not None and known.dtype in (np.dtype(np.float32), np.dtype(np.float16))

    def alike(self, one: str, other: str) -> bool:
        """Whether two values have one type and shape."""
        a, b = self.graph.values.get(one), self.graph.values.get(other)
        return a is not None and b is not None and a.dtype == b.dtype and a.shape == b.shape

    def closed(self, nodes: Iterable[Node]) -> bool:
        """Whether nobody but ``nodes``, and no output of the graph, reads what all but the last of them write."""
        inner = list(nodes)
        for node in inner[:-1]:
            for name in filter(None, node.outputs):
                if self.uses[name] != sum(other.inputs.count(name) for other in inner):
                    return False
        return True

    def product(self, name: str, *, whole: bool = True) -> Product:
        """A value as a product, through Mul, Div by a number and Pow by a small whole one.

        Factors that others read as well stay as they are; the value itself is taken apart in any case, if ``whole``.
        """
        number = self.scalar(name)
        if number is not None:
            return Product((), number, ())
        node = self.writer(name, "Mul", "Div", "Pow") if whole or self.uses[name] == 1 else None
        if node is None or len(node.inputs) != 2:
            return Product((name,), 1.0, ())
        left, number = self.product(node.inputs[0], whole=False), self.scalar(node.inputs[1])
        if node.op == "Mul":
            right = self.product(node.inputs[1], whole=False)
            return Product(left.factors + right.factors, left.scalar * right.scalar, (*left.nodes, *right.nodes, node))
        if node.op == "Div" and number:
            return Product(left.factors, left.scalar / number, (*left.nodes, node))
        if node.op == "Pow" and number in (1.0, 2.0, 3.0):
            return Product(left.factors * int(number), left.scalar ** int(number), (*left.nodes, node))
        return Product((name,), 1.0, ())


def rewrite(graph: Graph, match: Callable[[Reader, Node], Match | None]) -> None:
    """Puts what ``match`` makes in place of what it finds; it is asked with each node as the last of a pattern.

    A match counts only if nobody else reads what lies between, and if none of its nodes went into one before.
    """
    reader = Reader(graph)
    taken: set[int] = set()
    instead: dict[int, tuple[Node, ...]] = {}
    for node in reversed(graph.nodes):  # a pattern that holds another comes before it
        found = match(reader, node)
        if found is None:
            continue
        unique = list({id(one): one for one in (*found.nodes[:-1], found.nodes[-1])}.values())
        if any(id(one) in taken for one in unique) or not reader.closed(unique):
            continue
        taken.update(id(one) for one in unique)
        instead[id(node)] = found.made
    if instead:
        kept = [instead.get(id(node), () if id(node) in taken else (node,)) for node in graph.nodes]
        graph.nodes = [node for some in kept for node in some]
        graph.drop_unused()  # what a dead node reads would look as if others needed it
