"""A checked file -> a graph: local functions inlined, constants read, nodes in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from rx580lab.errors import ModelError
from rx580lab.formats.onnx_file import OnnxFile, tensor
from rx580lab.graph.ir import Graph, Node, Value
from rx580lab.graph.order import put_in_order

__all__ = ["NEWEST_OPSET", "TensorType", "declared", "import_graph"]

# The newest version of ONNX's own operators that handlers were checked against.
NEWEST_OPSET = 28
# How deep functions may call functions, and branches hold branches.
DEEPEST = 32
MOST_NODES = 100_000

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
    put_in_order(graph)
    return graph


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
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(found.elem_type))
    except KeyError:
        raise ModelError(where, f"expected a known element type of {info.name!r}, got {found.elem_type}") from None
    if not found.HasField("shape"):
        return TensorType(dtype, None)
    return TensorType(dtype, tuple(_length(one) for one in found.shape.dim))


def _length(dim: Any) -> int | str | None:
    kind = dim.WhichOneof("value")
    if kind == "dim_value":
        return int(dim.dim_value) if dim.dim_value >= 0 else None
    return str(dim.dim_param) or None if kind == "dim_param" else None


def _opsets(where: str, imports: Sequence[Any]) -> dict[str, int]:
    found = {"" if one.domain == "ai.onnx" else one.domain: int(one.version) for one in imports}
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
        nodes = self._nodes(proto.node, opsets, depth)
        return Graph(self.where, nodes, inputs, tuple(one.name for one in proto.output), values)

    def _nodes(self, protos: Any, opsets: Mapping[str, int], depth: int) -> list[Node]:
        found: list[Node] = []
        for place, proto in enumerate(protos):
            self.n_nodes += 1
            if self.n_nodes > MOST_NODES:
                raise ModelError(self.where, f"expected at most {MOST_NODES:,} nodes, those of functions at each call")
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
        attributes: dict[str, Any] = {}
        node = Node(proto.op_type, domain, opsets[domain], name, tuple(proto.input), tuple(proto.output), attributes)
        for one in proto.attribute:
            attributes[one.name] = self._attribute(one, opsets, depth, f"{self.where}: {node}")
        return node

    def _attribute(self, one: Any, opsets: Mapping[str, int], depth: int, where: str) -> Any:
        if one.ref_attr_name:
            return _Reference(one.ref_attr_name)
        readers = {
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
        return reader()  # type: ignore[no-untyped-call]  # lambdas of one table

    def _inlined(self, call: Node, function: Any, depth: int) -> list[Node]:
        """The nodes of a local function's body in place of its call."""
        where = f"{self.where}: {call}"
        if depth > DEEPEST:
            raise ModelError(where, f"expected functions at most {DEEPEST} calls deep")
        if len(call.inputs) > len(function.input) or len(call.outputs) > len(function.output):
            raise ModelError(where, f"expected at most {len(function.input)} inputs and {len(function.output)} outputs")
        body = self._nodes(function.node, _opsets(self.where, function.opset_import), depth + 1)
        names = dict.fromkeys(function.input, "")
        names |= dict(zip(function.input, call.inputs, strict=False))
        names |= dict(zip(function.output, call.outputs, strict=False))
        given = {one.name: self._attribute(one, {}, depth, where) for one in function.attribute_proto}
        given |= dict(call.attributes)
        return [_bound(node, names, given, call.name) for node in body]


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
    return Node(
        bound.op, bound.domain, bound.opset, f"{prefix}/{node.name}", bound.inputs, bound.outputs, bound.attributes
    )
