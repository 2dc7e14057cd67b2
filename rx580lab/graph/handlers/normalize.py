"""Normalization by moments, by neighbours and by sums of exponentials; and dropout, which at inference is nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx

from rx580lab.graph.handlers.elementwise import same_type
from rx580lab.graph.handlers.expansion import Expansion
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.handlers.shape import required
from rx580lab.graph.handlers.window import ending
from rx580lab.graph.ir import FUSED, Graph, Node, Value
from rx580lab.graph.lowering import Context

__all__ = ["HANDLERS"]

EPSILON = 1e-5
# The version of BatchNormalization that says by an attribute whether it trains.
WITH_TRAINING_MODE = 14


def _epsilon(node: Node) -> float:
    found = float(node.attribute("epsilon", EPSILON))
    if not 0 <= found < math.inf:
        raise fault(node, f"expected epsilon of at least 0, got {found}")
    return found


def _axis(node: Node, x: Value, default: int) -> int:
    """Counted from the front."""
    found = int(node.attribute("axis", default))
    if not -x.ndim <= found < x.ndim:
        raise fault(node, f"expected axis within the rank of {x.shape}, got {found}")
    return found % x.ndim


def _batch(node: Node, given: Values) -> list[Value]:
    x = required(node, given, 0)
    channels = x.shape[1] if x.ndim > 1 else 1
    for place in range(1, 5):
        one = required(node, given, place)
        if one.shape != (channels,):
            raise fault(node, f"expected input {place} of shape ({channels},) for {x.shape}, got {one.shape}")
    return [Value(x.dtype, x.shape)]


def _batch_lower(node: Node, ctx: Context) -> None:
    x, out = ctx.given(0), ctx.out()
    if x.ndim < 2:  # so many samples of one channel
        x, out = x.reshape(x.size, 1), out.reshape(x.size, 1)
    ctx.call("batchnorm", x, *(ctx.given(k) for k in range(1, 5)), epsilon=_epsilon(node), out=out, **ending(node))


def _batch_expand(graph: Graph, node: Node, given: Values) -> list[Node]:
    x = required(node, given, 0)
    if not node.attribute("spatial", 1) and x.ndim > 2:
        return _each_place(graph, node, x)
    taken = [k for k, name in enumerate(node.outputs) if name]
    if node.opset >= WITH_TRAINING_MODE:
        trains = bool(node.attribute("training_mode", 0))
    elif node.opset >= 7:  # where the number of outputs says it
        trains = len(taken) > 1
    else:
        trains = not node.attribute("is_test", 0)
    if trains:
        return _trained(graph, node, given)
    if taken != [0]:
        raise fault(node, f"expected one output where it does not train, got {len(taken)}")
    return [node]


def _each_place(graph: Graph, node: Node, x: Value) -> list[Node]:
    """Moments of each place of the image by itself: all places are channels."""
    made, size = Expansion(graph, node), math.prod(x.shape[1:])
    moments = [made.reshape(name, size) for name in node.inputs[1:]]
    flat = made.reshape(node.inputs[0], x.shape[0], size)
    result = graph.fresh(node.name)
    outputs = (result, *node.outputs[1:])
    made.nodes.append(node.with_changes(inputs=(flat, *moments), outputs=outputs, attributes={"spatial": 1}))
    made.reshape(result, *x.shape, out=node.outputs[0])
    return made.nodes


def _trained(graph: Graph, node: Node, given: Values) -> list[Node]:
    """Moments of the batch, which then normalize it; and running ones, on which they leave a trace."""
    x, made = required(node, given, 0), Expansion(graph, node)
    source, scale, bias, *running = node.inputs
    axes = [k for k in range(x.ndim) if k != 1]
    mean = made.add("ReduceMean", source, axes=axes)
    distance = made.add("Sub", source, mean)
    variance = made.add("ReduceMean", made.add("Mul", distance, distance), axes=axes)
    current = [made.reshape(one, -1) for one in (mean, variance)]
    momentum = float(node.attribute("momentum", 0.9))
    # Outputs after the first: running moments; older versions then give those of the batch.
    for place, (old, recent) in enumerate(zip(running, current, strict=True), start=1):
        if place < len(node.outputs) and node.outputs[place]:
            kept = made.add("Mul", old, made.constant(momentum, x.dtype))
            added = made.add("Mul", recent, made.constant(1 - momentum, x.dtype))
            made.add("Add", kept, added, out=node.outputs[place])
        if place + 2 < len(node.outputs) and node.outputs[place + 2]:
            made.add("Identity", recent, out=node.outputs[place + 2])
    out = node.outputs[0] or None
    made.add("BatchNormalization", source, scale, bias, *current, out=out, epsilon=_epsilon(node))
    return made.nodes


def _instance(graph: Graph, node: Node, given: Values) -> list[Node]:
    """Groups of one channel each."""
    x = required(node, given, 0)
    if x.ndim < 3 or 0 in x.shape:
        raise fault(node, f"expected (N, C, ...) with at least one axis more and with elements, got {x.shape}")
    return _grouped(graph, node, x, x.shape[1], node.inputs[1:3])


def _group(graph: Graph, node: Node, given: Values) -> list[Node]:
    x, n_groups = required(node, given, 0), int(node.attribute("num_groups"))
    if x.ndim < 2 or 0 in x.shape or n_groups < 1 or x.shape[1] % n_groups:
        raise fault(node, f"expected (N, C, ...) with elements and C in {n_groups} equal groups, got {x.shape}")
    if node.opset >= 21 or n_groups == x.shape[1]:  # scale and bias of each channel, not each group
        return _grouped(graph, node, x, n_groups, node.inputs[1:3])
    made, each = Expansion(graph, node), x.shape[1] // n_groups
    wide = made.constant([n_groups, each], np.int64)
    of_channels = [made.reshape(made.add("Expand", made.reshape(one, -1, 1), wide), -1) for one in node.inputs[1:3]]
    return [*made.nodes, *_grouped(graph, node, x, n_groups, of_channels)]


def _grouped(graph: Graph, node: Node, x: Value, n_groups: int, of_channels: Any) -> list[Node]:
    """Rows to mean 0 and variance 1, then the scale and bias of each channel."""
    made = Expansion(graph, node)
    length, channels = x.size // (x.shape[0] * n_groups), x.shape[1]
    rows = made.reshape(node.inputs[0], x.shape[0] * n_groups, length)
    ones = made.constant(np.ones(length), x.dtype)
    normal = made.reshape(made.add("LayerNormalization", rows, ones, opset=17, epsilon=_epsilon(node)), *x.shape)
    moments = [made.constant(np.full(channels, one), x.dtype) for one in (0, 1)]
    made.add("BatchNormalization", normal, *of_channels, *moments, out=node.outputs[0], epsilon=0.0)
    return made.nodes


def _rows(node: Node, given: Values) -> list[Value]:
    x = required(node, given, 0)
    wanted = x.shape[_axis(node, x, -1) :]
    for place, one in enumerate(given[1:], start=1):
        if one is not None and one.shape != wanted:
            raise fault(node, f"expected input {place} of shape {wanted} for {x.shape}, got {one.shape}")
    return [Value(x.dtype, x.shape)]


def _layer_lower(node: Node, ctx: Context) -> None:
    keywords = {"axis": node.attribute("axis", -1), "epsilon": _epsilon(node)}
    ctx.call("layernorm", ctx.given(0), ctx.given(1), ctx.array(2), out=ctx.out(), **keywords)


def _root_lower(node: Node, ctx: Context) -> None:
    keywords = {"axis": node.attribute("axis", -1), "epsilon": _epsilon(node)}
    ctx.call("rmsnorm", ctx.given(0), ctx.given(1), out=ctx.out(), **keywords)


def _layer_expand(graph: Graph, node: Node, given: Values) -> list[Node]:
    """One output, and a scale and a bias of the rows' shape; what else is asked for becomes nodes of its own."""
    x, made = required(node, given, 0), Expansion(graph, node)
    if any(node.outputs[1:]):
        made.nodes += _moments(graph, node, x)
        return [*made.nodes, node.with_changes(outputs=node.outputs[:1])] if node.outputs[0] else made.nodes
    wanted = x.shape[_axis(node, x, -1) :]
    terms = [one for one in given[1:3] if one is not None]
    if all(one.shape == wanted for one in terms):
        return [node]
    names = [name for name in node.inputs[1:3] if name]
    if all(_reaches(one.shape, wanted) for one in terms):
        inner, whole = (1,) * len(wanted), made.constant(wanted, np.int64)
        shapes = [one.shape[max(one.ndim - len(wanted), 0) :] or inner for one in terms]
        cut = [made.reshape(name, *shape) for name, shape in zip(names, shapes, strict=True)]
        spread = [made.add("Expand", name, whole) for name in cut]
        return [*made.nodes, node.with_changes(inputs=(node.inputs[0], *spread))]
    result = graph.fresh(node.name)
    ones = made.constant(np.ones(wanted), x.dtype)
    made.nodes.append(node.with_changes(inputs=(node.inputs[0], ones), outputs=(result,)))
    for op, name, last in zip(("Mul", "Add"), names, range(len(names))[::-1], strict=False):
        result = made.add(op, result, name, out=None if last else node.outputs[0])
    return made.nodes


