"""How each operator computes the same over pixel-major arrays; for ``layout``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rx580lab.graph.handlers.window import conv_window
from rx580lab.graph.ir import FUSED, Node, Value
from rx580lab.graph.passes.fuse_activation import ACTIVATIONS
from rx580lab.graph.passes.layout import Layout, Rule, to_last

__all__ = ["RULES"]

# Ranks of arrays with channels and one to three spatial axes.
RANKS = (3, 4, 5)


def _conv(layout: Layout, node: Node) -> list[Node] | None:
    x, w = (layout.known(name) for name in node.inputs[:2])
    if w.data is None or x.dtype != np.float32 or x.ndim not in RANKS or 0 in (*x.shape, *w.shape):
        return None
    inputs = [layout.pixel_major(node.inputs[0]), *node.inputs[1:3]]
    if node.has_input(3):
        inputs.append(layout.pixel_major(node.inputs[3]))
    attributes = {**_without(node, "auto_pad", "kernel_shape"), **conv_window(node, x, w)}
    return [Node("PixelConv", FUSED, 1, node.name, tuple(inputs), (layout.made(node.outputs[0]),), attributes)]


def _conv_transpose(layout: Layout, node: Node) -> list[Node] | None:
    """Where the kernel's positions fill out, each pixel of x makes a block of it: a product for each row of blocks."""
    x, w = (layout.known(name) for name in node.inputs[:2])
    rank = w.ndim - 2
    plain = {"auto_pad": "NOTSET", "group": 1, "dilations": [1] * rank, "pads": [0] * 2 * rank}
    plain |= {"output_padding": [0] * rank, "output_shape": []}
    if w.data is None or x.dtype != np.float32 or rank != 2 or 0 in (*x.shape, *w.shape) or node.has_input(3):
        return None
    if any(node.attribute(key, value) != value for key, value in plain.items()):
        return None
    if node.attribute("strides", [1] * rank) != list(w.shape[2:]):
        return None
    inputs = (layout.pixel_major(node.inputs[0]), *node.inputs[1:3])
    attributes = {key: value for key, value in node.attributes.items() if key in ("activation", "alpha", "beta")}
    return [Node("PixelBlocks", FUSED, 1, node.name, inputs, (layout.made(node.outputs[0]),), attributes)]


def _without(node: Node, *names: str) -> dict[str, Any]:
    return {key: value for key, value in node.attributes.items() if key not in names}


def _follows(layout: Layout, node: Node) -> bool:
    """Whether its first input is pixel-major, and of a rank that has channels."""
    name = node.inputs[0]
    return layout.is_pixel_major(name) and layout.known(name).ndim in RANKS


def _each(layout: Layout, node: Node) -> list[Node] | None:
    """Operators of each element of operands that broadcast."""
    out = layout.known(node.outputs[0])
    if out.ndim not in RANKS or len(node.outputs) != 1 or not any(map(layout.is_pixel_major, node.inputs)):
        return None
    if not all(_broadcasts(layout, name, out.ndim) for name in node.inputs):
        return None
    inputs = [_operand(layout, name, out.ndim) for name in node.inputs]
    return [node.with_changes(inputs=inputs, outputs=(layout.made(node.outputs[0]),))]


def _broadcasts(layout: Layout, name: str, rank: int) -> bool:
    """Whether there is a form of it that fits pixel-major operands of that rank."""
    if not name:
        return True
    value = layout.known(name)
    return value.ndim == rank or value.size == 1 or value.data is not None


def _operand(layout: Layout, name: str, rank: int) -> str:
    if not name or (layout.known(name).size == 1 and not layout.is_pixel_major(name)):
        return name
    value = layout.known(name)
    if value.data is None or value.ndim == rank:
        return layout.pixel_major(name)
    whole = value.data.reshape((1,) * (rank - value.ndim) + value.shape)
    return layout.graph.constant(np.moveaxis(whole, 1, -1), name)


def _concat(layout: Layout, node: Node) -> list[Node] | None:
    rank = layout.known(node.outputs[0]).ndim
    if rank not in RANKS or not any(map(layout.is_pixel_major, node.inputs)):
        return None
    axis = to_last(node.attribute("axis", 1), rank)
    inputs = [layout.pixel_major(name) for name in node.inputs]
    return [node.with_changes(inputs=inputs, outputs=(layout.made(node.outputs[0]),), attributes={"axis": axis})]


