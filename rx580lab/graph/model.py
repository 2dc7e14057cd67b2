"""A loaded model: what goes in and comes out, and plans that run it."""

from __future__ import annotations

import math
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.device import Array, Device, open_device
from rx580lab.errors import InputError, LimitExceeded
from rx580lab.formats.onnx_file import read_model
from rx580lab.graph.agreement import check_fixed, check_outputs, is_fixed
from rx580lab.graph.footprint import Footprint, footprint
from rx580lab.graph.importer import TensorType, declared, import_graph
from rx580lab.graph.inputs import Given, Inputs, TensorInfo
from rx580lab.graph.ir import Graph, Value
from rx580lab.graph.lowering import Weights, lower
from rx580lab.graph.model_plan import ModelPlan
from rx580lab.graph.passes import optimise, simplify
from rx580lab.graph.specialise import deciding_inputs, refuse_unsupported, specialise
from rx580lab.graph.summary import Summary, summary_of
from rx580lab.ops.sizing import turn_limit

__all__ = ["Model", "ModelPlan", "TensorInfo", "load"]

# Plans that a model keeps for input shapes it has seen; each holds its own memory.
KEPT_PLANS = 4


def load(path: str | os.PathLike[str], device: Device | str | None = None, *, kept_plans: int = KEPT_PLANS) -> Model:
    """The model of an ONNX file, ready to run on ``device``.

    Nothing is executed and nothing outside the file's folder is read. ``device``: a Device, a name for
    ``rx.open_device``, or None for the best one; it is opened when the model first runs. ``kept_plans``: for how many
    shapes of inputs the launches are kept; each holds memory of its own, and making them takes longer than a run.

    Raises ModelError for a file that is damaged, contradicts itself or holds what is not supported; it names the node,
    and all operators that are not supported.
    """
    file = read_model(Path(path))
    inputs, outputs = declared(file)
    return Model(Path(path), import_graph(file), inputs, outputs, device, kept_plans)


