"""Where a plan's values lie: one arena, in which values that are not needed at the same time share memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rx580lab.graph.handlers.registry import find
from rx580lab.graph.ir import Graph, Node

__all__ = ["ALIGN_BYTES", "Buffer", "Placement", "aligned", "buffers", "place", "weight_bytes"]

# Least alignment of a value in the arena: what the strictest of today's drivers asks of a range of a buffer, so that
# a plan takes the same memory everywhere.
ALIGN_BYTES = 512

# How often ``place`` tries again with the buffer that lies highest put first, unless it is this near to the least that
# any placement takes.
ROUNDS, NEAR = 24, 1.02


@dataclass(frozen=True)
class Buffer:
    """Memory that one or several values of a graph use, under several shapes or one after another.

    Attributes:
        name: of the first value. values: all of them. nbytes: of the largest.
        first, last: the steps (nodes, counted from 0) from which to which it is needed.
    """

    name: str
    values: tuple[str, ...]
    nbytes: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        """Whether both are needed at the same time."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Placement:
    """Buffers in blocks of memory.

    Attributes:
        blocks: bytes of each block. at: buffer's name -> (block, offset in bytes). buffers: what was placed.
    """

    blocks: tuple[int, ...]
    at: Mapping[str, tuple[int, int]]
    buffers: tuple[Buffer, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes in all."""
        return sum(self.blocks)


def aligned(base_align_bytes: int | None) -> int:
    """The alignment of values on a device that asks for ``base_align_bytes``; None for any device."""
    return math.lcm(ALIGN_BYTES, base_align_bytes or 1)


def weight_bytes(graph: Graph) -> int:
    """Bytes of the constants that nodes read, each counted once however many names it has."""
    read = {name for node in graph.nodes for name in node.inputs if graph.data(name) is not None}
    return sum({id(graph.values[name].data): graph.values[name].nbytes for name in read}.values())


def buffers(graph: Graph) -> list[Buffer]:
    """What has to be placed: the graph's inputs and all that its nodes compute.

    Inputs stay to the end, so that a run may be repeated. The output of an operator that may work in place takes over
    the memory of an input that nobody reads later.
    """
    spans = _spans(graph)
    return [
        Buffer(name, tuple(some), max(graph.values[one].nbytes for one in some), *_span(spans, some))
        for name, some in _members(_roots(graph, spans)).items()
    ]


def _members(root: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, first in root.items():
        found.setdefault(first, []).append(name)
    return found


def _spans(graph: Graph) -> dict[str, tuple[int, int]]:
    """Value -> the first and last step that need it."""
    end = len(graph.nodes)
    found = dict.fromkeys(graph.inputs, (0, end))
    for step, node in enumerate(graph.nodes):
        for name in filter(None, node.inputs + node.outputs):
            first, last = found.get(name, (step, step))
            found[name] = first, max(last, step)
    found.update({name: (found[name][0], end) for name in graph.outputs if name in found})
    return found


def _span(spans: Mapping[str, tuple[int, int]], names: Sequence[str]) -> tuple[int, int]:
    return min(spans[name][0] for name in names), max(spans[name][1] for name in names)


def _roots(graph: Graph, spans: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """Value -> the first value whose memory it has."""
    root: dict[str, str] = {name: name for name in graph.inputs}
    for node in graph.nodes:
        alias = find(node).alias and node.inputs[0] in root
        root.update({name: root[node.inputs[0]] if alias else name for name in node.outputs if name})
    last = {name: _span(spans, some)[1] for name, some in _members(root).items()}
    taken: dict[str, str] = {}  # the memory of a value -> the memory that it takes over

    def memory(name: str) -> str:
        while name in taken:
            name = taken[name]
        return name

    for step, node in enumerate(graph.nodes):
        victim = _overwritten(graph, node, lambda name: memory(root[name]) if name in root else "")
        if victim and last[victim] == step:
            taken[node.outputs[0]] = victim
            last[victim] = last[node.outputs[0]]
    return {name: memory(first) for name, first in root.items()}


def _overwritten(graph: Graph, node: Node, memory: Callable[[str], str]) -> str:
    """The memory of an input that this node's output could take over, if nobody reads it later; "" for none."""
    handler = find(node)
    if handler.alias or not node.outputs[0] or len([name for name in node.outputs if name]) != 1:
        return ""
    out = graph.values[node.outputs[0]]
    for place in handler.in_place:
        found = memory(node.inputs[place]) if node.has_input(place) else ""
        # Whoever else reads this memory reads each element just before it is written: the very same array.
        sharing = [graph.values[name] for name in node.inputs if name and memory(name) == found]
        if found and all(one.shape == out.shape and one.dtype == out.dtype for one in sharing):
            return found
    return ""


def place(wanted: Sequence[Buffer], *, align: int, largest: int | None = None) -> Placement:
    """Offsets by which no two buffers that are needed at the same time overlap.

    Of several orders (the largest first, the longest needed first, the largest of the fullest step first), each buffer
    as low as it fits, the one that needs least. ``align``: of every offset. ``largest``: the most bytes of a block;
    None for no such limit. A buffer that is larger gets a block of its own, which the device will refuse.
    """
    filled = [one for one in wanted if one.nbytes]
    orders: tuple[Callable[[Buffer], tuple[int, ...]], ...] = (
        lambda one: (-one.nbytes, one.first),
        lambda one: (one.first - one.last, -one.nbytes),
        _by_fullest_step(filled),
    )
    found = [_placed(sorted(filled, key=order), align, largest) for order in orders]
    best = min(found, key=lambda one: one.nbytes)
    least = max(
        (sum(other.nbytes for other in filled if other.meets(replace(one, last=one.first))) for one in filled),
        default=0,
    )
    ordered = sorted(filled, key=orders[0])
    for _ in range(ROUNDS):
        if best.nbytes <= NEAR * least:
            break
        tried = _placed(ordered, align, largest)
        best = min(best, tried, key=lambda one: one.nbytes)
        top = _topmost(ordered, tried)
        ordered.sort(key=lambda one: one.name != top)
    return Placement(best.blocks, best.at, tuple(wanted))


def _topmost(wanted: Sequence[Buffer], placement: Placement) -> str:
    """The buffer that ends last in its block, of those in the largest block: whoever comes first lies lower."""
    return max(wanted, key=lambda one: placement.at[one.name][1] + one.nbytes).name


def _by_fullest_step(wanted: Sequence[Buffer]) -> Callable[[Buffer], tuple[int, ...]]:
    """Those that are needed when most memory is come first, the largest of them first."""
    loads = {
        step: sum(other.nbytes for other in wanted if other.first <= step <= other.last)
        for step in {one.first for one in wanted}
    }
    fullest = {one.name: max(load for step, load in loads.items() if one.first <= step <= one.last) for one in wanted}
    return lambda one: (-fullest[one.name], -one.nbytes, one.first)


def _placed(ordered: Sequence[Buffer], align: int, largest: int | None) -> Placement:
    blocks: list[list[tuple[Buffer, int]]] = []
    at: dict[str, tuple[int, int]] = {}
    for one in ordered:
        for block, placed in enumerate([*blocks, []]):
            offset = _lowest(one, placed, align)
            if largest is None or offset + one.nbytes <= largest or block == len(blocks):
                break
        if block == len(blocks):
            blocks.append([])
        blocks[block].append((one, offset))
        at[one.name] = (block, offset)
    sizes = tuple(max(offset + one.nbytes for one, offset in placed) for placed in blocks)
    return Placement(sizes, at)


def _lowest(one: Buffer, placed: Sequence[tuple[Buffer, int]], align: int) -> int:
    """The lowest offset at which ``one`` meets nothing that lives while it does."""
    offset = 0
    for other, start in sorted(placed, key=lambda pair: pair[1]):
        if not other.meets(one):
            continue
        if offset + one.nbytes <= start:
            break
        offset = max(offset, -(-(start + other.nbytes) // align) * align)
    return offset
