"""Quantized models: bytes stay bytes, answers stay within a step of the definition."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import rx580lab as rx
from rx580lab.errors import ModelError
from tests.graph.build import node, write
from tests.graph.quantized_nets import convolution, defined_outputs, product, unfused_outputs

BYTES: tuple[npt.DTypeLike, ...] = (np.int8, np.uint8)


def launched(model: rx.Model, **inputs: npt.NDArray[Any]) -> list[str]:
    """The ops that a model runs, in order, without the turns into a processor's layout and back."""
    return [op for step in model.plan(inputs).steps for op in step.ops if op != "transpose"]


def within_a_step(got: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    assert np.abs(got.astype(np.int64) - expected.astype(np.int64)).max(initial=0) <= 1


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(*(st.sampled_from(BYTES) for _ in range(3))),
    st.booleans(),
    st.sampled_from(["", "int32", "float32"]),
    st.sampled_from(["", "Relu"]),
    st.sampled_from([1, 3]),
)
def test_a_quantized_convolution_is_one_op(
    tmp_path_factory: pytest.TempPathFactory,
    pocl: rx.Device,
    seed: int,
    kinds: tuple[npt.DTypeLike, npt.DTypeLike, npt.DTypeLike],
    per_channel: bool,
    bias: str,
    activation: str,
    group: int,
) -> None:
    path, inputs = convolution(
        tmp_path_factory.mktemp("net") / "net.onnx", np.random.default_rng(seed), kinds=kinds,
        per_channel=per_channel, bias=bias, activation=activation, group=group,
    )  # fmt: skip
    model = rx.load(path, pocl)
    got, expected = model.run(inputs), defined_outputs(path, inputs)
    within_a_step(got["y"], expected[0])
    assert launched(model, **inputs) == ["quantize", "conv_i8_i8", "dequantize"]


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(*(st.sampled_from(BYTES) for _ in range(3))),
    st.booleans(),
    st.sampled_from(["", "int32", "float32"]),
    st.sampled_from(["Gemm", "MatMul"]),
    st.booleans(),
)
def test_a_quantized_product_is_one_op(
    tmp_path_factory: pytest.TempPathFactory,
    pocl: rx.Device,
    seed: int,
    kinds: tuple[npt.DTypeLike, npt.DTypeLike, npt.DTypeLike],
    per_column: bool,
    bias: str,
    op: str,
    turned: bool,
) -> None:
    path, inputs = product(
        tmp_path_factory.mktemp("net") / "net.onnx", np.random.default_rng(seed), op=op, kinds=kinds,
        per_column=per_column, bias=bias, turned=turned,
    )  # fmt: skip
    model = rx.load(path, pocl)
    within_a_step(model.run(inputs)["y"], defined_outputs(path, inputs)[0])
    assert launched(model, **inputs) == ["quantize", "gemm_i8_i8"]


def edited(path: Path, change: Any) -> Path:
    """The model of that file, after ``change`` worked on its graph."""
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, path)
    return path


def constant(graph: onnx.GraphProto, name: str) -> onnx.TensorProto:
    return next(one for one in graph.initializer if one.name == name)


def as_input(graph: onnx.GraphProto, name: str) -> None:
    """Makes a constant an input of the graph."""
    held = constant(graph, name)
    graph.input.append(helper.make_tensor_value_info(name, held.data_type, held.dims))
    graph.initializer.remove(held)


def outside(graph: onnx.GraphProto) -> None:
    """Makes the convolution's floats an output."""
    graph.output.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, None))


def upwards(graph: onnx.GraphProto) -> None:
    """A zero point above the least byte: what Relu cuts, bytes could hold."""
    constant(graph, "y_zero").CopyFrom(onnx.numpy_helper.from_array(np.array(9, np.uint8), "y_zero"))


