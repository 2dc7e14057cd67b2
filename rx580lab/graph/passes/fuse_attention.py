"""softmax(scale * Q K^T + mask) V, written as two MatMul around a Softmax -> one Attention, its scores never stored."""

from __future__ import annotations

from dataclasses import dataclass

from rx580lab.graph.ir import FUSED, Graph, Node, Value
from rx580lab.graph.passes.pattern import Match, Reader, rewrite
from rx580lab.ops.attention import MAX_HEAD

__all__ = ["run"]


def run(graph: Graph) -> None:
    """Rewrites ``graph`` in place."""
    rewrite(graph, _match)


@dataclass(frozen=True, eq=False)
class _Scores:
    """What goes into the softmax: a product's inputs, times ``scale``, plus a mask ("" for none)."""

    q: str
    k_turned: str
    scale: float
    mask: str
    nodes: tuple[Node, ...]


def _match(reader: Reader, node: Node) -> Match | None:
    """An attention whose last product is ``node``."""
    if node.domain != "" or node.op != "MatMul" or not reader.floats(node.outputs[0]):
        return None
    weights = reader.writer(node.inputs[0], "Softmax")
    scores = None if weights is None or not _over_keys(reader, weights) else _scores(reader, weights.inputs[0])
    if scores is None or weights is None:
        return None
    graph = reader.graph
    shapes = [graph.values[name].shape for name in (scores.q, scores.k_turned, node.inputs[1])]
    mask = () if not scores.mask else graph.values[scores.mask].shape
    if not _fits(shapes, mask):
        return None
    keys, turn = _keys(reader, node, scores.k_turned)
    inputs = (scores.q, keys, node.inputs[1], *([scores.mask] if scores.mask else []))
    made = Node("Attention", FUSED, 1, node.name, inputs, node.outputs, {"scale": scores.scale})
    return Match((*scores.nodes, weights, node), (*turn, made))


def _over_keys(reader: Reader, softmax: Node) -> bool:
    rank = reader.graph.values[softmax.inputs[0]].ndim
    axis = softmax.attribute("axis", 1 if softmax.opset < 13 else -1)
    return axis in (-1, rank - 1)


def _scores(reader: Reader, name: str) -> _Scores | None:
    added = reader.writer(name, "Add")
    if added is None:
        return _products(reader, name, "", ())
    for scores, mask in reader.operands(added):
        found = _products(reader, scores, mask, (added,))
        if found is not None and reader.alike(scores, name):
            return found
    return None


def _products(reader: Reader, name: str, mask: str, more: tuple[Node, ...]) -> _Scores | None:
    """Q K^T, a number beside the product or beside either factor; what others read as well is not taken apart."""
    whole = reader.product(name)
    product = reader.writer(whole.factors[0], "MatMul") if len(whole.factors) == 1 else None
    if product is None:
        return None
    sides, scale, nodes = [], whole.scalar, (product, *whole.nodes, *more)
    for side in product.inputs:
        part = reader.product(side, whole=False)
        if len(part.factors) != 1 or not reader.alike(part.factors[0], side):
            sides.append(side)
            continue
        sides.append(part.factors[0])
        scale, nodes = scale * part.scalar, (*part.nodes, *nodes)
    return _Scores(sides[0], sides[1], scale, mask, nodes)


def _fits(shapes: list[tuple[int, ...]], mask: tuple[int, ...]) -> bool:
    """Whether the op takes it: (B, H, T, D), or (H, T, D), with heads that share keys all or none, short heads."""
    q, k_turned, v = shapes
    if len({len(one) for one in shapes}) != 1 or len(q) not in (3, 4):
        return False
    (*batch, h, t, d), (*key_batch, g, _, s), (*value_batch, value_g, value_s, e) = q, k_turned, v
    if batch != key_batch or batch != value_batch or g not in (1, h) or value_g != g or value_s != s:
        return False
    wanted = (*batch, h, t, s)
    masked = len(mask) <= len(wanted) and all(n in (1, m) for n, m in zip(mask[::-1], wanted[::-1], strict=False))
    return masked and 0 < max(d, e) <= MAX_HEAD and min(*q, *v) > 0


def _keys(reader: Reader, node: Node, turned: str) -> tuple[str, tuple[Node, ...]]:
    """K of K^T: what was transposed, transposed otherwise, or not at all."""
    graph, before = reader.graph, reader.writer(turned, "Transpose")
    known = graph.values[turned]
    rank = known.ndim
    source, perm = turned, [*range(rank - 2), rank - 1, rank - 2]
    if before is not None:
        held = before.attribute("perm", list(range(rank))[::-1])
        source, perm = before.inputs[0], [held[place] for place in perm]
    if perm == list(range(rank)):
        return source, ()
    keys = graph.fresh(f"{node.name}/keys")
    graph.values[keys] = Value(known.dtype, (*known.shape[:-2], *known.shape[:-3:-1]))
    return keys, (Node("Transpose", "", 13, f"{node.name}/keys", (source,), (keys,), {"perm": perm}),)
