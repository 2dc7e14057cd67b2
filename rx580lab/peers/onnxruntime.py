"""ONNX Runtime on the processor: a model of the one op, built in memory, with every optimisation that it has.

Weights and biases are constants of the model, as a model's file has them, so its weights are packed before the race.
Threads: OMP_NUM_THREADS where it is set, else as many as the process may run on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.device import Device
from rx580lab.errors import PeerUnavailable, ShapeError
from rx580lab.measure import Contestant
from rx580lab.peers.entrant import NONE, Entrant, Inputs, Keywords, checked_matrices, in_a_row
from rx580lab.reference import poison

__all__ = ["OPS", "Model", "conv_chain", "entrant", "model", "unavailable", "unoptimised"]

AnyArray = npt.NDArray[Any]
# What its own builds understand for years; the onnx package would write its newest.
IR_VERSION, OPSET = 10, 21
# Attributes of a convolution as ONNX names them; ours have the same names.
_LENGTHS = ("strides", "dilations", "pads", "output_padding")
_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softplus": "Softplus", "hard_swish": "HardSwish"}


@dataclass
class Model:
    """A graph of one output, ``y``, as it is put together.

    Attributes:
        inputs: name -> array that each run is given. constants: name -> array that the model holds.
        nodes: as ``onnx.helper.make_node`` makes them. shape, dtype: of the output.
        spinning: whether its threads wait busily for the next piece of work.
        arranged: from the output as the model has it to a copy as our op has it.
    """

    shape: tuple[int, ...]
    dtype: npt.DTypeLike
    inputs: dict[str, AnyArray] = field(default_factory=dict)
    constants: dict[str, AnyArray] = field(default_factory=dict)
    nodes: list[Any] = field(default_factory=list)
    spinning: bool = True
    arranged: Callable[[AnyArray], AnyArray] = np.copy

    def add(
        self,
        operator: str,
        names: Sequence[str],
        output: str,
        domain: str = "",
        unused: Sequence[str] = (),
        **attributes: Any,
    ) -> None:
        """One node; an absent optional input is an empty name, ``unused`` names outputs that nobody reads."""
        make = import_module("onnx.helper").make_node
        self.nodes.append(make(operator, list(names), [output, *unused], domain=domain, **attributes))

    def serialized(self) -> bytes:
        """The model as a file would hold it."""
        helper, to_tensor = import_module("onnx.helper"), import_module("onnx.numpy_helper").from_array

        def declared(name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
            return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)

        graph = helper.make_graph(
            self.nodes,
            "graph",
            [declared(name, array.shape, array.dtype) for name, array in self.inputs.items()],
            [declared("y", self.shape, self.dtype)],
            [to_tensor(array, name) for name, array in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
        made: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString()
        return made


def unavailable(_device: Device) -> str | None:
    """None where it is installed; it runs on the host, whatever the device."""
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    return f"needs {' and '.join(missing)}: pip install 'rx580lab[peers]'" if missing else None


def entrant(device: Device, op: str, inputs: Inputs, keywords: Keywords = NONE) -> Entrant:
    """A session that computes ``op`` on copies of ``inputs`` into one output array."""
    _check(device, op)
    return _ready(_MODELS[op](inputs, dict(keywords)))


def conv_chain(device: Device, x: AnyArray, layers: Sequence[tuple[Inputs, Keywords]]) -> Entrant:
    """Convolutions in a row as one model: each layer is its (weights, bias) and the keywords of ``ops.conv``."""
    _check(device, "conv")
    model = Model((), x.dtype, inputs={"x": x})
    source = "x"
    for place, ((w, bias), keywords) in enumerate(layers):
        target = "y" if place == len(layers) - 1 else f"x{place + 1}"
        names = _held(model, {f"w{place}": w, f"bias{place}": bias})
        model.add("Conv", [source, *names], target, **_attributes(keywords))
        source = target
    model.shape = _inferred(model)
    return _ready(model)


def _check(device: Device, op: str) -> None:
    reason = unavailable(device)
    if reason is not None:
        raise PeerUnavailable("onnxruntime", reason)
    if op not in OPS:
        raise PeerUnavailable("onnxruntime", f"expected an op among {', '.join(OPS)}, got {op!r}")


def _conv(operator: str) -> Callable[[Inputs, dict[str, Any]], Model]:
    """``operator`` is Conv or ConvTranspose: x, w, bias, residual, then what follows them."""

    def model(inputs: Inputs, keywords: dict[str, Any]) -> Model:
        x, w, bias, residual = (*inputs, None, None)[:4]
        if x is None or w is None or x.size == 0 or w.size == 0:
            raise ShapeError("onnxruntime", "expected x and w with elements")
        activation = keywords.pop("activation", None)
        if activation is not None and activation not in _ACTIVATIONS:
            raise PeerUnavailable("onnxruntime", f"it is not set up for activation {activation!r}")
        found = Model((), x.dtype, inputs={"x": x})
        names = _held(found, {"w": w, "bias": bias})
        steps = [(operator, ["x", *names], _attributes(keywords))]
        if residual is not None:
            found.inputs["residual"] = residual
            steps.append(("Add", ["", "residual"], {}))
        if activation is not None:
            steps.append((_ACTIVATIONS[activation], [""], {}))
        for place, (name, taken, attributes) in enumerate(steps):
            output = "y" if place == len(steps) - 1 else f"v{place}"
            found.add(name, [one or f"v{place - 1}" for one in taken], output, **attributes)
        found.shape = _inferred(found)
        return found

    return model


def _attributes(keywords: Mapping[str, Any]) -> dict[str, Any]:
    foreign = sorted(set(keywords) - {*_LENGTHS, "group"})
    if foreign:
        raise PeerUnavailable("onnxruntime", f"it is not set up for {', '.join(foreign)}")
    lengths = {name: list(keywords[name]) for name in _LENGTHS if keywords.get(name) is not None}
    return {**lengths, "group": int(keywords.get("group", 1))}


def _held(model: Model, arrays: Mapping[str, AnyArray | None]) -> list[str]:
    """Adds constants; the names of those that are given."""
    given = {name: array for name, array in arrays.items() if array is not None}
    model.constants |= given
    return list(given)


def _inferred(model: Model) -> tuple[int, ...]:
    """The shape of ``y`` by ONNX's own rules."""
    onnx = import_module("onnx")
    made = onnx.load_from_string(model.serialized())
    del made.graph.output[0].type.tensor_type.shape.dim[:]
    made.graph.output[0].type.tensor_type.ClearField("shape")
    known = onnx.shape_inference.infer_shapes(made, strict_mode=True).graph.output[0].type.tensor_type.shape
    return tuple(int(dim.dim_value) for dim in known.dim)


