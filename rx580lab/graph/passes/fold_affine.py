"""Conv, ConvTranspose and Gemm take the scales and offsets per channel that follow them into weights and bias.

These are BatchNormalization, and Mul, Div, Add and Sub with a constant of one number, or of one for each channel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.graph.ir import Graph, Node

__all__ = ["HOSTS", "run"]

HOSTS = ("Conv", "ConvTranspose", "Gemm")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Affine:
    """x -> scale * x + shift; both for each channel."""

    scale: Floats
    shift: Floats


def run(graph: Graph) -> None:
    """Rewrites ``graph`` in place. Constants alone decide, so that it may run before shapes are known."""
    uses, consumers = graph.uses(), graph.consumers()
    taken: set[int] = set()
    instead: dict[int, Node] = {}
    for node in graph.nodes:
        if not _is_host(graph, node):
            continue
        total, last = None, node
        n = _channels(graph, node)
        while uses[last.outputs[0]] == 1 and last.outputs[0] in consumers:
            after = consumers[last.outputs[0]][0]
            found = _affine(graph, after, last.outputs[0], n, graph.values[node.inputs[1]].ndim)
            if found is None:
                break
            total = (
                found if total is None else _Affine(found.scale * total.scale, found.scale * total.shift + found.shift)
            )
            taken.add(id(last))
            last = after
        if total is not None and all(np.isfinite(one).all() for one in (total.scale, total.shift)):
            instead[id(last)] = _with(graph, node, total).with_changes(outputs=last.outputs)
        else:
            taken -= {id(node)}
    kept = [instead.get(id(node), node) for node in graph.nodes if id(node) in instead or id(node) not in taken]
    graph.nodes = kept


def _is_host(graph: Graph, node: Node) -> bool:
    if node.domain != "" or node.op not in HOSTS:
        return False
    w = graph.data(node.inputs[1])
    if w is None or w.dtype != np.float32 or w.ndim < 2:
        return False
    if node.has_input(2) and graph.data(node.inputs[2]) is None:
        return False
    if node.op == "Gemm":
        bias = graph.data(node.inputs[2]) if node.has_input(2) else None
        per_column = bias is None or bias.size == 1 or bias.size == bias.shape[-1] == _channels(graph, node)
        return bool(per_column and node.attribute("alpha", 1.0) == 1 and node.attribute("beta", 1.0) == 1)
    return True


def _channels(graph: Graph, node: Node) -> int:
    """Of the output."""
    shape = graph.values[node.inputs[1]].shape
    if node.op == "ConvTranspose":
        return shape[1] * int(node.attribute("group", 1))
    if node.op == "Gemm":
        return shape[0] if node.attribute("transB", 0) else shape[1]
    return shape[0]


def _affine(graph: Graph, node: Node, value: str, n: int, rank: int) -> _Affine | None:
    """What ``node`` does to each channel of ``value``, (N, n, ...) with ``rank`` axes; None if it is nothing such."""
    if node.domain != "" or node.inputs.count(value) != 1:
        return None
    if node.op == "BatchNormalization":
        return _norm(graph, node, n) if node.inputs[0] == value else None
    if node.op not in ("Mul", "Div", "Add", "Sub") or (node.op == "Div" and node.inputs[0] != value):
        return None
    other = _per_channel(graph, node.inputs[1 if node.inputs[0] == value else 0], n, rank)
    if other is None:
        return None
    one, none = np.ones(n), np.zeros(n)
    if node.op in ("Mul", "Div"):
        with np.errstate(all="ignore"):
            return _Affine(other if node.op == "Mul" else 1 / other, none)
    if node.op == "Add":
        return _Affine(one, other)
    return _Affine(one, -other) if node.inputs[0] == value else _Affine(-one, other)


def _norm(graph: Graph, node: Node, n: int) -> _Affine | None:
    if node.attribute("training_mode", 0) or any(node.outputs[1:]) or node.attribute("spatial", 1) != 1:
        return None
    data = [graph.data(name) for name in node.inputs[1:5]]
    if len(data) != 4 or any(one is None or one.shape != (n,) for one in data):
        return None
    scale, shift, mean, variance = (np.asarray(one, np.float64) for one in data)
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + node.attribute("epsilon", 1e-5))
    return _Affine(factor, shift - mean * factor)


def _per_channel(graph: Graph, name: str, n: int, rank: int) -> Floats | None:
    """A constant as n numbers, if along axis 1 of ``rank`` axes it has n or 1 and along all others 1."""
    data = graph.data(name)
    if data is None or data.ndim > rank or data.dtype != np.float32:
        return None
    lengths = (1,) * (rank - data.ndim) + data.shape
    if lengths[1] not in (1, n) or math.prod(lengths) != lengths[1]:
        return None
    return np.broadcast_to(np.asarray(data.reshape(-1), np.float64), (n,)).copy()


def _with(graph: Graph, node: Node, affine: _Affine) -> Node:
    """The host with weights and bias that do the same."""
    w = np.asarray(graph.data(node.inputs[1]), np.float64)
    n = len(affine.scale)
    if node.op == "ConvTranspose":
        group = int(node.attribute("group", 1))
        parts = w.reshape(group, w.shape[0] // group, w.shape[1], *w.shape[2:])
        factors = affine.scale.reshape(group, 1, w.shape[1], *(1,) * (w.ndim - 2))
        scaled: Any = (parts * factors).reshape(w.shape)
    elif node.op == "Gemm" and not node.attribute("transB", 0):
        scaled = w * affine.scale
    else:
        scaled = w * affine.scale.reshape(n, *(1,) * (w.ndim - 1))
    held = graph.data(node.inputs[2]) if node.has_input(2) else None
    before = np.zeros(n) if held is None else np.broadcast_to(np.asarray(held, np.float64).reshape(-1), (n,))
    weights = graph.constant(scaled.astype(np.float32), node.inputs[1])
    bias = graph.constant((before * affine.scale + affine.shift).astype(np.float32), f"{node.name}/bias")
    return node.with_changes(inputs=(node.inputs[0], weights, bias))
