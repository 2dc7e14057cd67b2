"""Activations that files write as several operators -> one Activation, which others can take over."""

from __future__ import annotations

import math
from typing import Any

from rx580lab.graph.ir import FUSED, Graph, Node
from rx580lab.graph.passes.pattern import Match, Product, Reader, close, rewrite

__all__ = ["run"]


def run(graph: Graph) -> None:
    """Rewrites ``graph`` in place."""
    rewrite(graph, _match)


def _match(reader: Reader, node: Node) -> Match | None:
    """An activation of one value whose last operator is ``node``."""
    if node.domain != "" or node.op not in ("Mul", "Div") or not reader.floats(node.outputs[0]):
        return None
    whole = reader.product(node.outputs[0])
    for gated in (_sigmoid, _hard, _gelu, _mish):
        found = gated(reader, whole)
        if found is not None:
            value, keywords, nodes = found
            if not reader.alike(value, node.outputs[0]):
                return None
            made = Node("Activation", FUSED, 1, node.name, (value,), node.outputs, keywords)
            return Match((*nodes, *whole.nodes), (made,))
    return None


# The value, the epilogue's keywords, and the nodes besides those of the product.
Found = tuple[str, dict[str, Any], tuple[Node, ...]]


def _gate(reader: Reader, whole: Product, *ops: str) -> tuple[str, Node] | None:
    """X and g's writer of a product x * g."""
    if len(whole.factors) != 2:
        return None
    for value, gate in (whole.factors, whole.factors[::-1]):
        node = reader.writer(gate, *ops)
        if node is not None and value != gate:
            return value, node
    return None


def _sigmoid(reader: Reader, whole: Product) -> Found | None:
    found = _gate(reader, whole, "Sigmoid")
    if found is None or not close(whole.scalar, 1.0):
        return None
    inner = reader.product(found[1].inputs[0], whole=found[1].inputs[0] != found[0])  # some multiply it by 1 before
    if inner.factors != (found[0],) or not close(inner.scalar, 1.0):
        return None
    return found[0], {"activation": "silu"}, (*inner.nodes, found[1])


def _mish(reader: Reader, whole: Product) -> Found | None:
    found = _gate(reader, whole, "Tanh")
    inner = None if found is None else reader.writer(found[1].inputs[0], "Softplus")
    if found is None or inner is None or not close(whole.scalar, 1.0) or inner.inputs[0] != found[0]:
        return None
    return found[0], {"activation": "mish"}, (inner, found[1])


def _hard(reader: Reader, whole: Product) -> Found | None:
    """X * HardSigmoid(x), x * clip(x + c, 0, m) / m, and the latter without x."""
    if len(whole.factors) == 1:
        node = reader.writer(whole.factors[0], "Clip")
        ramp = None if node is None else _ramp(reader, node, whole.scalar)
        return None if ramp is None else (ramp[0], {"activation": "hard_sigmoid", **ramp[1]}, ramp[2])
    found = _gate(reader, whole, "HardSigmoid", "Clip")
    if found is None:
        return None
    value, node = found
    if node.op == "HardSigmoid":
        if node.inputs[0] != value or not close(whole.scalar, 1.0):
            return None
        slope = {"alpha": node.attribute("alpha", 0.2), "beta": node.attribute("beta", 0.5)}
        return value, {"activation": "hard_swish", **slope}, (node,)
    ramp = _ramp(reader, node, whole.scalar)
    if ramp is None or ramp[0] != value:
        return None
    return value, {"activation": "hard_swish", **ramp[1]}, ramp[2]


def _ramp(reader: Reader, node: Node, scalar: float) -> Found | None:
    """Scalar * clip(x + c, 0, m) as clip(alpha * x + beta, 0, 1), which needs scalar * m = 1."""
    low, high = (reader.scalar(name) if name else None for name in (*node.inputs[1:], "", "")[:2])
    shifted = reader.writer(node.inputs[0], "Add")
    parts = None if shifted is None else reader.with_scalar(shifted)
    if low != 0 or high is None or high <= 0 or shifted is None or parts is None or not close(scalar * high, 1.0):
        return None
    value, shift = parts
    return value, {"alpha": 1 / high, "beta": shift / high}, (shifted, node)


def _gelu(reader: Reader, whole: Product) -> Found | None:
    """X * (1 + erf(x / sqrt 2)) / 2, and the form by tanh."""
    found = _gate(reader, whole, "Add") if close(whole.scalar, 0.5) else None
    parts = None if found is None else reader.with_scalar(found[1])
    if found is None or parts is None or not close(parts[1], 1.0):
        return None
    value, above = found
    bent = reader.writer(parts[0], "Erf", "Tanh")
    if bent is None:
        return None
    inner = reader.product(bent.inputs[0], whole=bent.inputs[0] != value)
    if bent.op == "Erf":
        if inner.factors != (value,) or not close(inner.scalar, math.sqrt(0.5)):
            return None
        return value, {"activation": "gelu"}, (*inner.nodes, bent, above)
    cubic = _cubic(reader, value, inner)
    return None if cubic is None else (value, {"activation": "gelu_tanh"}, (*inner.nodes, *cubic, bent, above))


def _cubic(reader: Reader, value: str, inner: Product) -> tuple[Node, ...] | None:
    """The nodes of x + 0.044715 x^3, or of 1 + 0.044715 x^2 where x is a factor besides; None for anything else."""
    if not close(inner.scalar, math.sqrt(2 / math.pi)):
        return None
    others = [name for name in inner.factors if name != value]
    added = reader.writer(others[0], "Add") if len(others) == 1 else None
    if added is None or len(inner.factors) > 2:
        return None
    for one, more in reader.operands(added):
        whole = one == value if len(inner.factors) == 1 else close(reader.scalar(one), 1.0)
        powers = reader.product(more)
        wanted = (value,) * (4 - len(inner.factors))
        if whole and powers.factors == wanted and close(powers.scalar, 0.044715):
            return (*powers.nodes, added)
    return None