@pytest.mark.parametrize(
    ("change", "ops"),
    [
        (lambda graph: as_input(graph, "x_scale"), ["quantize", "dequantize", "conv", "quantize", "dequantize"]),
        (lambda graph: as_input(graph, "w_scale"), ["quantize", "dequantize", "dequantize", "conv", "quantize"]),
        (lambda graph: as_input(graph, "y_scale"), ["quantize", "conv_i8_i8", "elementwise", "quantize"]),
        (upwards, ["quantize", "conv_i8_i8", "elementwise", "quantize"]),
        (outside, ["quantize", "conv_i8_i8", "elementwise", "quantize"]),
    ],
    ids=["scale of x", "scale of w", "scale of y", "zero point above the least byte", "floats are an output"],
)
def test_what_is_not_constant_or_read_elsewhere_is_not_fused(
    tmp_path: Path, pocl: rx.Device, change: Any, ops: list[str]
) -> None:
    path, inputs = convolution(tmp_path / "net.onnx", np.random.default_rng(3), activation="Relu")
    kept = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    edited(path, change)
    model = rx.load(path, pocl)
    inputs |= {name: kept[name] for name in model.inputs if name != "x"}
    expected = defined_outputs(path, inputs)
    within_a_step(model.run(inputs)["y"], expected[0])
    assert launched(model, **inputs)[: len(ops)] == ops


@pytest.mark.parametrize("bias", ["int32", "float32"])
def test_floats_out_of_bytes_want_an_exact_bias(tmp_path: Path, pocl: rx.Device, bias: str) -> None:
    path, inputs = convolution(tmp_path / "net.onnx", np.random.default_rng(4), bias=bias)

    def without_end(graph: onnx.GraphProto) -> None:
        del graph.node[-2:], graph.output[:]
        graph.output.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, None))

    edited(path, without_end)
    model = rx.load(path, pocl)
    np.testing.assert_allclose(model.run(inputs)["c"], defined_outputs(path, inputs)[0], rtol=1e-5, atol=1e-5)
    expected = ["conv_i8_i8"] if bias == "int32" else ["dequantize", "conv"]
    assert launched(model, **inputs) == ["quantize", *expected]


def test_weights_stay_bytes_on_the_device(tmp_path: Path, pocl: rx.Device) -> None:
    path, inputs = convolution(tmp_path / "net.onnx", np.random.default_rng(5))
    graph = rx.load(path, pocl).plan(inputs).graph
    held = [one for one in graph.values.values() if one.data is not None and one.size == 4 * 3 * 9]
    assert [one.dtype for one in held] == [np.int8]


def test_weights_that_nothing_takes_as_bytes_are_dequantized_once(tmp_path: Path, pocl: rx.Device) -> None:
    rng = np.random.default_rng(6)
    made = {"w_bytes": rng.integers(-128, 128, (4, 6), np.int8), "scale": rng.uniform(0.1, 1, 6).astype(np.float32)}
    nodes = [node("DequantizeLinear", ["w_bytes", "scale"], ["w"]), node("Add", ["x", "w"], ["y"])]
    path = write(tmp_path / "net.onnx", nodes, {"x": (np.float32, [4, 6])}, {"y": (np.float32, [4, 6])}, made)
    model, x = rx.load(path, pocl), rng.standard_normal((4, 6), dtype=np.float32)
    np.testing.assert_allclose(model.run({"x": x})["y"], x + made["w_bytes"] * made["scale"], rtol=1e-6)
    assert launched(model, x=x) == ["elementwise"]


