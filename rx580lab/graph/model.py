"""A loaded model: what goes in and comes out, and plans that run it."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.device import Array, Device, Event, open_device
from rx580lab.errors import DtypeError, InputError, LimitExceeded, ShapeError
from rx580lab.formats.onnx_file import read_model
from rx580lab.graph.agreement import check_fixed, check_outputs, is_fixed
from rx580lab.graph.importer import TensorType, declared, import_graph
from rx580lab.graph.ir import Graph, Value
from rx580lab.graph.lowering import Lowered, Weights, lower
from rx580lab.graph.memory import buffers, place
from rx580lab.graph.passes import optimise, simplify
from rx580lab.graph.specialise import deciding_inputs, specialise

__all__ = ["Model", "ModelPlan", "TensorInfo", "load"]

# Plans that a model keeps for input shapes it has seen; each holds its own memory.
KEPT_PLANS = 4


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model: lengths are numbers, names of symbolic dimensions, or None where unknown."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...] | None


def load(path: str | os.PathLike[str], device: Device | str | None = None) -> Model:
    """The model of an ONNX file, ready to run on ``device``.

    Nothing is executed and nothing outside the file's folder is read. ``device``: a Device, a name for
    ``rx.open_device``, or None for the best one; it is opened when the model first runs.

    Raises ModelError for a file that is damaged, contradicts itself or holds what is not supported; it names the node.
    """
    file = read_model(Path(path))
    inputs, outputs = declared(file)
    return Model(Path(path), import_graph(file), inputs, outputs, device)


class Model:
    """A model; made by ``load``.

    Attributes:
        path: its file. inputs, outputs: name -> what goes in and comes out.
    """

    def __init__(
        self,
        path: Path,
        graph: Graph,
        inputs: Mapping[str, TensorType],
        outputs: Mapping[str, TensorType],
        device: Device | str | None,
    ) -> None:
        self.path = path
        self.inputs = {name: TensorInfo(name, one.dtype, one.shape) for name, one in inputs.items()}
        self.outputs = {name: TensorInfo(name, one.dtype, one.shape) for name, one in outputs.items()}
        self.graph = simplify(specialise(graph))
        self._deciding = deciding_inputs(self.graph)
        check_fixed(self.graph, self.inputs, self.outputs, self._deciding)
        self._asked = device
        self._device: Device | None = None
        self._weights: Weights | None = None
        self._plans: OrderedDict[Any, ModelPlan] = OrderedDict()

    @property
    def device(self) -> Device:
        """Where it runs; opened at the first use."""
        if self._device is None:
            self._device = self._asked if isinstance(self._asked, Device) else open_device(self._asked)
        return self._device

    def run(self, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[Any]]:
        """Outputs by name, for inputs by name. InputError, ShapeError or DtypeError for inputs that do not fit."""
        given = self._checked(inputs)
        return self._plan(given).run(given)

    def plan(self, inputs: Mapping[str, npt.ArrayLike | Sequence[int]]) -> ModelPlan:
        """The launches for inputs like these, bound once: an array, or its lengths where only these matter."""
        given = {
            name: np.zeros(value, self._info(name).dtype) if isinstance(value, tuple) else value
            for name, value in inputs.items()
        }
        return self._plan(self._checked(given))

    def specialised(self, inputs: Mapping[str, Value]) -> Graph:
        """The graph that would run for inputs of these types."""
        return optimise(specialise(self.graph, inputs), self.device.device_class)

    def _plan(self, given: Mapping[str, npt.NDArray[Any]]) -> ModelPlan:
        key = tuple((name, one.shape, one.tobytes() if name in self._deciding else None) for name, one in given.items())
        if key in self._plans:
            self._plans.move_to_end(key)
            return self._plans[key]
        while len(self._plans) >= KEPT_PLANS:
            self._plans.popitem(last=False)
        types = {
            name: Value(one.dtype, one.shape, one if name in self._deciding else None) for name, one in given.items()
        }
        graph = self.specialised(types)
        check_outputs(graph, self.outputs, shapes=is_fixed(self.inputs))
        self._plans[key] = made = self._lowered(graph)
        return made

    def _lowered(self, graph: Graph) -> ModelPlan:
        self._check_memory(graph)
        if self._weights is None:
            self._weights = Weights(self.device)
        try:
            return ModelPlan(lower(graph, self.device, self._weights))
        except LimitExceeded:
            if not self._plans:
                raise
        self._plans.clear()  # plans for other shapes give their memory up
        return ModelPlan(lower(graph, self.device, self._weights))

    def _check_memory(self, graph: Graph) -> None:
        limits = self.device.limits
        weights = sum(value.nbytes for value in graph.values.values() if value.data is not None)
        wanted = buffers(graph)
        needed = place(wanted, align=self.device.base_align_bytes, largest=limits.allocation_bytes).nbytes
        if limits.memory_bytes is not None and weights + needed > limits.memory_bytes:
            raise LimitExceeded(
                str(self.path),
                f"expected a model within {limits.memory_bytes:,} bytes of device memory, got one that needs"
                f" {weights + needed:,}: {weights:,} for weights and {needed:,} for what it computes",
            )

    def _info(self, name: str) -> TensorInfo:
        if name not in self.inputs:
            raise InputError(str(self.path), f"expected inputs {', '.join(self.inputs)}, got {name!r}")
        return self.inputs[name]

    def _checked(self, inputs: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
        missing = [name for name in self.inputs if name not in inputs]
        if missing:
            raise InputError(str(self.path), f"expected inputs {', '.join(self.inputs)}, got none for {missing[0]!r}")
        found: dict[str, npt.NDArray[Any]] = {}
        lengths: dict[str, tuple[int, str]] = {}
        for name, value in inputs.items():
            info, one = self._info(name), np.asarray(value)
            if one.dtype != info.dtype:
                raise DtypeError(str(self.path), f"expected input {name!r} of {info.dtype}, got {one.dtype}")
            self._check_shape(info, one.shape, lengths)
            found[name] = one
        return {name: found[name] for name in self.inputs}

    def _check_shape(self, info: TensorInfo, shape: tuple[int, ...], lengths: dict[str, tuple[int, str]]) -> None:
        if info.shape is None:
            return
        fits = len(shape) == len(info.shape)
        for wanted, got in zip(info.shape, shape, strict=False):
            if isinstance(wanted, str):
                first, where = lengths.setdefault(wanted, (got, info.name))
                if first != got:
                    raise ShapeError(
                        str(self.path),
                        f"expected {wanted!r} of {info.name!r} to be {first} as in {where!r}, got {got}",
                    )
            elif wanted is not None and wanted != got:
                fits = False
        if not fits:
            raise ShapeError(str(self.path), f"expected input {info.name!r} of shape {info.shape}, got {shape}")


class ModelPlan:
    """A model's launches for inputs of one shape, bound once; made by ``Model.plan``.

    ``inputs`` and ``outputs`` are arrays on the device (an output that no data decide is a numpy array). A run between
    them needs nothing of the host but ``enqueue``.
    """

    def __init__(self, lowered: Lowered) -> None:
        self._lowered = lowered
        self.graph = lowered.graph
        self.steps = lowered.steps
        self.inputs = lowered.inputs
        self.outputs = lowered.outputs
        self.launches = lowered.launches
        self.placement = lowered.placement
        self.arena_bytes = lowered.placement.nbytes
        self.held_bytes = lowered.held_bytes

    def enqueue(self) -> list[Event]:
        """Queues all launches; nothing waits."""
        return [launch.enqueue() for launch in self.launches]

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Uploads, runs, downloads."""
        for name, one in inputs.items():
            self.inputs[name].write(one)
        self.enqueue()
        return {name: one.download() if isinstance(one, Array) else np.array(one) for name, one in self.outputs.items()}
