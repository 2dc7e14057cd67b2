"""What a model needs of a device's memory, known before anything is allocated or a device is opened."""

from __future__ import annotations

from dataclasses import dataclass

from rx580lab.graph.ir import Graph
from rx580lab.graph.memory import aligned, buffers, place, weight_bytes

__all__ = ["Footprint", "NamedBytes", "footprint"]


@dataclass(frozen=True)
class NamedBytes:
    """One array of a model; ``step`` is the node that makes it, or reads it if it is a constant."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    step: str

    def __str__(self) -> str:
        return f"{self.name!r} ({self.dtype} {self.shape}, {self.step}) of {self.nbytes:,} bytes"


@dataclass(frozen=True)
class Footprint:
    """Bytes that a graph needs, and the limits that it is held against.

    Attributes:
        weights_bytes: constants, as they are in the file. arena_bytes: inputs and what nodes compute, placed as a run
            places them; what ops need for themselves while they run comes on top and only a device knows it.
        n_blocks: allocations that the arena is made of. largest_weight, largest_value: None where there is none.
        too_large: arrays beyond ``allocation_bytes``, the largest first.
        memory_bytes, allocation_bytes: the limits in all and of one array; None for none.
        in_use_bytes: what others hold of ``memory_bytes``.
    """

    weights_bytes: int
    arena_bytes: int
    n_blocks: int
    largest_weight: NamedBytes | None
    largest_value: NamedBytes | None
    too_large: tuple[NamedBytes, ...]
    memory_bytes: int | None
    allocation_bytes: int | None
    in_use_bytes: int = 0

    @property
    def needed_bytes(self) -> int:
        """Weights and arena."""
        return self.weights_bytes + self.arena_bytes

    @property
    def over_bytes(self) -> int:
        """By how much it exceeds the memory; 0 if it does not."""
        return 0 if self.memory_bytes is None else max(self.needed_bytes + self.in_use_bytes - self.memory_bytes, 0)

    @property
    def fits(self) -> bool:
        """Whether both limits hold."""
        return not self.over_bytes and not self.too_large

    @property
    def refusal(self) -> str:
        """Why it cannot run, with figures and what to try; "" if it fits."""
        if self.too_large and self.allocation_bytes is not None:
            more = f" and {len(self.too_large) - 1} more" if len(self.too_large) > 1 else ""
            return (
                f"expected arrays of at most {self.allocation_bytes:,} bytes each, got {self.too_large[0]}{more};"
                f" {self._advice(self.too_large[0])}"
            )
        if self.over_bytes and self.memory_bytes is not None:
            largest = max(filter(None, (self.largest_weight, self.largest_value)), key=lambda one: one.nbytes)
            used = f", while {self.in_use_bytes:,} are in use" if self.in_use_bytes else ""
            return (
                f"expected a model within {self.memory_bytes:,} bytes of device memory{used}, got one that needs"
                f" {self.needed_bytes:,}: {self.weights_bytes:,} for weights and {self.arena_bytes:,} for what it"
                f" computes, {self.over_bytes:,} too many; the largest array is {largest}; {self._advice(largest)}"
            )
        return ""

    def _advice(self, largest: NamedBytes) -> str:
        if self.memory_bytes is not None and self.weights_bytes + self.in_use_bytes > self.memory_bytes:
            return "its weights alone are too many: free what else is on the device, or take a smaller model"
        if largest == self.largest_weight and self.arena_bytes < self.weights_bytes:
            return "most of it are weights: free what else is on the device, or take a smaller model"
        return "try a smaller batch or a smaller input"


def footprint(
    graph: Graph,
    *,
    memory_bytes: int | None = None,
    allocation_bytes: int | None = None,
    base_align_bytes: int | None = None,
    in_use_bytes: int = 0,
) -> Footprint:
    """Of a graph whose types are all known: by the very placement that ``lowering`` makes."""
    placement = place(buffers(graph), align=aligned(base_align_bytes), largest=allocation_bytes)
    makers = {name: str(node) for node in graph.nodes for name in node.outputs if name}
    readers = {name: str(node) for node in reversed(graph.nodes) for name in node.inputs if name}
    found = {True: dict[str, NamedBytes](), False: dict[str, NamedBytes]()}
    for name, value in graph.values.items():
        constant = value.data is not None
        if constant and name not in readers:
            continue
        step = readers[name] if constant else makers.get(name, "an input")
        found[constant][name] = NamedBytes(name, value.shape, str(value.dtype), value.nbytes, step)
    every = [*found[True].values(), *found[False].values()]
    beyond = [one for one in every if allocation_bytes is not None and one.nbytes > allocation_bytes]
    return Footprint(
        weight_bytes(graph),
        placement.nbytes,
        len(placement.blocks),
        max(found[True].values(), key=lambda one: one.nbytes, default=None),
        max(found[False].values(), key=lambda one: one.nbytes, default=None),
        tuple(sorted(beyond, key=lambda one: -one.nbytes)),
        memory_bytes,
        allocation_bytes,
        in_use_bytes,
    )