class Model:
    """A model; made by ``load``. Threads may share it: its runs wait for each other.

    Attributes:
        path: its file. inputs, outputs: name -> what goes in and comes out.
        operators: how many nodes of each operator the file holds.
    """

    def __init__(
        self,
        path: Path,
        graph: Graph,
        inputs: Mapping[str, TensorType],
        outputs: Mapping[str, TensorType],
        device: Device | str | None,
        kept_plans: int = KEPT_PLANS,
    ) -> None:
        self.path = path
        self.inputs = {name: TensorInfo(name, one.dtype, one.shape) for name, one in inputs.items()}
        self.outputs = {name: TensorInfo(name, one.dtype, one.shape) for name, one in outputs.items()}
        self.operators = Counter(node.op for node in graph.nodes)
        refuse_unsupported(graph.file, graph.nodes)
        self.graph = simplify(specialise(graph))
        self._deciding = deciding_inputs(self.graph)
        check_fixed(self.graph, self.inputs, self.outputs, self._deciding)
        self._given = Inputs(str(path), self.inputs)
        self._asked = device
        self._kept_plans = max(kept_plans, 1)
        self._device: Device | None = None
        self._weights: Weights | None = None
        self._plans: OrderedDict[Any, ModelPlan] = OrderedDict()
        self._lock = threading.RLock()

    @property
    def device(self) -> Device:
        """Where it runs; opened at the first use."""
        with self._lock:
            if self._device is None:
                self._device = self._asked if isinstance(self._asked, Device) else open_device(self._asked)
            return self._device

    def run(
        self, inputs: Mapping[str, npt.ArrayLike | Array], outputs: Iterable[str] | None = None
    ) -> dict[str, npt.NDArray[Any]]:
        """Outputs by name, for inputs by name.

        An input may be an Array that is on the device already. ``outputs``: only those are read back; None for all.
        InputError, ShapeError or DtypeError for inputs that do not fit, since none is converted; LimitExceeded, with
        figures, where the model does not fit the device; another DeviceError where the device fails.
        """
        wanted = self._wanted(outputs)
        with self._lock:
            given = self._given.checked(inputs, self.device)
            return self._plan(given).run(given, wanted)

    def plan(self, inputs: Mapping[str, npt.ArrayLike | Array | tuple[int, ...]]) -> ModelPlan:
        """The launches for inputs like these, bound once: an array, or its lengths where only these matter."""
        given = {
            name: self._given.lengths(name, value) if isinstance(value, tuple) else value
            for name, value in inputs.items()
        }
        with self._lock:
            return self._plan(self._given.checked(given, self.device))

    def specialised(self, inputs: Mapping[str, Value], device_class: str | None = None) -> Graph:
        """The graph that would run for inputs of these types, on its device or another of that class."""
        if device_class is None:
            # What bounds the turns of loops cannot run the templates for processors, nor the layout that they read.
            bounded = turn_limit(self.device) < math.inf
            device_class = "gpu" if bounded else self.device.device_class
        return optimise(specialise(self.graph, inputs), device_class)

    def footprint(
        self,
        lengths: Mapping[str, tuple[int, ...]],
        *,
        memory_bytes: int | None = None,
        allocation_bytes: int | None = None,
        base_align_bytes: int | None = None,
        device_class: str = "gpu",
    ) -> Footprint:
        """What it needs of memory for inputs of these lengths, held against limits. No device is opened.

        ``device_class``: "gpu" or "cpu", for which arrays are laid out (``Device.device_class``).
        """
        given = self._given.checked({name: self._given.lengths(name, one) for name, one in lengths.items()}, None)
        return footprint(
            self.specialised(self._types(given), device_class),
            memory_bytes=memory_bytes,
            allocation_bytes=allocation_bytes,
            base_align_bytes=base_align_bytes,
        )

    @property
    def deciding(self) -> frozenset[str]:
        """Inputs whose data, not their shapes alone, decide shapes or launches."""
        return frozenset(self._deciding) & self.inputs.keys()

    def release(self) -> None:
        """Gives its memory on the device back; a later run takes it again."""
        with self._lock:
            self._keep_plans(0)
            self._weights = None

    def summary(self, inputs: Mapping[str, npt.ArrayLike | Array | tuple[int, ...]] | None = None) -> Summary:
        """What it is made of; with ``inputs``, as ``plan`` takes them, also launches, FLOP and memory on its device."""
        return summary_of(self) if inputs is None else self.plan(inputs).summary()

    def __repr__(self) -> str:
        given, made = (", ".join(map(str, some.values())) for some in (self.inputs, self.outputs))
        return f"Model({str(self.path)!r}: {given} -> {made})"

    def __str__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def _wanted(self, outputs: Iterable[str] | None) -> tuple[str, ...]:
        wanted = tuple(self.outputs if outputs is None else outputs)
        for name in wanted:
            if name not in self.outputs:
                raise InputError(str(self.path), f"expected outputs among {', '.join(self.outputs)}, got {name!r}")
        return wanted

    def _types(self, given: Mapping[str, Given]) -> dict[str, Value]:
        """Types by name; with their data where these decide shapes or launches."""
        return {
            name: Value(one.dtype, one.shape, np.asarray(one) if name in self._deciding else None)
            for name, one in given.items()
        }

    def _plan(self, given: Mapping[str, Given]) -> ModelPlan:
        types = self._types(given)
        key = tuple((name, one.shape, None if one.data is None else one.data.tobytes()) for name, one in types.items())
        if key in self._plans:
            self._plans.move_to_end(key)
            return self._plans[key]
        self._keep_plans(self._kept_plans - 1)
        graph = self.specialised(types)
        check_outputs(graph, self.outputs, shapes=is_fixed(self.inputs))
        try:
            made = self._lowered(graph)
        except LimitExceeded:
            if not self._plans:
                raise
            self._keep_plans(0)
            made = self._lowered(graph)
        self._plans[key] = made
        return made

    def _keep_plans(self, n: int) -> None:
        """Gives up the plans that were used longest ago, with the memory and the packed weights of theirs."""
        while len(self._plans) > n:
            self._plans.popitem(last=False)
        if self._weights is not None:
            self._weights.keep({key for plan in self._plans.values() for key in plan.packed})

    def _lowered(self, graph: Graph) -> ModelPlan:
        limits = self.device.limits
        needed = footprint(
            graph,
            memory_bytes=limits.memory_bytes,
            allocation_bytes=limits.allocation_bytes,
            base_align_bytes=self.device.base_align_bytes,
            in_use_bytes=self.device.bytes_in_use,
        )
        # Plans that are there may share their weights with this one: then only the device knows.
        if not needed.fits and not self._plans:
            raise LimitExceeded(str(self.path), needed.refusal)
        if self._weights is None:
            self._weights = Weights(self.device)
        try:
            return ModelPlan(self, lower(graph, self.device, self._weights), needed)
        except LimitExceeded:
            self._weights.keep({key for plan in self._plans.values() for key in plan.packed})
            raise
