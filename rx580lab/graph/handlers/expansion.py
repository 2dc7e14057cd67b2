"""Nodes that stand in place of one: what ``expand`` of a handler makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.graph.ir import Graph, Node

__all__ = ["Expansion"]

# The version of ONNX's operators that these nodes follow; ReduceMean and its kind still have axes as an attribute.
OPSET = 15


class Expansion:
    """Nodes of ``graph`` in place of ``node``, whose name they keep for messages.

    Attributes:
        nodes: those added so far, in order.
    """

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph = graph
        self.node = node
        self.nodes: list[Node] = []

    def constant(self, data: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> str:
        """A constant's name."""
        return self.graph.constant(np.asarray(data, dtype), self.node.name)

    def add(self, op: str, *inputs: str, out: str | None = None, opset: int = OPSET, **attributes: Any) -> str:
        """Adds a node; ``out`` names its output, None makes a name. Returns that name."""
        name = self.graph.fresh(self.node.name) if out is None else out
        self.nodes.append(Node(op, "", opset, self.node.name, inputs, (name,), attributes))
        return name

    def reshape(self, value: str, *lengths: int, out: str | None = None) -> str:
        """``value`` under another shape."""
        return self.add("Reshape", value, self.constant(lengths, np.int64), out=out, allowzero=1)
