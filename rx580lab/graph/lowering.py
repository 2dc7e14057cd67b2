"""A specialised graph -> launches with their arguments bound; where its arrays lie is chosen after that."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from rx580lab import ops
from rx580lab.compile import Launch
from rx580lab.device import Array, Device, Slot, scratch_from
from rx580lab.errors import BuildError, DeviceError, InputError, LimitExceeded, ModelError
from rx580lab.graph.handlers.registry import fault, find
from rx580lab.graph.ir import Graph, Node, Value
from rx580lab.graph.memory import Buffer, Placement, aligned, buffers, place
from rx580lab.graph.specialise import REFUSALS
from rx580lab.ops.plan import Cost

__all__ = ["Context", "Lowered", "Step", "Weights", "lower"]

Made = TypeVar("Made")
Key: TypeAlias = tuple[bytes, str]


class Weights:
    """Constants on the device, each uploaded once, and packed forms of them; plans of one model share them.

    Attributes:
        used: what was asked of ``made`` since it was last emptied.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._made: dict[Key, Any] = {}
        self.used: set[Key] = set()

    def array(self, data: npt.NDArray[Any]) -> Array:
        """``data`` on the device, for as long as a launch reads it there."""
        return self._device.constant(data)

    def made(self, data: npt.NDArray[Any], form: str, make: Callable[[], Made]) -> Made:
        """What ``make`` makes of ``data``, once for each ``form``.

        ``make`` may launch ops and upload ``data``: what it does not return is freed again.
        """
        whole = np.asarray(data, order="C")
        digest = hashlib.blake2b(whole.reshape(-1).view(np.uint8).data, digest_size=32)
        digest.update(f"{whole.dtype} {whole.shape}".encode())
        key = (digest.digest(), form)
        if key not in self._made:
            with scratch_from(None):
                self._made[key] = make()
        self.used.add(key)
        made: Made = self._made[key]
        return made

    def keep(self, keys: Collection[Key]) -> None:
        """Forgets all others."""
        self._made = {key: one for key, one in self._made.items() if key in keys}


@dataclass(frozen=True)
class Step:
    """One node's launches.

    Attributes:
        node: which one. launches: in order. ops: names of the ops they come from. cost: bytes and FLOP by the ops'
            own formulas.
    """

    node: Node
    launches: tuple[Launch, ...]
    ops: tuple[str, ...]
    cost: Cost

    @property
    def arrays(self) -> list[Array]:
        """What its launches read and write."""
        return [one for launch in self.launches for one in launch.arrays]


