"""Handlers by (domain, operator, version of the operator set)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy.typing as npt

from rx580lab.errors import ModelError
from rx580lab.graph.ir import Graph, Node, Value

if TYPE_CHECKING:
    from rx580lab.graph.lowering import Context

__all__ = ["GROUPS", "Handler", "Values", "fault", "find", "handlers", "lookup"]

# Modules of this package, each with a tuple HANDLERS.
GROUPS = (
    "matrix", "elementwise", "activation", "comparison", "variadic", "cast", "reduction", "shape", "constant",
    "movement", "indexing", "control", "window", "pool", "normalize", "resize", "fused", "pixel_major", "quantize",
    "integer", "recurrent",
)  # fmt: skip

Values: TypeAlias = Sequence[Value | None]
Infer: TypeAlias = Callable[[Node, Values], list[Value]]
Evaluate: TypeAlias = Callable[[Node, Sequence[Any]], list[npt.NDArray[Any]]]


@dataclass(frozen=True)
class Handler:
    """One operator from one version on, until the next version that has a handler.

    Attributes:
        op, domain, since: which operator, and the first version of the domain's operator set that it is right for.
        infer: (node, inputs) -> dtype and shape of each output; None for an input that is not given. An output may
            come with its data, where shapes alone decide it. It refuses with ``fault``.
        lower: binds the launches, by ``Context``; None for an operator that only the host computes, or that ``expand``
            replaces.
        evaluate: (node, inputs) -> outputs, by numpy, where all inputs are known.
        needs: inputs whose data decide shapes or launches, and so must be known on the host before anything runs.
        expand: (graph, node, inputs) -> nodes in its place, or the node itself to keep it. It runs as soon as the types
            of all inputs are known.
        alias: whether the first output is the first input under another shape, in the same memory.
        in_place: inputs whose memory the output may take over, if shape and dtype agree and nobody reads them later.
    """

    op: str
    since: int
    infer: Infer
    lower: Callable[[Node, Context], None] | None = None
    evaluate: Evaluate | None = None
    needs: tuple[int, ...] = ()
    expand: Callable[[Graph, Node, Values], list[Node]] | None = None
    alias: bool = False
    in_place: tuple[int, ...] = ()
    domain: str = ""


def fault(node: Node, message: str) -> ModelError:
    """The error for a node that is wrong; ``specialise`` puts the file before it."""
    return ModelError(str(node), message)


@cache
def _table() -> dict[tuple[str, str], list[Handler]]:
    found: dict[tuple[str, str], list[Handler]] = {}
    for handler in handlers():
        found.setdefault((handler.domain, handler.op), []).append(handler)
    return {key: sorted(some, key=lambda one: one.since) for key, some in found.items()}


def handlers() -> Iterator[Handler]:
    """All of them."""
    for group in GROUPS:
        yield from import_module(f"rx580lab.graph.handlers.{group}").HANDLERS


def lookup(node: Node) -> Handler | None:
    """The handler of that node; None for an operator, or a version of it, that is not supported."""
    able = [one for one in _table().get((node.domain, node.op), []) if one.since <= node.opset]
    return able[-1] if able else None


def find(node: Node) -> Handler:
    """The handler of that node; ModelError for an operator, or a version of it, that is not supported."""
    found = lookup(node)
    if found is not None:
        return found
    known = _table().get((node.domain, node.op), [])
    domain = node.domain or "ai.onnx"
    if known:
        raise fault(node, f"expected operator set {known[0].since} or later of {domain}, got {node.opset}")
    raise fault(node, f"operator {node.op} of {domain} is not supported")