def _split(layout: Layout, node: Node) -> list[Node] | None:
    if not _follows(layout, node):
        return None
    axis = to_last(node.attribute("axis", 0), layout.known(node.inputs[0]).ndim)
    inputs = (layout.pixel_major(node.inputs[0]), *node.inputs[1:])
    outputs = [name and layout.made(name) for name in node.outputs]
    return [node.with_changes(inputs=inputs, outputs=outputs, attributes={"axis": axis})]


def _softmax(layout: Layout, node: Node) -> list[Node] | None:
    if not _follows(layout, node) or node.opset < 13:
        return None
    axis = to_last(node.attribute("axis", -1), layout.known(node.inputs[0]).ndim)
    inputs, outputs = (layout.pixel_major(node.inputs[0]),), (layout.made(node.outputs[0]),)
    return [node.with_changes(inputs=inputs, outputs=outputs, attributes={"axis": axis})]


def _reduce(layout: Layout, node: Node) -> list[Node] | None:
    if not _follows(layout, node):
        return None
    rank = layout.known(node.inputs[0]).ndim
    axes = node.attribute("axes")
    if node.has_input(1):
        data = layout.graph.data(node.inputs[1])
        axes = None if data is None else data.tolist()
    if not axes:
        return None
    places = {axis % rank for axis in axes}
    keeps = bool(node.attribute("keepdims", 1))
    if not keeps and 1 not in places and not places.issuperset(range(2, rank)):
        return None  # the axes that stay would have to change their order
    moved = sorted(to_last(axis, rank) for axis in places)
    inputs = [layout.pixel_major(node.inputs[0])]
    attributes: dict[str, Any] = {"axes": None if node.has_input(1) else moved}
    if node.has_input(1):
        inputs.append(layout.graph.constant(np.array(moved, np.int64), node.inputs[1]))
    outputs = (layout.made(node.outputs[0]),) if keeps else node.outputs
    return [node.with_changes(inputs=inputs, outputs=outputs, attributes=attributes)]


def _global_average(layout: Layout, node: Node) -> list[Node] | None:
    if not _follows(layout, node):
        return None
    inputs, outputs = (layout.pixel_major(node.inputs[0]),), (layout.made(node.outputs[0]),)
    return [Node("PixelMean", FUSED, 1, node.name, inputs, outputs)]


def _pool(layout: Layout, node: Node) -> list[Node] | None:
    """A pool over two axes is one over three of a single channel, whose last axis is not pooled."""
    x = layout.known(node.inputs[0])
    if not _follows(layout, node) or x.ndim != 4 or any(node.outputs[1:]):
        return None
    target = layout.made(node.outputs[0])
    n, *rest = layout.known(target).shape
    source = layout.pixel_major(node.inputs[0])
    widened = layout.array(f"{source}/planes", x.dtype, (n, 1, *layout.known(source).shape[1:]))
    pooled = layout.array(f"{target}/planes", x.dtype, (n, 1, *rest))
    attributes: dict[str, Any] = {"kernel_shape": [*node.attribute("kernel_shape"), 1]}
    for key in ("strides", "dilations"):
        if node.attribute(key) is not None:
            attributes[key] = [*node.attribute(key), 1]
    pads = node.attribute("pads")
    if pads is not None:
        attributes["pads"] = [*pads[:2], 0, *pads[2:], 0]
    pool = node.with_changes(inputs=(widened,), outputs=(pooled,), attributes=attributes)
    return [layout.reshaped(source, widened), pool, layout.reshaped(pooled, target)]


def _resize(layout: Layout, node: Node) -> list[Node] | None:
    if not _follows(layout, node) or node.opset < 11 or node.attribute("axes") is not None:
        return None
    if node.has_input(1) and layout.known(node.inputs[1]).size:
        return None
    inputs = [layout.pixel_major(node.inputs[0]), *node.inputs[1:]]
    for place in (2, 3):
        if node.has_input(place):
            moved = _moved(layout, node.inputs[place])
            if moved is None:
                return None
            inputs[place] = moved
    return [node.with_changes(inputs=inputs, outputs=(layout.made(node.outputs[0]),))]


def _moved(layout: Layout, name: str) -> str | None:
    """A constant with a number for each axis, in the order of the pixel-major ones; an empty one as it is."""
    data = layout.graph.data(name)
    if data is None or data.size == 0:
        return None if data is None else name
    return layout.graph.constant(np.array([data[0], *data[2:], data[1]], data.dtype), name)


