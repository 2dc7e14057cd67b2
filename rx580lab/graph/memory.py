"""Where a plan's values lie: one arena, in which values that are not needed at the same time share memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rx580lab.graph.handlers.registry import find
from rx580lab.graph.ir import Graph

__all__ = ["Buffer", "Placement", "buffers", "place"]


@dataclass(frozen=True)
class Buffer:
    """Memory that one or several values of a graph use, under several shapes or one after another.

    Attributes:
        name: of the first value. values: all of them. nbytes: of the largest.
        first, last: the steps (nodes, counted from 0) from which to which it is needed.
        keep: whether its contents outlive a run (zeros around an image), so that only its own kind may share it.
    """

    name: str
    values: tuple[str, ...]
    nbytes: int
    first: int
    last: int
    keep: str | None = None


@dataclass(frozen=True)
class Placement:
    """Buffers in blocks of memory.

    Attributes:
        blocks: bytes of each block. at: buffer's name -> (block, offset in bytes).
    """

    blocks: tuple[int, ...]
    at: dict[str, tuple[int, int]]

    @property
    def nbytes(self) -> int:
        """Bytes in all."""
        return sum(self.blocks)


def buffers(graph: Graph) -> list[Buffer]:
    """What has to be placed: the graph's inputs and all that its nodes compute."""
    root: dict[str, str] = {name: name for name in graph.inputs}
    spans: dict[str, list[int]] = {name: [0, 0] for name in graph.inputs}
    for step, node in enumerate(graph.nodes):
        for name in filter(None, node.inputs):
            if name in root:
                spans[root[name]][1] = step
        alias = find(node).alias and node.inputs[0] in root
        for name in filter(None, node.outputs):
            root[name] = root[node.inputs[0]] if alias else name
            if not alias:
                spans[name] = [step, step]
    for name in graph.outputs:
        if name in root:
            spans[root[name]][1] = len(graph.nodes)
    members: dict[str, list[str]] = {}
    for name, first in root.items():
        members.setdefault(first, []).append(name)
    return [
        Buffer(name, tuple(some), max(graph.values[one].nbytes for one in some), spans[name][0], spans[name][1])
        for name, some in members.items()
    ]


def place(wanted: Sequence[Buffer], *, align: int, largest: int | None = None) -> Placement:
    """Offsets by which no two buffers that are needed at the same time overlap.

    The largest come first, each as low as it fits. ``align``: of every offset. ``largest``: the most bytes of a block;
    None for no such limit. A buffer that is larger gets a block of its own, which the device will refuse.
    """
    blocks: list[list[tuple[Buffer, int]]] = []
    at: dict[str, tuple[int, int]] = {}
    for one in sorted(wanted, key=lambda buffer: (-buffer.nbytes, buffer.first)):
        if one.nbytes == 0:
            continue
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
        if other.last < one.first or one.last < other.first:
            continue
        if offset + one.nbytes <= start:
            break
        offset = max(offset, -(-(start + other.nbytes) // align) * align)
    return offset