def _gemm(inputs: Inputs, keywords: dict[str, Any]) -> Model:
    a, b = checked_matrices("onnxruntime", "gemm", OPS, None, inputs, keywords)
    model = Model((a.shape[0], b.shape[1]), a.dtype, inputs={"a": a}, constants={"b": b}, spinning=a.shape[0] > 1)
    model.add("MatMul", ["a", "b"], "y")
    return model


def _pool(inputs: Inputs, keywords: dict[str, Any]) -> Model:
    """MaxPool or AveragePool, without a kernel_shape their Global kin."""
    x = inputs[0]
    mode, indices = str(keywords.pop("mode", "max")), keywords.pop("indices", False)
    if x is None or x.size == 0 or indices:
        raise PeerUnavailable("onnxruntime", "it is set up for pooling of elements, without indices")
    kind = "" if keywords.get("kernel_shape") else "Global"
    attributes: dict[str, Any] = {
        name: int(value) if isinstance(value, bool) else value for name, value in keywords.items()
    }
    model = Model((), x.dtype, inputs={"x": x})
    model.add(f"{kind}{mode.capitalize()}Pool", ["x"], "y", **attributes)
    model.shape = _inferred(model)
    return model


def _attention(inputs: Inputs, keywords: dict[str, Any]) -> Model:
    """MultiHeadAttention, or GroupQueryAttention where heads share keys; both take (B, T, H*D), so axes move first."""
    q, k, v, mask = (*inputs, None)[:4]
    if q is None or k is None or v is None or q.size == 0 or k.size == 0 or v.size == 0:
        raise ShapeError("onnxruntime", "expected q, k and v with elements")
    (b, h, t, d), (g, s), e = q.shape, k.shape[1:3], v.shape[3]
    causal, past = bool(keywords.pop("causal", False)), int(keywords.pop("past", 0))
    attributes: dict[str, Any] = {
        name: float(value) for name, value in keywords.items() if name == "scale" and value is not None
    }
    if set(keywords) - {"scale"} or q.dtype != np.float32:
        raise PeerUnavailable("onnxruntime", "it is set up for fp32, and for scale, causal and past only")
    model = Model((b, t, h * e), q.dtype)
    model.arranged = lambda out: np.ascontiguousarray(out.reshape(b, t, h, e).swapaxes(1, 2))
    for name, one in (("q", q), ("k", k), ("v", v)):
        model.inputs[name] = np.ascontiguousarray(one.swapaxes(1, 2)).reshape(b, one.shape[2], -1)
    if g != h:
        if mask is not None or not causal or past or t != s or d != e:
            raise PeerUnavailable("onnxruntime", "its GroupQueryAttention is causal, over as many keys as queries")
        model.constants |= {"last": np.full(b, s - 1, np.int32), "n": np.array(s, np.int32)}
        names = ["q", "k", "v", "", "", "last", "n"]
        attributes |= {"num_heads": h, "kv_num_heads": g}
        model.add("GroupQueryAttention", names, "y", "com.microsoft", ("keys", "values"), **attributes)
        return model
    if causal and past != s - t:
        raise PeerUnavailable("onnxruntime", "its causal attention ends with the last key")
    names = ["q", "k", "v"]
    if mask is not None:
        whole = mask.reshape((*(1,) * (4 - mask.ndim), *mask.shape))
        model.inputs["mask"] = np.ascontiguousarray(np.broadcast_to(whole, (*whole.shape[:2], t, s)))
        names += ["", "", "mask"]
    model.add("MultiHeadAttention", names, "y", "com.microsoft", num_heads=h, unidirectional=int(causal), **attributes)
    return model


