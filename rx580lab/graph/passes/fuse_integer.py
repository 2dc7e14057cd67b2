"""ConvInteger and MatMulInteger take over the int32 bias, the cast to fp32 and the scale that follow them.

So dynamically quantized models come: what is computed stays the same, bit for bit.
"""

from __future__ import annotations

import numpy as np

from rx580lab.graph.ir import FUSED, Graph, Node
from rx580lab.graph.passes.pattern import Match, Reader, rewrite

__all__ = ["run"]

# TensorProto's code of fp32.
FLOAT = 1


def run(graph: Graph) -> None:
    """Rewrites ``graph`` in place; it needs the types of values."""
    rewrite(graph, _scaled)


def _scaled(reader: Reader, last: Node) -> Match | None:
    if last.domain != "" or last.op != "Mul":
        return None
    for sums, scale in reader.operands(last):
        cast = reader.writer(sums, "Cast")
        if cast is None or cast.attribute("to") != FLOAT:
            continue
        found = _biased(reader, cast.inputs[0])
        if found is None:
            continue
        product, bias, nodes = found
        if not _serves(reader, product, scale, np.dtype(np.float32)):
            continue
        zeros = [product.inputs[k] if product.has_input(k) else "" for k in (2, 3)]
        made = product.with_changes(
            domain=FUSED,
            opset=1,
            inputs=(*product.inputs[:2], *zeros, bias, scale),
            outputs=last.outputs,
            attributes={"output": "float32"},
        )
        return Match((product, *nodes, cast, last), (made,))
    return None


def _biased(reader: Reader, name: str) -> tuple[Node, str, tuple[Node, ...]] | None:
    """The product whose sums a value is, the bias that was added or "", and the node that added it."""
    product = reader.writer(name, "ConvInteger", "MatMulInteger")
    if product is not None:
        return product, "", ()
    added = reader.writer(name, "Add")
    for sums, bias in () if added is None else reader.operands(added):
        product = reader.writer(sums, "ConvInteger", "MatMulInteger")
        if added is not None and product is not None and _serves(reader, product, bias, np.dtype(np.int32), whole=True):
            return product, bias, (added,)
    return None


def _serves(reader: Reader, product: Node, name: str, dtype: np.dtype[np.generic], *, whole: bool = False) -> bool:
    """Whether a value is one number for each filter or column, or (unless ``whole``) one number for all."""
    known, out = reader.graph.values.get(name), reader.graph.values[product.outputs[0]]
    if known is None or known.dtype != dtype or known.ndim > out.ndim:
        return False
    if known.size == 1 and not whole:
        return True
    axis = 1 if product.op == "ConvInteger" else out.ndim - 1
    place = axis - (out.ndim - known.ndim)
    return place >= 0 and known.shape[place] == known.size == out.shape[axis]
