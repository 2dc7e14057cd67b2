"""The graph of a model: nodes that read and write named values, each written once."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FUSED", "Graph", "Node", "Value", "captured", "reads"]

# Domain of the ops that passes make of several nodes; no file holds them.
FUSED = "rx580lab"


@dataclass(frozen=True, eq=False)
class Value:
    """What is known of a value before it is computed: its type, and its ``data`` where that is known on the host."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    data: npt.NDArray[Any] | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.size * self.dtype.itemsize

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @staticmethod
    def of(data: npt.NDArray[Any]) -> Value:
        """A constant."""
        return Value(data.dtype, data.shape, data)


@dataclass(frozen=True, eq=False)
class Node:
    """One operator.

    Attributes:
        op: as ONNX spells it. domain: "" for ONNX's own, ``FUSED`` for ours. opset: the version of the domain that the
            file imports. name: as in the file, or made up; for messages.
        inputs: names of values; "" for an optional one that is not given. outputs: likewise.
        attributes: numbers, strings, lists of them, numpy arrays, ``Graph`` for a branch.
        as_read: whether it stands so in the file, so that ONNX's rules for types hold; what we make of it has our own.
    """

    op: str
    domain: str
    opset: int
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    as_read: bool = False

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.op})"

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute, or what stands for it where the file does not give it."""
        return self.attributes.get(name, default)

    def has_input(self, place: int) -> bool:
        """Whether an optional input is given."""
        return place < len(self.inputs) and self.inputs[place] != ""

    def with_changes(
        self,
        *,
        op: str | None = None,
        domain: str | None = None,
        opset: int | None = None,
        inputs: Iterable[str] | None = None,
        outputs: Iterable[str] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Node:
        """A copy; ``attributes`` are laid over its own, and those of None are taken away."""
        merged = {**self.attributes, **(attributes or {})}
        return Node(
            self.op if op is None else op,
            self.domain if domain is None else domain,
            self.opset if opset is None else opset,
            self.name,
            self.inputs if inputs is None else tuple(inputs),
            self.outputs if outputs is None else tuple(outputs),
            {key: value for key, value in merged.items() if value is not None},
        )


@dataclass
class Graph:
    """Nodes in an order in which each reads only what is there.

    Attributes:
        file: for messages. nodes: in order. inputs, outputs: names of values.
        values: what is known of values: constants, with their data; inputs, once their shapes are given; results.
    """

    file: str
    nodes: list[Node]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    values: dict[str, Value]
    _serial: Any = field(default_factory=itertools.count, repr=False)
    _derived: dict[Any, Any] = field(default_factory=dict, repr=False)

    def data(self, name: str) -> npt.NDArray[Any] | None:
        """The data of a value that is known on the host, or None."""
        known = self.values.get(name) if name else None
        return None if known is None else known.data

    def fresh(self, stem: str) -> str:
        """A name that no value has; ``stem`` says where it comes from."""
        while True:
            name = f"{stem}/{next(self._serial)}"
            if name not in self.values:
                return name

    def constant(self, data: npt.NDArray[Any], stem: str) -> str:
        """A new constant; its name."""
        name = self.fresh(stem)
        held = np.asarray(data)
        self.values[name] = Value.of(held if held.ndim == 0 else np.ascontiguousarray(held))
        return name

    def derived(self, sources: Sequence[str], form: str, make: Callable[..., npt.NDArray[Any]]) -> str:
        """A new constant that ``make`` makes of the data of constants; its name.

        The data are made once for a graph and all its copies, so that they are uploaded once for all plans.
        """
        data = [self.values[name].data for name in sources]
        key = (form, *map(id, data))
        if key not in self._derived:
            self._derived[key] = (data, np.ascontiguousarray(make(*data)))  # holds on to data: their ids stay their own
        return self.constant(self._derived[key][1], f"{sources[0]}/{form}")

    def producers(self) -> dict[str, Node]:
        """Value -> the node that writes it."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    def consumers(self) -> dict[str, list[Node]]:
        """Value -> the nodes that read it, once per place where they do; graph outputs do not count."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in reads(node):
                found.setdefault(name, []).append(node)
        return found

    def uses(self) -> Counter[str]:
        """Value -> how often it is read, by nodes and as an output of the graph."""
        counted = Counter(name for node in self.nodes for name in reads(node))
        counted.update(self.outputs)
        return counted

    def drop_unused(self) -> None:
        """Takes away the nodes and constants that no output needs."""
        needed = set(self.outputs)
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if any(name in needed for name in node.outputs if name):
                kept.append(node)
                needed.update(reads(node))
        self.nodes = kept[::-1]
        needed.update(self.inputs)
        needed.update(name for node in self.nodes for name in node.outputs)
        self.values = {name: value for name, value in self.values.items() if name in needed}

    def copy(self) -> Graph:
        """Another graph of the same nodes and values, to be rewritten by itself."""
        return Graph(
            self.file, list(self.nodes), self.inputs, self.outputs, dict(self.values), self._serial, self._derived
        )


def captured(branch: Graph) -> tuple[str, ...]:
    """What a branch reads from around it, each name once."""
    own = set(branch.inputs) | set(branch.values) | {name for node in branch.nodes for name in node.outputs}
    read = [name for node in branch.nodes for name in reads(node)]
    return tuple(dict.fromkeys(name for name in (*read, *branch.outputs) if name and name not in own))


def reads(node: Node) -> tuple[str, ...]:
    """All values that a node reads, those that its branches read included."""
    branches = [one for one in node.attributes.values() if isinstance(one, Graph)]
    return (*filter(None, node.inputs), *(name for branch in branches for name in captured(branch)))
