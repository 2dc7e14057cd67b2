"""Pixel-major arrays for processors: convolutions read and write (N, ..., C), and what lies between follows them.

ONNX's arrays are channel-major, (N, C, ...). Every value that a convolution writes is made pixel-major and stays so
through the operators that ``layout_rules`` knows; it is turned where another reads it, and where it leaves the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from rx580lab.graph.ir import Graph, Node, Value, reads

__all__ = ["Layout", "Rule", "run", "to_last"]

# From a node to what computes the same pixel-major; None where it has to stay as it is.
Rule: TypeAlias = "Callable[[Layout, Node], list[Node] | None]"


def run(graph: Graph, rules: Mapping[tuple[str, str], Rule]) -> None:
    """Rewrites ``graph``, whose types are known, in place; ``rules`` by (domain, operator)."""
    made = Layout(graph)
    for node in graph.nodes:
        rule = rules.get((node.domain, node.op))
        found = None if rule is None else rule(made, node)
        if found is None:
            for name in reads(node):
                made.channel_major(name)
            found = [node]
        made.nodes += found
    for name in graph.outputs:
        made.channel_major(name)
    graph.nodes = made.nodes
    graph.drop_unused()


def to_last(axis: int, rank: int) -> int:
    """Where an axis of a channel-major array lies in the pixel-major one."""
    place = axis % rank
    return place if place == 0 else rank - 1 if place == 1 else place - 1


class Layout:
    """A graph while it is rewritten.

    Attributes:
        graph: its values; new ones are added. nodes: the new ones so far.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Node] = []
        self._pixel_major: dict[str, str] = {}
        self._absent: set[str] = set()

    def is_pixel_major(self, name: str) -> bool:
        """Whether a value is there pixel-major, and only so."""
        return name in self._absent

    def known(self, name: str) -> Value:
        """What is known of a value."""
        return self.graph.values[name]

    def pixel_major(self, name: str) -> str:
        """The value with its channels last, turned here if it is not there so; a constant becomes another."""
        if name not in self._pixel_major:
            value = self.known(name)
            if value.data is not None:
                made = self.graph.constant(np.moveaxis(value.data, 1, -1), name)
            else:
                made = self._named(name)
                self._turn(name, made, [0, *range(2, value.ndim), 1])
            self._pixel_major[name] = made
        return self._pixel_major[name]

    def channel_major(self, name: str) -> None:
        """Makes a value be there as ONNX has it, under its own name."""
        if name in self._absent:
            self._absent.discard(name)
            rank = self.known(name).ndim
            self._turn(self._pixel_major[name], name, [0, rank - 1, *range(1, rank - 1)])

    def made(self, name: str) -> str:
        """The name under which a node shall write a value pixel-major."""
        found = self._named(name)
        self._pixel_major[name] = found
        self._absent.add(name)
        return found

    def array(self, stem: str, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> str:
        """A new value between nodes of a rule."""
        name = self.graph.fresh(stem)
        self.graph.values[name] = Value(dtype, shape)
        return name

    def reshaped(self, source: str, target: str) -> Node:
        """The node that views one value as another of as many elements."""
        shape = self.graph.constant(np.array(self.known(target).shape, np.int64), f"{target}/shape")
        return Node("Reshape", "", 13, f"{target}/view", (source, shape), (target,))

    def _named(self, name: str) -> str:
        value = self.known(name)
        return self.array(f"{name}/pixel-major", value.dtype, (value.shape[0], *value.shape[2:], value.shape[1]))

    def _turn(self, source: str, target: str, perm: list[int]) -> None:
        shape = self.known(source).shape
        axes = [k for k in perm if shape[k] != 1]
        if axes == sorted(axes):  # no element moves; two axes may be of one length
            self.nodes.append(self.reshaped(source, target))
        else:
            self.nodes.append(Node("Transpose", "", 13, f"{target}/turn", (source,), (target,), {"perm": perm}))