def _resize(inputs: Inputs, keywords: dict[str, Any]) -> Model:
    x = inputs[0]
    if x is None or x.size == 0:
        raise ShapeError("onnxruntime", "expected x with elements")
    model = Model((), x.dtype, inputs={"x": x})
    names = ["x"]
    for name, dtype in (("roi", np.float32), ("scales", np.float32), ("sizes", np.int64)):
        value = keywords.pop(name, None)
        names.append("" if value is None else name)
        if value is not None:
            model.constants[name] = np.asarray(value, dtype)
    attributes: dict[str, Any] = {
        name: int(value) if isinstance(value, bool) else value for name, value in keywords.items()
    }
    model.add("Resize", names if names[-1] else names[:-1], "y", **attributes)
    model.shape = _inferred(model)
    return model


def _topk(inputs: Inputs, keywords: dict[str, Any]) -> Model:
    x = inputs[0]
    if x is None or x.size == 0 or keywords["k"] == 0:
        raise ShapeError("onnxruntime", "expected x with elements and k of at least 1")
    model = Model((), x.dtype, inputs={"x": x})
    model.constants["k"] = np.array([keywords.pop("k")], np.int64)
    attributes: dict[str, Any] = {name: int(value) for name, value in keywords.items()}
    model.add("TopK", ["x", "k"], "y", unused=("indices",), **attributes)
    model.shape = _inferred(model)
    return model


class _Session:
    """A model loaded, its arrays bound so that a run copies nothing. Its methods keep the bound memory alive."""

    def __init__(self, model: Model, n_threads: int) -> None:
        self._session = _inference(model.serialized(), n_threads, spinning=model.spinning)
        self._inputs = {name: np.array(array, order="C") for name, array in model.inputs.items()}
        self._out = poison(model.shape, model.dtype)
        self._arranged = model.arranged
        self._blank = self._out.copy()
        self._binding = self._session.io_binding()
        for name, array in self._inputs.items():
            self._binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        self._binding.bind_output("y", "cpu", 0, self._out.dtype, self._out.shape, self._out.ctypes.data)

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def spoil(self) -> None:
        np.copyto(self._out, self._blank)

    def output(self) -> AnyArray:
        return self._arranged(self._out)


def _inference(source: str | bytes, n_threads: int, *, spinning: bool = True, optimised: bool = True) -> Any:
    """A session on the processor; ``source``: a model's path or its bytes."""
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    level = runtime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _n_threads() -> int:
    return int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))


def unoptimised(path: Path, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """Outputs by name as each operator's own definition has them: nothing fused, nothing folded. The models' oracle."""
    session = _inference(str(path), _n_threads(), optimised=False)
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def model(device: Device, path: Path, inputs: Mapping[str, AnyArray], outputs: Mapping[str, AnyArray]) -> Entrant:
    """A whole model from its file; ``outputs``: arrays like those that it gives, in the order in which they are read.

    Inputs and outputs are bound, so that a run copies nothing. The contestant's output is all outputs in a row.
    """
    reason = unavailable(device)
    if reason is not None:
        raise PeerUnavailable("onnxruntime", reason)
    n_threads = _n_threads()
    session = _inference(str(path), n_threads)
    held = {name: np.array(array, order="C") for name, array in inputs.items()}
    results = {name: poison(array.shape, array.dtype) for name, array in outputs.items()}
    blanks = {name: array.copy() for name, array in results.items()}
    binding = session.io_binding()
    for name, array in held.items():
        binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
    for name, array in results.items():
        binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def run() -> None:
        session.run_with_iobinding(binding)

    def spoil() -> None:
        for name, array in held.items():  # bound by address: they live as long as this does
            np.copyto(array, inputs[name])
        for name, array in results.items():
            np.copyto(array, blanks[name])

    def output() -> AnyArray:
        return in_a_row(results.values())

    what = f"ONNX Runtime {import_module('onnxruntime').__version__}"
    contestant = Contestant("onnxruntime", what, "peer", run, lambda: None, output)
    return Entrant(contestant, spoil, f"onnxruntime: {what}, CPU, threads {n_threads}, all graph optimisations")


def _ready(model: Model) -> Entrant:
    n_threads = _n_threads()
    session = _Session(model, n_threads)
    what = f"ONNX Runtime {import_module('onnxruntime').__version__}"
    contestant = Contestant("onnxruntime", what, "peer", session.run, lambda: None, session.output)
    spinning = "spinning" if model.spinning else "not spinning"
    note = f"onnxruntime: {what}, CPU, threads {n_threads}, {spinning}, all graph optimisations, weights as constants"
    return Entrant(contestant, session.spoil, note)


_MODELS: dict[str, Callable[[Inputs, dict[str, Any]], Model]] = {
    "gemm": _gemm,
    "conv": _conv("Conv"),
    "conv_transpose": _conv("ConvTranspose"),
    "pool": _pool,
    "resize": _resize,
    "topk": _topk,
    "attention": _attention,
}
OPS = tuple(_MODELS)
