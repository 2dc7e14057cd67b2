"""Operators that join, cut, repeat and rearrange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.graph.handlers.elementwise import broadcast_shape, same_type
from rx580lab.graph.handlers.expansion import Expansion
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.handlers.shape import known, normalized, required, whole_numbers
from rx580lab.graph.ir import Graph, Node, Value
from rx580lab.graph.lowering import Context
from rx580lab.reference.pad import pad

__all__ = ["HANDLERS"]

PAD_MODES = ("constant", "edge", "reflect", "wrap")


def _values(node: Node, ctx: Context) -> list[Value | None]:
    return [ctx.value(k) if node.has_input(k) else None for k in range(len(node.inputs))]


def _types(given: Sequence[Any]) -> list[Value | None]:
    return [None if one is None else Value.of(one) for one in given]


def _axis(node: Node, rank: int, default: int = 0) -> int:
    return normalized(node, [node.attribute("axis", default)], rank)[0]


def _concat_axis(node: Node, rank: int) -> int:
    return _axis(node, rank, 1)  # a default that only version 1 has


def _concat(node: Node, given: Values) -> list[Value]:
    first, *others = present = [required(node, given, place) for place in range(len(given))]
    axis = _concat_axis(node, first.ndim)
    for one in others:
        alike = one.ndim == first.ndim and all(
            n == m or k == axis for k, (n, m) in enumerate(zip(one.shape, first.shape, strict=True))
        )
        if not alike or one.dtype != first.dtype:
            types = ", ".join(f"{one.dtype} {one.shape}" for one in present)
            raise fault(node, f"expected inputs of one type and of one shape but along axis {axis}, got {types}")
    total = sum(one.shape[axis] for one in present)
    return [Value(first.dtype, (*first.shape[:axis], total, *first.shape[axis + 1 :]))]


def _concat_lower(node: Node, ctx: Context) -> None:
    arrays = [ctx.given(k) for k in range(len(node.inputs))]
    ctx.call("concat", *arrays, axis=_concat_axis(node, arrays[0].ndim), out=ctx.out())


def _concat_evaluate(node: Node, given: Any) -> list[Any]:
    return [np.concatenate(given, _concat_axis(node, given[0].ndim))]


def _parts(node: Node, given: Values) -> tuple[int, list[int]]:
    """The axis, and how much of it each output gets."""
    x, n_outputs = required(node, given, 0), len(node.outputs)
    axis = _axis(node, x.ndim)
    length, asked = x.shape[axis], node.attribute("split")
    if len(given) > 1 and given[1] is not None:
        asked = whole_numbers(node, given, 1)
    if not asked:
        count = node.attribute("num_outputs", n_outputs)
        share = -(-length // max(count, 1))
        if count != n_outputs or (node.opset < 18 and share * count != length):
            raise fault(node, f"expected {n_outputs} equal parts of {length}, got {count}")
        asked = [max(min(share, length - k * share), 0) for k in range(count)]
    if len(asked) != n_outputs or min(asked) < 0 or sum(asked) != length:
        raise fault(node, f"expected {n_outputs} parts of {length} together, got {asked}")
    return axis, list(asked)


def _split(node: Node, given: Values) -> list[Value]:
    x = required(node, given, 0)
    axis, parts = _parts(node, given)
    return [Value(x.dtype, (*x.shape[:axis], n, *x.shape[axis + 1 :])) for n in parts]


def _split_lower(node: Node, ctx: Context) -> None:
    axis, parts = _parts(node, _values(node, ctx))
    start = 0
    for place, n in enumerate(parts):
        if node.outputs[place]:
            ctx.call("slice", ctx.given(0), starts=[start], ends=[start + n], axes=[axis], out=ctx.out(place))
        start += n


def _split_evaluate(node: Node, given: Any) -> list[Any]:
    axis, parts = _parts(node, _types(given))
    return np.split(given[0], np.cumsum(parts)[:-1], axis)


def _bounds(node: Node, given: Values) -> dict[str, list[int]]:
    """Starts, ends, axes and steps."""
    x = required(node, given, 0)
    starts, ends = whole_numbers(node, given, 1), whole_numbers(node, given, 2)
    axes, steps = list(range(len(starts))), [1] * len(starts)
    if len(given) > 3 and given[3] is not None:
        axes = whole_numbers(node, given, 3)
    if len(given) > 4 and given[4] is not None:
        steps = whole_numbers(node, given, 4)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise fault(
            node, f"expected as many ends, axes and steps but 0 as starts {starts}, got {ends}, {axes}, {steps}"
        )
    return {"starts": starts, "ends": ends, "axes": list(normalized(node, axes, x.ndim)), "steps": steps}


def _cuts(node: Node, given: Values) -> tuple[slice, ...]:
    """One of Python's slices for each axis; backwards, a start in front of the axis means its first element."""
    x, found = required(node, given, 0), _bounds(node, given)
    cuts = [slice(None)] * x.ndim
    for start, end, axis, step in zip(*(found[name] for name in ("starts", "ends", "axes", "steps")), strict=True):
        n = x.shape[axis]
        cuts[axis] = slice(max(start, -n) if step < 0 and n else start, end, step)
    return tuple(cuts)


