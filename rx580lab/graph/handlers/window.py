"""Convolution, forwards and transposed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rx580lab import ops
from rx580lab.graph.handlers.registry import Handler, Values, fault
from rx580lab.graph.handlers.shape import required
from rx580lab.graph.ir import FUSED, Node, Value
from rx580lab.graph.lowering import Context

__all__ = ["HANDLERS", "resolved_pads"]

SAME = ("SAME_UPPER", "SAME_LOWER")


def auto_pad(node: Node) -> str:
    """How padding is chosen; ``NOTSET`` where ``pads`` has it."""
    found: str = node.attribute("auto_pad", "NOTSET") or "NOTSET"
    if found not in ("NOTSET", "VALID", *SAME):
        raise fault(node, f"expected auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER, got {found!r}")
    return found


def resolved_pads(node: Node, lengths: Sequence[int], extents: Sequence[int], strides: Sequence[int]) -> list[int]:
    """All begins, then all ends, as ``auto_pad`` or ``pads`` has it; ``extents`` of the dilated window."""
    auto, rank = auto_pad(node), len(lengths)
    if auto == "NOTSET":
        return list(node.attribute("pads", [0] * (2 * rank)))
    if auto == "VALID":
        return [0] * (2 * rank)
    axes = zip(lengths, extents, strides, strict=True)
    totals = [max(0, (-(-n // step) - 1) * step + extent - n) for n, extent, step in axes]
    return _shared(totals, auto == "SAME_UPPER")


def _shared(totals: Sequence[int], more_at_end: bool) -> list[int]:
    """Padding on both sides of each axis, half and half."""
    small, large = [n // 2 for n in totals], [n - n // 2 for n in totals]
    return [*small, *large] if more_at_end else [*large, *small]


def _steps(node: Node, x: Value, w: Value) -> tuple[list[int], list[int], list[int]]:
    """Strides, dilations, and what the dilated kernel extends over, checked against the arrays' ranks."""
    rank = x.ndim - 2
    strides, dilations = (node.attribute(name, [1] * rank) for name in ("strides", "dilations"))
    if not 1 <= rank <= 3 or w.ndim != x.ndim or len(strides) != rank or len(dilations) != rank:
        raise fault(
            node,
            "expected x and w of one rank, 3 to 5, and strides and dilations for all axes after the second, got"
            f" {x.shape}, {w.shape}, {strides}, {dilations}",
        )
    if min(*strides, *dilations) < 1:
        raise fault(node, f"expected strides and dilations of at least 1, got {strides} and {dilations}")
    asked = node.attribute("kernel_shape", list(w.shape[2:]))
    if tuple(asked) != w.shape[2:]:
        raise fault(node, f"expected kernel_shape {list(w.shape[2:])} as w {w.shape} has it, got {asked}")
    return strides, dilations, [(n - 1) * step + 1 for n, step in zip(w.shape[2:], dilations, strict=True)]


def conv_window(node: Node, x: Value, w: Value) -> dict[str, Any]:
    """The keywords of ``ops.conv`` that say how the kernel moves."""
    strides, dilations, extents = _steps(node, x, w)
    pads = resolved_pads(node, x.shape[2:], extents, strides)
    return {"strides": strides, "dilations": dilations, "pads": pads, "group": node.attribute("group", 1)}


def transposed_window(node: Node, x: Value, w: Value) -> dict[str, Any]:
    """The keywords of ``ops.conv_transpose``, those that follow from ``output_shape`` and ``auto_pad`` included."""
    strides, dilations, extents = _steps(node, x, w)
    rank, auto = len(strides), auto_pad(node)
    extra = list(node.attribute("output_padding", [0] * rank))
    asked = node.attribute("output_shape") or [n * step for n, step in zip(x.shape[2:], strides, strict=True)]
    if len(extra) != rank or len(asked) not in (rank, rank + 2):
        raise fault(node, f"expected output_padding and output_shape for {rank} axes, got {extra} and {asked}")
    if node.attribute("output_shape") or auto in SAME:
        whole = [step * (n - 1) + extent for n, step, extent in zip(x.shape[2:], strides, extents, strict=True)]
        spare = [n + more - wanted for n, more, wanted in zip(whole, extra, asked[-rank:], strict=True)]
        # Up to version 10, ONNX's text has the odd one of an explicit shape on the other side.
        more_at_end = (auto == "SAME_UPPER") == (node.opset >= 11 or not node.attribute("output_shape"))
        pads = _shared([max(n, 0) for n in spare], more_at_end)
        # Where the shape asks for more than there is, the rest is at the end, of bias alone.
        extra = [more + max(-n, 0) for more, n in zip(extra, spare, strict=True)]
    else:
        pads = list(node.attribute("pads", [0] * (2 * rank))) if auto == "NOTSET" else [0] * (2 * rank)
    keywords = {"strides": strides, "dilations": dilations, "pads": pads, "group": node.attribute("group", 1)}
    return {**keywords, "output_padding": extra}


def _infer(op: str, window: Any) -> Any:
    def infer(node: Node, given: Values) -> list[Value]:
        x, w = required(node, given, 0), required(node, given, 1)
        letters = ops.spec(op).shape(x, w, **window(node, x, w))
        bias = given[2] if len(given) > 2 else None
        if bias is not None and bias.shape != (letters["K"],):
            raise fault(node, f"expected a bias of shape ({letters['K']},), got {bias.shape}")
        lengths = [letters[name] for name in ("OD", "OH", "OW")]
        return [Value(x.dtype, (x.shape[0], letters["K"], *lengths[5 - x.ndim :]))]

    return infer


def ending(node: Node) -> dict[str, Any]:
    """The keywords of the activation that a fused node ends with."""
    return {key: node.attribute(key) for key in ("activation", "alpha", "beta") if node.attribute(key) is not None}


def _conv_lower(node: Node, ctx: Context) -> None:
    keywords = conv_window(node, ctx.value(0), ctx.value(1)) | ending(node)
    ctx.call("conv", ctx.given(0), ctx.given(1), ctx.array(2), ctx.array(3), out=ctx.out(), **keywords)


def _transposed_lower(node: Node, ctx: Context) -> None:
    keywords = transposed_window(node, ctx.value(0), ctx.value(1)) | ending(node)
    ctx.call("conv_transpose", ctx.given(0), ctx.given(1), ctx.array(2), ctx.array(3), out=ctx.out(), **keywords)


_conv = _infer("conv", conv_window)
_transposed = _infer("conv_transpose", transposed_window)

HANDLERS = (
    Handler("Conv", 1, _conv, _conv_lower),
    Handler("Conv", 1, _conv, _conv_lower, domain=FUSED),
    Handler("ConvTranspose", 1, _transposed, _transposed_lower),
    Handler("ConvTranspose", 1, _transposed, _transposed_lower, domain=FUSED),
)