class Context:
    """What a handler's ``lower`` works with: the arrays of one node, and ``call`` to launch ops on them."""

    def __init__(self, device: Device, graph: Graph, weights: Weights, arrays: dict[str, Array]) -> None:
        self.device = device
        self.graph = graph
        self.weights = weights
        self._arrays = arrays
        self._node: Node | None = None
        self._launches: list[Launch] = []
        self._ops: list[str] = []
        self._cost = [0, 0]
        self._kept: list[Any] = []
        self._zeros: dict[Hashable, list[Array]] = {}
        self._zeros_taken: list[Array] = []
        self._scratch: list[tuple[int, Slot]] = []
        self._n_steps = 0

    @property
    def node(self) -> Node:
        """The node that is being lowered."""
        if self._node is None:
            raise InputError("lowering", "expected a node at work")
        return self._node

    def value(self, k: int) -> Value:
        """Type of input ``k``, and its data where known."""
        return self.graph.values[self.node.inputs[k]]

    def data(self, k: int) -> npt.NDArray[Any] | None:
        """Data of input ``k`` where known on the host; None else, or where it is not given."""
        return self.graph.data(self.node.inputs[k]) if self.node.has_input(k) else None

    def array(self, k: int) -> Array | None:
        """Input ``k`` on the device; None where it is not given."""
        if not self.node.has_input(k):
            return None
        name = self.node.inputs[k]
        known = self.graph.data(name)
        return self._arrays[name] if known is None else self.weights.array(known)

    def given(self, k: int) -> Array:
        """Input ``k`` on the device, which has to be given."""
        found = self.array(k)
        if found is None:
            raise fault(self.node, f"expected input {k}, got none")
        return found

    def out(self, k: int = 0) -> Array:
        """The array that output ``k`` goes to."""
        return self._arrays[self.node.outputs[k]]

    def out_value(self, k: int = 0) -> Value:
        """Type of output ``k``."""
        return self.graph.values[self.node.outputs[k]]

    def scratch(self, shape: Sequence[int], dtype: npt.DTypeLike = np.float32) -> Array:
        """Memory for a result between two ops of this node."""
        return self._memory(tuple(shape), np.dtype(dtype), None)

    def _memory(self, shape: tuple[int, ...], dtype: np.dtype[Any], keep: Hashable | None) -> Array:
        """For ``Device.scratch``: a place in the arena, for this step; or zeros that steps of one use share."""
        if keep is None:
            slot = Slot(Value(dtype, shape).nbytes)
            if slot.nbytes == 0:
                return self.device.empty(shape, dtype)
            self._scratch.append((self._n_steps, slot))
            return self.device.over(slot, shape, dtype)
        alike = self._zeros.setdefault((keep, shape, dtype.str), [])
        found = next((one for one in alike if all(one is not other for other in self._zeros_taken)), None)
        if found is None:
            found = self.device.zeros(shape, dtype)
            alike.append(found)
        self._zeros_taken.append(found)
        return found

    @property
    def workspace(self) -> list[tuple[Buffer, Slot]]:
        """What the steps so far need for themselves."""
        return [
            (Buffer(f"workspace {place} of step {step}", (), slot.nbytes, step, step), slot)
            for place, (step, slot) in enumerate(self._scratch)
        ]

    def call(self, op: str, *arrays: Any, out: Array | None = None, **keywords: Any) -> ops.Plan:
        """Plans ``op`` and takes its launches; ``out`` None makes an array of its own. Its results are in the plan."""
        spec = ops.spec(op)
        planned = spec.plan(self.device, *arrays, out=out, **keywords)
        cost = spec.cost(spec.shape(*arrays, **keywords))
        self._launches += planned.launches
        self._ops.append(op)
        self._cost[0] += cost.bytes
        self._cost[1] += cost.flop
        self._kept.append(planned)
        return planned

    def step(self, node: Node) -> Step:
        """Lowers one node."""
        self._node, self._launches, self._ops, self._cost, self._zeros_taken = node, [], [], [0, 0], []
        handler = find(node)
        if handler.lower is None:
            raise fault(node, "it is computed on the host only, and its inputs are known only while the model runs")
        if not handler.alias:
            with scratch_from(self._memory):
                handler.lower(node, self)
        self._n_steps += 1
        return Step(node, tuple(self._launches), tuple(self._ops), Cost(*self._cost))


@dataclass(frozen=True)
class Lowered:
    """Launches of a whole graph.

    Attributes:
        graph: what was lowered. steps: in order. inputs, outputs: the arrays to write and to read. placement: where
            values, and what steps need for themselves, lie in the arena. workspace_bytes: how much of that is for
            steps, beyond what values alone would take. held_bytes: of weights and tables that the launches read.
        used: what they use of ``Weights.made``. kept: plans, which hold memory of their own.
    """

    graph: Graph
    steps: tuple[Step, ...]
    inputs: dict[str, Array]
    outputs: dict[str, Array | npt.NDArray[Any]]
    placement: Placement
    workspace_bytes: int
    held_bytes: int
    used: frozenset[Key]
    kept: tuple[Any, ...]

    @property
    def launches(self) -> list[Launch]:
        """All of them, in order."""
        return [launch for step in self.steps for launch in step.launches]