def _slice(node: Node, given: Values) -> list[Value]:
    x = required(node, given, 0)
    lengths = (len(range(*cut.indices(n))) for cut, n in zip(_cuts(node, given), x.shape, strict=True))
    return [Value(x.dtype, tuple(lengths))]


def _slice_lower(node: Node, ctx: Context) -> None:
    ctx.call("slice", ctx.given(0), out=ctx.out(), **_bounds(node, _values(node, ctx)))


def _slice_evaluate(node: Node, given: Any) -> list[Any]:
    return [given[0][_cuts(node, _types(given))]]


def _slice_of_attributes(graph: Graph, node: Node, _given: Values) -> list[Node]:
    """Before version 10 the bounds are attributes."""
    made = Expansion(graph, node)
    lists = [node.attribute(name) for name in ("starts", "ends", "axes")]
    names = ["" if one is None else made.constant(one, np.int64) for one in lists]
    made.add("Slice", node.inputs[0], *names, out=node.outputs[0])
    return made.nodes


def _expand(node: Node, given: Values) -> list[Value]:
    x, asked = required(node, given, 0), whole_numbers(node, given, 1)
    if min(asked, default=0) < 0:
        raise fault(node, f"expected lengths of 0 or more, got {asked}")
    return [Value(x.dtype, broadcast_shape(node, [x, Value(x.dtype, tuple(asked))]))]


def _expand_lower(_node: Node, ctx: Context) -> None:
    ctx.call("expand", ctx.given(0), shape=ctx.out_value().shape, out=ctx.out())


def _expand_evaluate(node: Node, given: Any) -> list[Any]:
    return [np.broadcast_to(given[0], _expand(node, _types(given))[0].shape)]


def _tile(node: Node, given: Values) -> list[Value]:
    x, repeats = required(node, given, 0), whole_numbers(node, given, 1)
    if len(repeats) != x.ndim or min(repeats, default=0) < 0:
        raise fault(node, f"expected {x.ndim} repeats of 0 or more, got {repeats}")
    return [Value(x.dtype, tuple(n * many for n, many in zip(x.shape, repeats, strict=True)))]


def _tile_lower(node: Node, ctx: Context) -> None:
    ctx.call("tile", ctx.given(0), repeats=whole_numbers(node, _values(node, ctx), 1), out=ctx.out())


def _tile_evaluate(_node: Node, given: Any) -> list[Any]:
    return [np.tile(given[0], given[1])]


def _tile_along(graph: Graph, node: Node, given: Values) -> list[Node]:
    """Version 1: so many tiles along one axis."""
    x, axis = (
        required(node, given, 0),
        normalized(node, whole_numbers(node, given, 2)[:1], required(node, given, 0).ndim),
    )
    repeats = [1] * x.ndim
    repeats[axis[0]] = whole_numbers(node, given, 1)[0]
    made = Expansion(graph, node)
    made.add("Tile", node.inputs[0], made.constant(repeats, np.int64), out=node.outputs[0])
    return made.nodes


def _margins(node: Node, given: Values) -> dict[str, Any]:
    """The op's keywords."""
    x, pads = required(node, given, 0), whole_numbers(node, given, 1)
    value: Any = 0
    if len(given) > 2 and given[2] is not None:
        value = known(node, given, 2).reshape(-1)[:1].tolist()[0]
    axes = tuple(range(x.ndim))
    if len(given) > 3 and given[3] is not None:
        axes = normalized(node, whole_numbers(node, given, 3), x.ndim)
    mode = node.attribute("mode", "constant")
    if mode not in PAD_MODES or len(pads) != 2 * len(axes):
        raise fault(
            node, f"expected {2 * len(axes)} pads and a mode among {', '.join(PAD_MODES)}, got {pads}, {mode!r}"
        )
    return {"pads": tuple(pads), "axes": axes, "mode": mode, "constant_value": value}


