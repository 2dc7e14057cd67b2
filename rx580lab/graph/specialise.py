"""Infers types, folds what is known and rewrites composite operators, in one walk over a graph's nodes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.errors import InputError, LabError, ModelError
from rx580lab.graph.handlers.registry import Handler, Values, fault, find, lookup
from rx580lab.graph.ir import Graph, Node, Value
from rx580lab.graph.schema import check_types

__all__ = ["FOLD_BYTES", "deciding_inputs", "refuse_unsupported", "specialise"]

# The largest result that is computed on the host, unless its inputs are larger; unit: bytes.
FOLD_BYTES = 64 << 20
# The most that all folded results of a graph may take together, beyond twice its constants; what is more runs on the
# device. A file of a few nodes must not keep the host busy.
FOLD_BYTES_IN_ALL = 256 << 20
# A larger result fits no device; below that, the device's memory decides.
LARGEST_RESULT_BYTES = 1 << 40
# Nodes that composite operators may become, beside those of the graph.
MOST_STEPS = 200_000
# What an operator's own numpy code raises on data that contradicts itself.
REFUSALS = (ValueError, TypeError, IndexError, KeyError, OverflowError, ArithmeticError, MemoryError)


def specialise(graph: Graph, types: Mapping[str, Value] | None = None) -> Graph:
    """A graph where all that follows from ``types`` (of the graph's inputs) and from constants is known.

    Without the type of an input, nodes that depend on it are kept as they are. Raises ModelError naming file and node.
    """
    made = graph.copy()
    made.values.update(types or {})
    constants = sum(one.nbytes for one in graph.values.values() if one.data is not None)
    budget = _Budget(FOLD_BYTES_IN_ALL + 2 * constants, len(graph.nodes) + MOST_STEPS)
    waiting = deque(graph.nodes)
    made.nodes = []
    while waiting:
        node = waiting.popleft()
        budget.steps -= 1
        if budget.steps < 0:
            raise ModelError(f"{graph.file}: {node}", f"it became more than {MOST_STEPS:,} nodes")
        try:
            more = _step(made, node, budget)
        except ModelError as error:
            if error.where.startswith("node "):
                raise ModelError(f"{graph.file}: {error.where}", error.message) from error
            raise
        waiting.extendleft(reversed(more))
    made.drop_unused()
    return made


def refuse_unsupported(file: str, nodes: Iterable[Node]) -> None:
    """ModelError that names every operator among ``nodes`` that is not supported: how often, and where first.

    Branches are left to ``specialise``, which meets those that are taken.
    """
    refusals: dict[str, list[Node]] = {}
    for node in nodes:
        try:
            find(node)
        except ModelError as error:
            refusals.setdefault(error.message, []).append(node)
    if not refusals:
        return
    first = next(iter(refusals.values()))[0]
    reasons = [
        f"{message}{f' ({len(some)} nodes)' if len(some) > 1 else ''}"
        + (f", first met at {some[0]}" if some[0] is not first else "")
        for message, some in refusals.items()
    ]
    raise ModelError(f"{file}: {first}", "; ".join(reasons))


@dataclass
class _Budget:
    """What is left: bytes of folded results, and steps."""

    bytes: int
    steps: int


def _step(graph: Graph, node: Node, budget: _Budget) -> list[Node]:
    """Folds the node, or keeps it; or the nodes to walk in its place."""
    handler = find(node)
    given = [graph.values.get(name) if name else None for name in node.inputs]
    if any(name and one is None for name, one in zip(node.inputs, given, strict=True)):
        graph.nodes.append(node)
        return []
    try:
        return _known(graph, node, handler, given, budget)
    except InputError as error:  # of the op that a handler asks for its lengths
        raise fault(node, error.message) from error
    except LabError:
        raise
    except REFUSALS as error:
        raise fault(node, f"its inputs or attributes contradict each other: {error}") from error


def _known(graph: Graph, node: Node, handler: Handler, given: Values, budget: _Budget) -> list[Node]:
    if node.as_read:
        check_types(node, given)
    for place in handler.needs:
        one = given[place] if place < len(given) else None
        if one is not None and one.data is None:
            what = "which branch runs" if node.op == "If" else "a shape"
            raise fault(
                node,
                f"input {place} ({node.inputs[place]!r}) decides {what}, and data decide it while the model runs;"
                " only what follows from shapes, constants and whole-number inputs is supported there",
            )
    if handler.expand is not None:
        made = handler.expand(graph, node, given)
        if made != [node]:
            return made
    found = handler.infer(node, given)
    largest = max((one.nbytes for one in found), default=0)
    if largest > LARGEST_RESULT_BYTES:
        raise fault(node, f"expected a result of at most {LARGEST_RESULT_BYTES:,} bytes, got {largest:,}")
    if all(value.data is not None for value in found):
        results: list[Any] = [value.data for value in found]
    elif handler.evaluate is not None and _foldable(given, found, budget):
        with np.errstate(all="ignore"):
            results = handler.evaluate(node, [None if one is None else one.data for one in given])
    else:
        graph.nodes.append(node)
        graph.values.update({name: one for name, one in zip(node.outputs, found, strict=False) if name})
        return []
    for name, result, value in zip(node.outputs, results, found, strict=False):
        if name:
            graph.values[name] = Value.of(_settled(node, result, value))
    return []


def _foldable(given: Values, found: list[Value], budget: _Budget) -> bool:
    if any(one is not None and one.data is None for one in given):
        return False
    read = sum(one.nbytes for one in given if one is not None)
    made = sum(one.nbytes for one in found)
    if made > max(FOLD_BYTES, read) or made > budget.bytes:
        return False
    budget.bytes -= made
    return True


def _settled(node: Node, result: Any, expected: Value) -> npt.NDArray[Any]:
    data = np.asarray(result)
    if data.shape != expected.shape or data.dtype != expected.dtype:
        raise fault(node, f"expected {expected.dtype} {expected.shape} when folded, got {data.dtype} {data.shape}")
    if data.ndim:
        data = np.ascontiguousarray(data)
    data.setflags(write=False)
    return data


def deciding_inputs(graph: Graph) -> tuple[str, ...]:
    """The graph's inputs whose data decide shapes or launches; a plan is made for these data."""
    needed: set[str] = set()
    _mark(graph, needed)
    return tuple(name for name in graph.inputs if name in needed)


def _mark(graph: Graph, needed: set[str]) -> None:
    """Adds what decides something in the graph, in any of its branches, or what is needed already."""
    for node in reversed(graph.nodes):
        for branch in node.attributes.values():
            if isinstance(branch, Graph):
                results = zip(branch.outputs, node.outputs, strict=False)
                needed.update(inner for inner, outer in results if outer in needed)
                _mark(branch, needed)
        if any(name in needed for name in node.outputs) and not _by_shape_alone(node):
            needed.update(name for name in node.inputs if name)
        handler = lookup(node)  # None in a branch that may never be taken
        if handler is not None:
            needed.update(node.inputs[place] for place in handler.needs if node.has_input(place))


def _by_shape_alone(node: Node) -> bool:
    return node.domain == "" and node.op in ("Shape", "Size")
