"""A specialised graph -> launches with their arguments bound, over arrays that are already in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from rx580lab import ops
from rx580lab.compile import Launch
from rx580lab.device import Array, Device
from rx580lab.errors import DeviceError, InputError, ModelError
from rx580lab.graph.handlers.registry import fault, find
from rx580lab.graph.ir import Graph, Node, Value
from rx580lab.graph.memory import Placement, buffers, place
from rx580lab.ops.plan import Cost

__all__ = ["Context", "Lowered", "Step", "Weights", "lower"]

Made = TypeVar("Made")
Key: TypeAlias = tuple[int, str]


class Weights:
    """Constants on the device, each uploaded once, and packed forms of them; plans of one model share them."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._made: dict[Key, tuple[npt.NDArray[Any], Any]] = {}

    def array(self, data: npt.NDArray[Any]) -> Array:
        """``data`` on the device."""
        return self.made(data, "array", lambda: self._device.upload(data))

    def made(self, data: npt.NDArray[Any], form: str, make: Callable[[], Made]) -> Made:
        """What ``make`` makes of ``data``, once for each ``form``."""
        key = (id(data), form)
        if key not in self._made:
            self._made[key] = (data, make())  # holds on to data, so that its id stays its own
        made: Made = self._made[key][1]
        return made


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
        return self.device.empty(tuple(shape), dtype)

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
        self._node, self._launches, self._ops, self._cost = node, [], [], [0, 0]
        handler = find(node)
        if handler.lower is None:
            raise fault(node, "it is computed on the host only, and its inputs are known only while the model runs")
        if not handler.alias:
            handler.lower(node, self)
        return Step(node, tuple(self._launches), tuple(self._ops), Cost(*self._cost))


@dataclass(frozen=True)
class Lowered:
    """Launches of a whole graph.

    Attributes:
        graph: what was lowered. steps: in order. inputs, outputs: the arrays to write and to read. placement: where
            values lie in the arena. kept: plans, which hold memory of their own.
    """

    graph: Graph
    steps: tuple[Step, ...]
    inputs: dict[str, Array]
    outputs: dict[str, Array | npt.NDArray[Any]]
    placement: Placement
    kept: tuple[Any, ...]

    @property
    def launches(self) -> list[Launch]:
        """All of them, in order."""
        return [launch for step in self.steps for launch in step.launches]


def lower(graph: Graph, device: Device, weights: Weights) -> Lowered:
    """Places the graph's values and binds its launches. ModelError, or the device's error, names the node."""
    wanted = buffers(graph)
    placement = place(wanted, align=device.base_align_bytes, largest=device.limits.allocation_bytes)
    blocks = [device.empty(n, np.uint8) for n in placement.blocks]
    arrays: dict[str, Array] = {}
    for one in wanted:
        for name in one.values:
            arrays[name] = _viewed(device, blocks, placement, one.name, graph.values[name])
    context = Context(device, graph, weights, arrays)
    steps = []
    for node in graph.nodes:
        try:
            steps.append(context.step(node))
        except ModelError as error:
            raise ModelError(f"{graph.file}: {node}", error.message) from error
        except (InputError, DeviceError) as error:
            raise type(error)(f"{graph.file}: {node}", f"[{error.where}] {error.message}") from error
    outputs: dict[str, Array | npt.NDArray[Any]] = {}
    for name in graph.outputs:
        known = graph.data(name)
        outputs[name] = arrays[name] if known is None else known
    return Lowered(
        graph,
        tuple(steps),
        {name: arrays[name] for name in graph.inputs},
        outputs,
        placement,
        tuple(context._kept),
    )


def _viewed(device: Device, blocks: list[Array], placement: Placement, buffer: str, value: Value) -> Array:
    if value.nbytes == 0:
        return device.empty(value.shape, value.dtype)
    block, offset = placement.at[buffer]
    return blocks[block].view_from(offset, value.nbytes).viewed_as(value.dtype, value.shape)