def _pad(node: Node, given: Values) -> list[Value]:
    x, found = required(node, given, 0), _margins(node, given)
    lengths, pads = list(x.shape), found["pads"]
    for k, axis in enumerate(found["axes"]):
        front, behind = pads[k], pads[len(pads) // 2 + k]
        left = lengths[axis] + min(front, 0) + min(behind, 0)
        lengths[axis] += front + behind
        if left < 0 or (left == 0 and lengths[axis] > 0 and found["mode"] != "constant"):
            raise fault(node, f"expected pads that leave something of {x.shape}, got {list(pads)}")
    return [Value(x.dtype, tuple(lengths))]


def _pad_lower(node: Node, ctx: Context) -> None:
    ctx.call("pad", ctx.given(0), out=ctx.out(), **_margins(node, _values(node, ctx)))


def _pad_evaluate(node: Node, given: Any) -> list[Any]:
    return [pad(given[0], **_margins(node, _types(given)))]


def _pad_of_attributes(graph: Graph, node: Node, given: Values) -> list[Node]:
    """Before version 11 margins and value are attributes."""
    like, made = required(node, given, 0), Expansion(graph, node)
    pads = made.constant(node.attribute("pads", node.attribute("paddings", [])), np.int64)
    value = made.constant(node.attribute("value", 0.0), like.dtype)
    mode = node.attribute("mode", "constant")
    made.add("Pad", node.inputs[0], pads, value, out=node.outputs[0], mode=mode)
    return made.nodes


def _rearranged(graph: Graph, node: Node, given: Values) -> list[Node]:
    """Blocks of space from or to channels: one transposition between two shapes."""
    x, side = required(node, given, 0), node.attribute("blocksize", 1)
    to_space, blocks = node.op == "DepthToSpace", side * side
    if x.ndim != 4 or side < 1 or (x.shape[1] % blocks if to_space else x.shape[2] % side or x.shape[3] % side):
        raise fault(node, f"expected (N, C, H, W) that blocks of {side} divide, got {x.shape}")
    (n, c, h, w), made = x.shape, Expansion(graph, node)
    if to_space:
        few = c // blocks
        column_first = node.attribute("mode", "DCR") == "DCR"
        inner = (n, side, side, few, h, w) if column_first else (n, few, side, side, h, w)
        perm = [0, 3, 4, 1, 5, 2] if column_first else [0, 1, 4, 2, 5, 3]
        outer = (n, few, h * side, w * side)
    else:
        inner, perm = (n, c, h // side, side, w // side, side), [0, 3, 5, 1, 2, 4]
        outer = (n, c * blocks, h // side, w // side)
    turned = made.add("Transpose", made.reshape(node.inputs[0], *inner), perm=perm)
    made.reshape(turned, *outer, out=node.outputs[0])
    return made.nodes


def _triangle(graph: Graph, node: Node, given: Values) -> list[Node]:
    """A choice between x and 0 by a constant of the last two axes."""
    x = required(node, given, 0)
    k = int(known(node, given, 1).reshape(())) if len(given) > 1 and given[1] is not None else 0
    if x.ndim < 2:
        raise fault(node, f"expected matrices, got {x.shape}")
    rows, columns = np.arange(x.shape[-2])[:, None], np.arange(x.shape[-1])
    kept: npt.NDArray[np.bool_] = columns - rows >= k if node.attribute("upper", 1) else columns - rows <= k
    made = Expansion(graph, node)
    zero = made.constant(0, x.dtype)
    made.add("Where", made.constant(kept), node.inputs[0], zero, out=node.outputs[0], opset=16)
    return made.nodes


HANDLERS = (
    Handler("Concat", 1, _concat, _concat_lower, _concat_evaluate),
    Handler("Split", 1, _split, _split_lower, _split_evaluate, needs=(1,)),
    Handler("Slice", 1, same_type, expand=_slice_of_attributes),
    Handler("Slice", 10, _slice, _slice_lower, _slice_evaluate, needs=(1, 2, 3, 4)),
    Handler("Expand", 8, _expand, _expand_lower, _expand_evaluate, needs=(1,)),
    Handler("Tile", 1, same_type, expand=_tile_along, needs=(1, 2)),
    Handler("Tile", 6, _tile, _tile_lower, _tile_evaluate, needs=(1,)),
    Handler("Pad", 1, same_type, expand=_pad_of_attributes),
    Handler("Pad", 11, _pad, _pad_lower, _pad_evaluate, needs=(1, 2, 3)),
    Handler("DepthToSpace", 1, same_type, expand=_rearranged),
    Handler("SpaceToDepth", 1, same_type, expand=_rearranged),
    Handler("Trilu", 14, same_type, expand=_triangle, needs=(1,)),
)