def lower(graph: Graph, device: Device, weights: Weights) -> Lowered:
    """Binds the graph's launches, then places its values and what the steps need for themselves.

    ModelError, or the device's error, names the node; LimitExceeded also comes with figures where the arena has no
    room.
    """
    slots = {one.name: (one, Slot(one.nbytes)) for one in buffers(graph)}
    arrays = {name: _over(device, slot, graph.values[name]) for one, slot in slots.values() for name in one.values}
    weights.used = set()
    context = Context(device, graph, weights, arrays)
    steps = tuple(_step(context, node) for node in graph.nodes)
    held = {id(array.block): array.block.nbytes for step in steps for array in step.arrays if array.block is not None}
    placed = {**slots, **{one.name: (one, slot) for one, slot in context.workspace}}
    placement = _place(_by_launches(graph, steps, placed.values()), device)
    alone = _place([one for one, _slot in slots.values()], device)
    _fill(graph, device, placement, placed)
    for step in steps:
        for launch in step.launches:
            launch.settle()
    return Lowered(
        graph,
        steps,
        {name: arrays[name] for name in graph.inputs},
        {name: arrays[name] if name in arrays else _known(graph, name) for name in graph.outputs},
        placement,
        max(placement.nbytes - alone.nbytes, 0),
        sum(held.values()),
        frozenset(weights.used),
        tuple(context._kept),
    )


def _known(graph: Graph, name: str) -> npt.NDArray[Any]:
    data = graph.data(name)
    if data is None:
        raise ModelError(graph.file, f"output {name!r} is computed by no node")
    return data


def _over(device: Device, slot: Slot, value: Value) -> Array:
    if value.nbytes == 0:
        return device.empty(value.shape, value.dtype)
    return device.over(slot if slot.nbytes == value.nbytes else slot.part(0, value.nbytes), value.shape, value.dtype)


def _step(context: Context, node: Node) -> Step:
    file = context.graph.file
    try:
        return context.step(node)
    except ModelError as error:
        raise ModelError(f"{file}: {node}", error.message) from error
    except (InputError, DeviceError) as error:
        raise type(error)(f"{file}: {node}", f"[{error.where}] {error.message}") from error
    except BuildError as error:
        raise BuildError(f"{file}: {node}", f"[{error.where}] {error.message}") from error  # the log is in the message
    except REFUSALS as error:
        raise ModelError(f"{file}: {node}", f"its inputs or attributes contradict each other: {error}") from error


def _by_launches(graph: Graph, steps: Sequence[Step], placed: Iterable[tuple[Buffer, Slot]]) -> list[Buffer]:
    """The buffers with their first and last launch for steps: what a step's first launch reads for the last time may
    give way to what its second one writes.
    """
    launches = [launch for step in steps for launch in step.launches]
    spans: dict[int, tuple[int, int]] = {}
    for place_, launch in enumerate(launches):
        for key in {id(one.slot) for one in launch.arrays}:
            spans[key] = spans.get(key, (place_, place_))[0], place_
    found = []
    for one, slot in placed:
        first, last = spans.get(id(slot), (0, 0))
        is_input, is_output = (not {*names}.isdisjoint(one.values) for names in (graph.inputs, graph.outputs))
        found.append(
            replace(one, first=0 if is_input else first, last=len(launches) if is_input or is_output else last)
        )
    return found


def _place(wanted: Sequence[Buffer], device: Device) -> Placement:
    return place(wanted, align=aligned(device.base_align_bytes), largest=device.limits.allocation_bytes)


def _fill(graph: Graph, device: Device, placement: Placement, placed: dict[str, tuple[Buffer, Slot]]) -> None:
    """Allocates the arena and gives each buffer its place in it."""
    try:
        blocks = [device.empty(n, np.uint8) for n in placement.blocks]
    except LimitExceeded as error:
        raise LimitExceeded(
            graph.file,
            f"expected room for an arena of {placement.nbytes:,} bytes beside {device.bytes_in_use:,} in use:"
            f" {error.message}",
        ) from error
    for one, slot in placed.values():
        if one.nbytes == 0:
            continue
        block, offset = placement.at[one.name]
        slot.fill(blocks[block].view_from(offset, one.nbytes))
