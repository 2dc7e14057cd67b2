"""A model's launches for inputs of one shape."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rx580lab.device import Array, Event
from rx580lab.errors import InputError
from rx580lab.graph.footprint import Footprint
from rx580lab.graph.inputs import Given
from rx580lab.graph.lowering import Lowered

if TYPE_CHECKING:
    from rx580lab.graph.model import Model
    from rx580lab.graph.summary import Summary

__all__ = ["ModelPlan"]


class ModelPlan:
    """A model's launches for inputs of one shape, bound once; made by ``Model.plan``.

    ``inputs`` and ``outputs`` are arrays on the device (an output that no data decide is a numpy array). A run between
    them needs nothing of the host but ``enqueue``, which may be repeated: inputs stay as they were written. Threads
    may share ``run``, which waits for others; whoever writes, enqueues and reads by hand has to see to that.

    Attributes:
        graph: what is executed. steps: its nodes with their launches; ``launches``: all of them, in order.
        placement: where values lie in the arena, of ``arena_bytes``; ``workspace_bytes`` of these are there for steps
            alone. held_bytes: of weights, packed weights and tables. footprint: what was known before it was made.
    """

    def __init__(self, model: Model, lowered: Lowered, footprint: Footprint) -> None:
        self.model = model
        self.footprint = footprint
        self.graph = lowered.graph
        self.steps = lowered.steps
        self.inputs = lowered.inputs
        self.outputs = lowered.outputs
        self.launches = lowered.launches
        self.placement = lowered.placement
        self.arena_bytes = lowered.placement.nbytes
        self.workspace_bytes = lowered.workspace_bytes
        self.held_bytes = lowered.held_bytes
        self.packed = lowered.used
        self._kept = lowered.kept
        self._lock = threading.Lock()

    def enqueue(self) -> list[Event]:
        """Queues all launches; nothing waits."""
        return [launch.enqueue() for launch in self.launches]

    def run(self, inputs: Mapping[str, Given], outputs: Iterable[str] | None = None) -> dict[str, npt.NDArray[Any]]:
        """Uploads, runs, downloads ``outputs`` (None: all). Inputs that are left out stay as they were."""
        wanted = tuple(self.outputs if outputs is None else outputs)
        for names, there in ((inputs, self.inputs), (wanted, self.outputs)):
            for name in names:
                if name not in there:
                    raise InputError(str(self.model.path), f"expected names among {', '.join(there)}, got {name!r}")
        with self._lock:
            for name, one in inputs.items():
                self.inputs[name].write(one)
            self.enqueue()
            return {name: self._read(self.outputs[name]) for name in wanted}

    def summary(self) -> Summary:
        """What it is made of: steps, launches, FLOP, memory."""
        from rx580lab.graph.summary import summary_of

        return summary_of(self.model, self)

    def __repr__(self) -> str:
        given = ", ".join(f"{name} {'x'.join(map(str, one.shape)) or 'scalar'}" for name, one in self.inputs.items())
        return (
            f"ModelPlan({self.model.path.name}: {given}; {len(self.launches)} launches in {len(self.steps)} steps,"
            f" {self.arena_bytes:,} bytes)"
        )

    def __str__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def _read(self, one: Array | npt.NDArray[Any]) -> npt.NDArray[Any]:
        return one.download() if isinstance(one, Array) else np.array(one)
