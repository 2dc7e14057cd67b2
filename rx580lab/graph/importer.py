"""A checked file -> a graph: local functions inlined, constants read, nodes in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from rx580lab.errors import ModelError
from rx580lab.formats.onnx_file import OnnxFile, dtype_of, tensor
from rx580lab.graph.ir import FUSED, Graph, Node, Value
from rx580lab.graph.order import put_in_order
from rx580lab.graph.schema import check_node

__all__ = ["NEWEST_OPSET", "TensorType", "declared", "import_graph"]

# The newest version of ONNX's own operators that handlers were checked against.
NEWEST_OPSET = 28
# How deep functions may call functions, and branches hold branches.
DEEPEST = 32
MOST_NODES = 100_000
# Of the names that inlined nodes and their values get; functions that call functions multiply them.
MOST_CHARACTERS = 1 << 26

Kind = onnx.AttributeProto


@dataclass(frozen=True)
class TensorType:
    """What a file declares of an input or output: lengths are numbers, names, or None where it says nothing."""

    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...] | None


def import_graph(file: OnnxFile) -> Graph:
    """The graph of that file. Raises ModelError naming node and cause."""
    model = file.proto
    opsets = _opsets(str(file.path), model.opset_import)
    functions = {(one.domain, one.name): one for one in model.functions}
    graph = _Importer(file, functions).graph(model.graph, opsets, 0)
    _check(graph)
    put_in_order(graph)
    return graph


def _check(graph: Graph) -> None:
    """Each node, and those of branches, beside ONNX's description of its operator."""
    for node in graph.nodes:
        for name, value in node.attributes.items():
            if isinstance(value, _Reference):
                raise ModelError(
                    f"{graph.file}: {node}",
                    f"expected the value of attribute {name!r}, got a reference outside of a function",
                )
        try:
            check_node(node)
        except ModelError as error:
            raise ModelError(f"{graph.file}: {error.where}", error.message) from error
        for value in node.attributes.values():
            if isinstance(value, Graph):
                _check(value)


def declared(file: OnnxFile) -> tuple[dict[str, TensorType], dict[str, TensorType]]:
    """Types of the graph's inputs (those without a constant of their name) and outputs."""
    graph, where = file.proto.graph, str(file.path)
    constants = {one.name for one in graph.initializer}
    inputs = {one.name: _type(where, one) for one in graph.input if one.name not in constants}
    return inputs, {one.name: _type(where, one) for one in graph.output}


def _type(where: str, info: onnx.ValueInfoProto) -> TensorType:
    if info.type.WhichOneof("value") != "tensor_type":
        raise ModelError(where, f"expected {info.name!r} to be a tensor, got {info.type.WhichOneof('value')}")
    found = info.type.tensor_type
    dtype = dtype_of(found.elem_type, f"{where}: {info.name!r}")
    if not found.HasField("shape"):
        return TensorType(dtype, None)
    return TensorType(dtype, tuple(_length(one) for one in found.shape.dim))


def _length(dim: Any) -> int | str | None:
    kind = dim.WhichOneof("value")
    if kind == "dim_value":
        return int(dim.dim_value) if dim.dim_value >= 0 else None
    # PaddlePaddle's exporter writes "?" for every length that it does not know.
    return str(dim.dim_param).strip("?") or None if kind == "dim_param" else None


