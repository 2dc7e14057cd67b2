"""Nodes beside ONNX's description of their operators: counts of inputs and outputs, attributes, element types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx

from rx580lab.errors import ModelError
from rx580lab.graph.ir import Graph, Node, Value

__all__ = ["check_node", "check_types"]

Schema = onnx.defs.OpSchema
Option = Schema.FormalParameterOption
Kind = Schema.AttrType
_OF_LISTS = {Kind.FLOATS: float, Kind.INTS: int, Kind.STRINGS: str, Kind.TENSORS: np.ndarray, Kind.GRAPHS: Graph}
_OF_ONE = {Kind.FLOAT: float, Kind.INT: int, Kind.STRING: str, Kind.TENSOR: np.ndarray, Kind.GRAPH: Graph}
_NAMES = {"float32": "float", "float64": "double"}


@dataclass(frozen=True)
class Parameter:
    """A formal input or output. ``types``: as ONNX spells them; ``constraint``: inputs of one have one type."""

    name: str
    needed: bool
    many: bool
    constraint: str
    types: frozenset[str]


@dataclass(frozen=True)
class Signature:
    """What ONNX says of an operator from one version on. ``attributes``: name -> (kind, whether it has to be given)."""

    since: int
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    least: tuple[int, int]
    most: tuple[int, int]
    attributes: Mapping[str, tuple[Any, bool]]


@cache
def _signature(domain: str, op: str, opset: int) -> Signature | None:
    """None for an operator that ONNX does not describe: another's, or none."""
    try:
        found = onnx.defs.get_schema(op, max_inclusive_version=opset, domain=domain)
    except onnx.defs.SchemaError:
        return None
    allowed = {one.type_param_str: frozenset(one.allowed_type_strs) for one in found.type_constraints}
    return Signature(
        found.since_version,
        tuple(_parameter(one, allowed) for one in found.inputs),
        tuple(_parameter(one, allowed) for one in found.outputs),
        (found.min_input, found.min_output),
        (found.max_input, found.max_output),
        {name: (one.type, one.required) for name, one in found.attributes.items()},
    )


def _parameter(one: Any, allowed: Mapping[str, frozenset[str]]) -> Parameter:
    many = one.option == Option.Variadic
    types = allowed.get(one.type_str, frozenset({one.type_str}))
    shared = one.type_str in allowed and (not many or one.is_homogeneous)
    return Parameter(one.name, one.option == Option.Single, many, one.type_str if shared else "", types)


def check_node(node: Node) -> None:
    """Counts of inputs and outputs, and attributes. ModelError for what ONNX does not allow."""
    found = _signature(node.domain, node.op, node.opset)
    if found is None:
        return
    for what, names, side in (("inputs", node.inputs, 0), ("outputs", node.outputs, 1)):
        least, most = found.least[side], found.most[side]
        if not least <= len(names) <= most:
            wanted = f"{least}" if least == most else f"{least} or more" if most > 1000 else f"{least} to {most}"
            raise ModelError(str(node), f"expected {wanted} {what}, got {len(names)}")
    for place, (one, name) in enumerate(zip(found.inputs, node.inputs, strict=False)):
        if one.needed and not name:
            raise ModelError(str(node), f"expected its input {place} ({one.name}), got none")
    for name, (kind, needed) in found.attributes.items():
        if name in node.attributes:
            _check_kind(node, name, kind, node.attributes[name])
        elif needed:
            raise ModelError(str(node), f"expected the attribute {name!r}, got none")
    unknown = [name for name in node.attributes if name not in found.attributes]
    if unknown:
        known = ", ".join(sorted(found.attributes)) or "none"
        raise ModelError(str(node), f"expected attributes among {known}, got {unknown[0]!r}")


def _check_kind(node: Node, name: str, kind: Any, value: Any) -> None:
    if kind in _OF_LISTS:
        fits = isinstance(value, list) and all(isinstance(one, _OF_LISTS[kind]) for one in value)
    else:
        fits = kind in _OF_ONE and isinstance(value, _OF_ONE[kind])
    if not fits:
        got = f"a list of {type(value[0]).__name__}" if isinstance(value, list) and value else type(value).__name__
        raise ModelError(str(node), f"expected the attribute {name!r} to be {kind.name}, got {got}")


def check_types(node: Node, values: Sequence[Value | None]) -> None:
    """Element types of the inputs, by themselves and beside each other. ModelError for what ONNX does not allow."""
    found = _signature(node.domain, node.op, node.opset)
    if found is None or not found.inputs:
        return
    bound: dict[str, tuple[np.dtype[Any], str]] = {}
    for place, value in enumerate(values):
        one = found.inputs[min(place, len(found.inputs) - 1)]
        if value is None:
            continue
        if f"tensor({_NAMES.get(value.dtype.name, value.dtype.name)})" not in one.types:
            raise ModelError(str(node), f"{value.dtype} is no type for its input {place} ({one.name})")
        first, name = bound.setdefault(one.constraint or f"{place}", (value.dtype, one.name))
        if first != value.dtype:
            raise ModelError(str(node), f"expected input {place} ({one.name}) of {first} as {name}, got {value.dtype}")