def _pad(layout: Layout, node: Node) -> list[Node] | None:
    data = layout.graph.data(node.inputs[1]) if node.has_input(1) else None
    if not _follows(layout, node) or data is None or node.has_input(3):
        return None
    rank = data.size // 2
    order = [0, *range(2, rank), 1]
    pads = layout.graph.constant(np.concatenate([data[:rank][order], data[rank:][order]]), node.inputs[1])
    inputs = (layout.pixel_major(node.inputs[0]), pads, *node.inputs[2:])
    return [node.with_changes(inputs=inputs, outputs=(layout.made(node.outputs[0]),))]


def _slice(layout: Layout, node: Node) -> list[Node] | None:
    if not _follows(layout, node) or len(node.inputs) < 3:
        return None
    data = layout.graph.data(node.inputs[3]) if node.has_input(3) else None
    starts = layout.graph.data(node.inputs[1])
    if starts is None or (data is None and node.has_input(3)):
        return None
    rank = layout.known(node.inputs[0]).ndim
    axes = np.arange(starts.size) if data is None else data
    moved = layout.graph.constant(np.array([to_last(int(k), rank) for k in axes], np.int64), f"{node.name}/axes")
    inputs = (layout.pixel_major(node.inputs[0]), *node.inputs[1:3], moved, *node.inputs[4:])
    return [node.with_changes(inputs=inputs, outputs=(layout.made(node.outputs[0]),))]


def _transpose(layout: Layout, node: Node) -> list[Node] | None:
    """Both turns in one; none, where they undo each other."""
    if not _follows(layout, node):
        return None
    rank = layout.known(node.inputs[0]).ndim
    perm = node.attribute("perm", list(range(rank))[::-1])
    source, moved = layout.pixel_major(node.inputs[0]), [to_last(axis, rank) for axis in perm]
    if _keeps_order(layout.known(source), moved):
        return [layout.reshaped(source, node.outputs[0])]
    return [node.with_changes(inputs=(source,), attributes={"perm": moved})]


def _keeps_order(value: Value, perm: Sequence[int]) -> bool:
    return [k for k in perm if value.shape[k] != 1] == [k for k in range(value.ndim) if value.shape[k] != 1]


def _batch_norm(layout: Layout, node: Node) -> list[Node] | None:
    """A scale and an offset for each channel, the last axis."""
    data = [layout.graph.data(name) for name in node.inputs[1:5]]
    if not _follows(layout, node) or any(one is None for one in data) or any(node.outputs[1:]):
        return None
    if node.attribute("training_mode", 0) or math.prod(layout.known(node.inputs[0]).shape) == 0:
        return None
    scale, shift, mean, variance = (np.asarray(one, np.float64) for one in data)
    factor = scale / np.sqrt(variance + node.attribute("epsilon", 1e-5))
    x = layout.pixel_major(node.inputs[0])
    terms = [layout.graph.constant(one.astype(np.float32), node.name) for one in (factor, shift - mean * factor)]
    target = layout.made(node.outputs[0])
    between = layout.array(target, layout.known(x).dtype, layout.known(x).shape)
    return [
        Node("Mul", "", 13, node.name, (x, terms[0]), (between,)),
        Node("Add", "", 13, node.name, (between, terms[1]), (target,)),
    ]


_EACH = (
    *ACTIVATIONS, "Abs", "Add", "Cast", "Ceil", "Clip", "Div", "Equal", "Erf", "Exp", "Floor", "Greater",
    "GreaterOrEqual", "Less", "LessOrEqual", "Log", "Max", "Min", "Mul", "Neg", "PRelu", "Pow", "Reciprocal", "Round",
    "Sign", "Sqrt", "Sub", "Sum", "Where",
)  # fmt: skip
_REDUCE = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")

RULES: Mapping[tuple[str, str], Rule] = {
    **{("", op): _each for op in _EACH},
    (FUSED, "Activation"): _each,
    **{("", f"Reduce{op}"): _reduce for op in _REDUCE},
    **{(domain, "Conv"): _conv for domain in ("", FUSED)},
    **{(domain, "ConvTranspose"): _conv_transpose for domain in ("", FUSED)},
    ("", "AveragePool"): _pool,
    ("", "BatchNormalization"): _batch_norm,
    ("", "Concat"): _concat,
    ("", "GlobalAveragePool"): _global_average,
    ("", "MaxPool"): _pool,
    ("", "Pad"): _pad,
    ("", "Resize"): _resize,
    ("", "Slice"): _slice,
    ("", "Softmax"): _softmax,
    ("", "Split"): _split,
    ("", "Transpose"): _transpose,
}