def _opsets(where: str, imports: Sequence[Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in imports:
        domain = "" if one.domain == "ai.onnx" else one.domain
        if found.setdefault(domain, int(one.version)) != one.version:
            raise ModelError(
                where, f"expected one operator set of {domain or 'ai.onnx'}, got {found[domain]} and {one.version}"
            )
    if not found:
        raise ModelError(where, "expected the versions of its operator sets (opset_import), got none")
    if not 1 <= found.get("", 1) <= NEWEST_OPSET:
        raise ModelError(where, f"expected operator set 1 to {NEWEST_OPSET} of ai.onnx, got {found['']}")
    return found


@dataclass(frozen=True)
class _Reference:
    """An attribute of a function's node whose value the call gives."""

    name: str


class _Importer:
    """What stays the same while graphs, branches and functions of one file are read."""

    def __init__(self, file: OnnxFile, functions: Mapping[tuple[str, str], Any]) -> None:
        self.file = file
        self.where = str(file.path)
        self.functions = functions
        self.n_nodes = 0
        self.n_characters = 0
        self._bodies: dict[tuple[str, str], list[Node]] = {}
        self._begun: set[tuple[str, str]] = set()
        self._prefixes: set[str] = set()

    def graph(self, proto: Any, opsets: Mapping[str, int], depth: int) -> Graph:
        """One graph or branch; a branch may read values from around it."""
        if depth > DEEPEST:
            raise ModelError(self.where, f"expected branches at most {DEEPEST} deep")
        values: dict[str, Value] = {}
        for one in proto.initializer:
            if one.name in values:
                raise ModelError(self.where, f"expected one constant named {one.name!r}, got two")
            values[one.name] = Value.of(tensor(one, self.file, self.where))
        if proto.sparse_initializer:
            raise ModelError(self.where, "sparse constants are not supported")
        inputs = tuple(one.name for one in proto.input if one.name not in values)
        if len(set(inputs)) != len(inputs):
            raise ModelError(self.where, f"expected inputs of different names, got {', '.join(inputs)}")
        outputs = tuple(one.name for one in proto.output)
        if len(set(outputs)) != len(outputs):
            raise ModelError(self.where, f"expected outputs of different names, got {', '.join(outputs)}")
        return Graph(self.where, self._nodes(proto.node, opsets, depth), inputs, outputs, values)

    def _nodes(self, protos: Any, opsets: Mapping[str, int], depth: int) -> list[Node]:
        found: list[Node] = []
        for place, proto in enumerate(protos):
            self._count(1)
            node = self._node(proto, opsets, depth, place)
            function = self.functions.get((node.domain, node.op))
            found += [node] if function is None else self._inlined(node, function, depth)
        return found

    def _node(self, proto: Any, opsets: Mapping[str, int], depth: int, place: int) -> Node:
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        name = proto.name or f"{proto.op_type}_{place}"
        if domain not in opsets:
            raise ModelError(
                f"{self.where}: node {name!r} ({proto.op_type})",
                f"expected its domain {domain or 'ai.onnx'} among the file's operator sets",
            )
        if domain == FUSED:
            raise ModelError(
                f"{self.where}: node {name!r} ({proto.op_type})",
                f"expected a domain other than {FUSED}, which is this program's own",
            )
        attributes: dict[str, Any] = {}
        node = Node(
            proto.op_type, domain, opsets[domain], name, tuple(proto.input), tuple(proto.output), attributes, True
        )
        for one in proto.attribute:
            if one.name in attributes:
                raise ModelError(f"{self.where}: {node}", f"expected one attribute {one.name!r}, got two")
            attributes[one.name] = self._attribute(one, opsets, depth, f"{self.where}: {node}")
        return node

    def _attribute(self, one: Any, opsets: Mapping[str, int], depth: int, where: str) -> Any:
        if one.ref_attr_name:
            return _Reference(one.ref_attr_name)
        readers: Mapping[int, Callable[[], Any]] = {
            Kind.FLOAT: lambda: float(one.f),
            Kind.INT: lambda: int(one.i),
            Kind.STRING: lambda: one.s.decode("utf-8", "replace"),
            Kind.FLOATS: lambda: [float(value) for value in one.floats],
            Kind.INTS: lambda: [int(value) for value in one.ints],
            Kind.STRINGS: lambda: [value.decode("utf-8", "replace") for value in one.strings],
            Kind.TENSOR: lambda: tensor(one.t, self.file, where),
            Kind.GRAPH: lambda: self.graph(one.g, opsets, depth + 1),
        }
        reader = readers.get(one.type)
        if reader is None:
            raise ModelError(where, f"attribute {one.name!r} is of a kind that is not supported ({one.type})")
        return reader()

    def _inlined(self, call: Node, function: Any, depth: int) -> list[Node]:
        """The nodes of a local function's body in place of its call."""
        where = f"{self.where}: {call}"
        if depth > DEEPEST:
            raise ModelError(where, f"expected functions at most {DEEPEST} calls deep")
        if len(call.inputs) > len(function.input) or len(call.outputs) > len(function.output):
            raise ModelError(where, f"expected at most {len(function.input)} inputs and {len(function.output)} outputs")
        body = self._body(function, depth, where)
        prefix = self._prefix(call)
        self._count(len(body), len(body) * len(prefix))
        names = dict.fromkeys(function.input, "")
        names |= dict(zip(function.input, call.inputs, strict=False))
        # What the call does not take may still be read inside of it.
        names |= {own: taken for own, taken in zip(function.output, call.outputs, strict=False) if taken}
        given = {one.name: self._attribute(one, {}, depth, where) for one in function.attribute_proto}
        given |= dict(call.attributes)
        return [_bound(node, names, given, prefix) for node in body]

    def _body(self, function: Any, depth: int, where: str) -> list[Node]:
        """The nodes of a function, read once."""
        key = (function.domain, function.name)
        if key not in self._bodies:
            if key in self._begun:
                raise ModelError(where, f"the function {function.name!r} calls itself")
            self._begun.add(key)
            self._bodies[key] = self._nodes(function.node, _opsets(where, function.opset_import), depth + 1)
        return self._bodies[key]

    def _prefix(self, call: Node) -> str:
        """A name that no other call has; nodes may share theirs."""
        prefix = call.name
        while prefix in self._prefixes:
            prefix = f"{call.name}#{len(self._prefixes)}"
        self._prefixes.add(prefix)
        return prefix

    def _count(self, n_nodes: int, n_characters: int = 0) -> None:
        self.n_nodes += n_nodes
        self.n_characters += n_characters
        if self.n_nodes > MOST_NODES:
            raise ModelError(self.where, f"expected at most {MOST_NODES:,} nodes, those of functions at each call")
        if self.n_characters > MOST_CHARACTERS:
            raise ModelError(
                self.where, f"expected at most {MOST_CHARACTERS:,} characters in names of functions' nodes"
            )


def _bound(node: Node, names: Mapping[str, str], given: Mapping[str, Any], prefix: str) -> Node:
    """A node of a function's body with the call's values and attributes; the body's own values get the call's name."""

    def name(value: str) -> str:
        return names.get(value, f"{prefix}/{value}" if value else "")

    def attribute(value: Any) -> Any:
        if isinstance(value, _Reference):
            return given.get(value.name)
        if isinstance(value, Graph):
            return Graph(
                value.file,
                [_bound(one, names, given, prefix) for one in value.nodes],
                tuple(map(name, value.inputs)),
                tuple(map(name, value.outputs)),
                {name(key): one for key, one in value.values.items()},
            )
        return value

    changed = {key: attribute(value) for key, value in node.attributes.items()}
    bound = node.with_changes(inputs=map(name, node.inputs), outputs=map(name, node.outputs), attributes=changed)
    name_of_node = f"{prefix}/{node.name}"
    return Node(bound.op, bound.domain, bound.opset, name_of_node, bound.inputs, bound.outputs, bound.attributes, True)