def _network(path: Path, rng: np.random.Generator) -> Path:
    """A small CNN of floats."""

    def weights(*shape: int) -> npt.NDArray[np.float32]:
        return (rng.standard_normal(shape) / np.prod(shape[1:]) ** 0.5).astype(np.float32)

    nodes = [
        node("Conv", ["x", "w0", "b0"], ["c0"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["c0"], ["r0"]),
        node("Conv", ["r0", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1], group=8),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w2"], ["c2"]),
        node("Add", ["c2", "r0"], ["s"]),
        node("Relu", ["s"], ["r2"]),
        node("GlobalAveragePool", ["r2"], ["p"]),
        node("Reshape", ["p", "flat"], ["f"]),
        node("Gemm", ["f", "v", "shift"], ["y"], transB=1),
    ]
    made = {
        "w0": weights(8, 3, 3, 3), "b0": weights(8), "w1": weights(8, 1, 3, 3), "b1": weights(8),
        "w2": weights(8, 8, 1, 1), "flat": np.array([0, -1]), "v": weights(10, 8), "shift": weights(10),
    }  # fmt: skip
    return write(path, nodes, {"x": (np.float32, ["n", 3, 16, 16])}, {"y": (np.float32, ["n", 10])}, made)


class _Batches:
    """What the quantizer reads to choose scales."""

    def __init__(self, batches: list[npt.NDArray[np.float32]]) -> None:
        self.batches = iter(batches)

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        """The next inputs by name; None at the end."""
        found = next(self.batches, None)
        return None if found is None else {"x": found}


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_network_quantized_by_onnxruntime(tmp_path: Path, pocl: rx.Device, per_channel: bool) -> None:
    tools, rng = import_module("onnxruntime.quantization"), np.random.default_rng(7)
    source, path = _network(tmp_path / "floats.onnx", rng), tmp_path / "bytes.onnx"
    batches = [rng.standard_normal((4, 3, 16, 16)).astype(np.float32) for _ in range(3)]
    tools.quantize_static(str(source), str(path), _Batches(batches), per_channel=per_channel)
    x = rng.standard_normal((5, 3, 16, 16)).astype(np.float32)
    model = rx.load(path, pocl)
    got, expected = model.run({"x": x})["y"], unfused_outputs(path, {"x": x})[0]
    ops = launched(model, x=x)
    assert (ops.count("conv_i8_i8"), ops.count("gemm_i8_i8"), ops.count("conv"), ops.count("gemm")) == (3, 1, 0, 0)
    last = onnx.load(path).graph.node[-1]
    step = float(onnx.numpy_helper.to_array(constant(onnx.load(path).graph, last.input[1])).reshape(()))
    assert np.abs(got - expected).max() <= 1.01 * step


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.FLOAT8E4M3FN, TensorProto.INT16])
def test_other_quantized_types_are_refused_by_name(tmp_path: Path, kind: int) -> None:
    nodes = [node("QuantizeLinear", ["x", "scale"], ["y"], output_dtype=kind)]
    path = write(
        tmp_path / "net.onnx",
        nodes,
        {"x": (np.float32, [4])},
        {"y": (np.uint8, [4])},
        {"scale": np.float32(1)},
        opset=21,
    )
    message = rf"node 'QuantizeLinear_0' \(QuantizeLinear\).*int8 or uint8, got TensorProto's type {kind}"
    with pytest.raises(ModelError, match=message):
        rx.load(path).run({"x": np.zeros(4, np.float32)})


def test_a_network_quantized_as_it_runs(tmp_path: Path, pocl: rx.Device) -> None:
    tools, rng = import_module("onnxruntime.quantization"), np.random.default_rng(8)
    source, path = _network(tmp_path / "floats.onnx", rng), tmp_path / "bytes.onnx"
    tools.quantize_dynamic(str(source), str(path), weight_type=tools.QuantType.QUInt8)
    x = rng.standard_normal((5, 3, 16, 16)).astype(np.float32)
    model = rx.load(path, pocl)
    got, expected = model.run({"x": x})["y"], unfused_outputs(path, {"x": x})[0]
    np.testing.assert_allclose(got, expected, rtol=0, atol=0.02 * np.abs(expected).max())
    ops = launched(model, x=x)
    assert (ops.count("dynamic_quantize"), ops.count("conv_i8_i8"), ops.count("gemm_i8_i8")) == (4, 3, 1)
    products = [step.node for step in model.plan({"x": x}).steps if step.node.op in ("ConvInteger", "MatMulInteger")]
    assert [one.attribute("output") for one in products] == ["float32"] * 4