def _reaches(shape: tuple[int, ...], rows: tuple[int, ...]) -> bool:
    """Whether ``shape`` broadcasts to ``rows``, leading axes of length 1 aside."""
    spare = max(len(shape) - len(rows), 0)
    own = shape[spare:]
    fits = all(n in (1, m) for n, m in zip(own[::-1], rows[::-1], strict=False))
    return fits and math.prod(shape[:spare]) == 1


def _moments(graph: Graph, node: Node, x: Value) -> list[Node]:
    """Mean and 1 / deviation of each row, in fp32."""
    made, axes = Expansion(graph, node), list(range(_axis(node, x, -1), x.ndim))
    _, mean_out, deviation_out = (*node.outputs, "")[:3]
    source = node.inputs[0] if x.dtype == np.float32 else made.add("Cast", node.inputs[0], to=onnx.TensorProto.FLOAT)
    mean = made.add("ReduceMean", source, axes=axes, out=mean_out or None)
    if deviation_out:
        distance = made.add("Sub", source, mean)
        variance = made.add("ReduceMean", made.add("Mul", distance, distance), axes=axes)
        raised = made.add("Add", variance, made.constant(_epsilon(node), np.float32))
        made.add("Reciprocal", made.add("Sqrt", raised), out=deviation_out)
    return made.nodes


def _neighbours(graph: Graph, node: Node, given: Values) -> list[Node]:
    """LRN: squares of neighbouring channels are averaged as windows over the channels."""
    x, made, size = required(node, given, 0), Expansion(graph, node), int(node.attribute("size"))
    if x.ndim < 2 or size < 1:
        raise fault(node, f"expected (N, C, ...) and a size of at least 1, got {x.shape} and {size}")
    alpha, beta, bias = (float(node.attribute(*pair)) for pair in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    squares = made.reshape(made.add("Mul", node.inputs[0], node.inputs[0]), x.shape[0], 1, x.shape[1], -1)
    pads = [(size - 1) // 2, 0, size // 2, 0]
    mean = made.add("AveragePool", squares, kernel_shape=[size, 1], pads=pads, count_include_pad=1)
    mean = made.reshape(mean, *x.shape)
    scaled = made.add("Mul", mean, made.constant(alpha, x.dtype))
    raised = made.add("Add", scaled, made.constant(bias, x.dtype))
    divisor = made.add("Pow", raised, made.constant(beta, x.dtype))
    made.add("Div", node.inputs[0], divisor, out=node.outputs[0])
    return made.nodes


def _along(node: Node, given: Values) -> list[Value]:
    x = required(node, given, 0)
    _axis(node, x, -1)
    return [Value(x.dtype, x.shape)]


def _softmax_lower(node: Node, ctx: Context) -> None:
    ctx.call("softmax", ctx.given(0), axis=node.attribute("axis", -1), out=ctx.out())


def _log_softmax_lower(node: Node, ctx: Context) -> None:
    x, axis = ctx.given(0), node.attribute("axis", -1)
    total = ctx.call("reduce", x, function="log_sum_exp", axes=axis).out
    ctx.call("elementwise", x, total, function="sub", out=ctx.out())


def _coerced(graph: Graph, node: Node, given: Values) -> list[Node]:
    """Softmax as it was before version 13: over ``axis`` and all axes after it, together."""
    x, made = required(node, given, 0), Expansion(graph, node)
    axis = _axis(node, x, 1)
    if x.size == x.shape[axis] * math.prod(x.shape[:axis]):
        made.add(node.op, node.inputs[0], out=node.outputs[0], axis=axis)
        return made.nodes
    rows = made.reshape(node.inputs[0], math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
    made.reshape(made.add(node.op, rows, axis=1), *x.shape, out=node.outputs[0])
    return made.nodes


def _dropout(graph: Graph, node: Node, given: Values) -> list[Node]:
    """All of the input, and a mask that keeps all."""
    x, made = required(node, given, 0), Expansion(graph, node)
    if len(given) > 2 and given[2] is not None and bool(given[2].data):
        ratio = 0.5 if given[1] is None else given[1].data
        if ratio is None or float(ratio) != 0:
            raise fault(node, "it drops at random, as in training, which is not supported")
    if len(node.outputs) > 1 and node.outputs[1]:
        kind = np.dtype(np.bool_) if node.opset >= 10 else x.dtype
        graph.values[node.outputs[1]] = Value.of(np.ones(x.shape, kind))
    made.add("Identity", node.inputs[0], out=node.outputs[0])
    return made.nodes


HANDLERS = (
    Handler("BatchNormalization", 1, _batch, _batch_lower, expand=_batch_expand, in_place=(0,)),
    Handler("BatchNormalization", 1, _batch, _batch_lower, in_place=(0,), domain=FUSED),
    Handler("InstanceNormalization", 1, same_type, expand=_instance),
    Handler("GroupNormalization", 18, same_type, expand=_group),
    Handler("LayerNormalization", 17, _rows, _layer_lower, expand=_layer_expand, in_place=(0,)),
    Handler("RMSNormalization", 23, _rows, _root_lower, expand=_layer_expand, in_place=(0,)),
    Handler("LRN", 1, same_type, expand=_neighbours),
    Handler("Softmax", 13, _along, _softmax_lower, in_place=(0,)),
    Handler("Softmax", 1, _along, expand=_coerced),
    Handler("LogSoftmax", 13, _along, _log_softmax_lower, in_place=(0,)),
    Handler("LogSoftmax", 1, _along, expand=_coerced),
    Handler("Dropout", 1, same_type, needs=(2,), expand=_dropout),
)
