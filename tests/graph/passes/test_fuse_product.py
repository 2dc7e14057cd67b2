"""Products take over what follows them, and only then."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from tests.graph.build import node, write
from tests.graph.oracle import onnxruntime_outputs

RNG = np.random.default_rng(0)
CONSTANTS: dict[str, npt.NDArray[np.float32]] = {
    "w": RNG.standard_normal((12, 20), dtype=np.float32),
    "w_turned": RNG.standard_normal((20, 12), dtype=np.float32),
    "bias": RNG.standard_normal(20, dtype=np.float32),
    "wide": RNG.standard_normal((1, 1, 20), dtype=np.float32),
    "rows": RNG.standard_normal((5, 20), dtype=np.float32),
    "half": np.array(0.5, np.float32),
    "low": np.array(-1, np.float32),
    "high": np.array(1, np.float32),
}


def _checked(
    path: Path, device: rx.Device, nodes: Sequence[onnx.NodeProto], outputs: Sequence[str] = ("y",)
) -> list[str]:
    """Compares the model of those nodes with ONNX Runtime; its nodes as they were fused."""
    file = write(
        path / "m.onnx",
        nodes,
        {"x": (np.float32, ["n", 5, 12]), "z": (np.float32, ["n", 5, 20])},
        dict.fromkeys(outputs, (np.float32, None)),
        CONSTANTS,
    )
    inputs = {name: RNG.standard_normal((2, 5, length), dtype=np.float32) for name, length in (("x", 12), ("z", 20))}
    model = rx.load(file, device)
    got = model.run(inputs)
    for name, expected in onnxruntime_outputs(file, inputs).items():
        np.testing.assert_allclose(got[name], expected, rtol=1e-5, atol=1e-5)
    return [step.node.op for step in model.plan(inputs).steps]


MATMUL, BIAS, RESIDUAL = (
    node("MatMul", ["x", "w"], ["a"]),
    node("Add", ["a", "bias"], ["b"]),
    node("Add", ["z", "b"], ["c"]),
)
RELU = node("Relu", ["c"], ["y"])


def test_bias_residual_and_activation_become_one_launch(tmp_path: Path, pocl: rx.Device) -> None:
    assert _checked(tmp_path, pocl, [MATMUL, BIAS, RESIDUAL, RELU]) == ["MatMul"]


@pytest.mark.parametrize("bias", ["bias", "wide"])
def test_operands_come_in_either_order(tmp_path: Path, pocl: rx.Device, bias: str) -> None:
    nodes = [MATMUL, node("Add", ["b0", "z"], ["c"]), RELU]
    nodes.insert(1, node("Add", [bias, "a"], ["b0"]))
    assert _checked(tmp_path, pocl, nodes) == ["MatMul"]


def test_a_number_between_scales_the_product(tmp_path: Path, pocl: rx.Device) -> None:
    nodes = [MATMUL, node("Mul", ["half", "a"], ["h"]), node("Div", ["h", "high"], ["i"])]
    assert _checked(tmp_path, pocl, [*nodes, node("Add", ["i", "bias"], ["y"])]) == ["MatMul"]


def test_a_number_after_the_bias_does_not(tmp_path: Path, pocl: rx.Device) -> None:
    nodes = [MATMUL, BIAS, node("Mul", ["b", "half"], ["y"])]
    assert _checked(tmp_path, pocl, nodes) == ["MatMul", "Mul"]


# What stays by itself when the value after each of the first three nodes is needed besides.
LEFT = {"a": ["Add", "Add", "Relu"], "b": ["Add", "Relu"], "c": ["Relu"]}


@pytest.mark.parametrize("between", LEFT)
def test_what_others_read_stays(tmp_path: Path, pocl: rx.Device, between: str) -> None:
    second = node("Sigmoid", [between], ["y2"])
    ops = _checked(tmp_path, pocl, [MATMUL, BIAS, RESIDUAL, RELU, second], ("y", "y2"))
    assert ops == ["MatMul", *LEFT[between], "Sigmoid"]


@pytest.mark.parametrize("between", LEFT)
def test_outputs_of_the_graph_stay(tmp_path: Path, pocl: rx.Device, between: str) -> None:
    assert _checked(tmp_path, pocl, [MATMUL, BIAS, RESIDUAL, RELU], ("y", between)) == ["MatMul", *LEFT[between]]


def test_a_term_that_is_broadcast_otherwise_stays(tmp_path: Path, pocl: rx.Device) -> None:
    assert _checked(tmp_path, pocl, [MATMUL, node("Add", ["a", "rows"], ["y"])]) == ["MatMul", "Add"]


def test_a_product_with_itself_added_stays(tmp_path: Path, pocl: rx.Device) -> None:
    assert _checked(tmp_path, pocl, [MATMUL, node("Add", ["a", "a"], ["y"])]) == ["MatMul", "Add"]


def test_a_transpose_becomes_a_flag(tmp_path: Path, pocl: rx.Device) -> None:
    nodes = [
        node("Transpose", ["z"], ["t"], perm=[0, 2, 1]),
        node("MatMul", ["t", "x"], ["y"]),
    ]
    assert _checked(tmp_path, pocl, nodes) == ["MatMul"]
    nodes = [node("Transpose", ["x"], ["t"], perm=[0, 2, 1]), node("MatMul", ["x", "t"], ["y"])]
    assert _checked(tmp_path, pocl, nodes) == ["MatMul"]


def test_a_transpose_of_other_axes_stays(tmp_path: Path, pocl: rx.Device) -> None:
    nodes = [node("Transpose", ["x"], ["t"], perm=[1, 0, 2]), node("MatMul", ["t", "w"], ["y"])]
    assert _checked(tmp_path, pocl, nodes) == ["Transpose", "MatMul"]


@settings(max_examples=12, deadline=None)
@given(
    turned=st.booleans(),
    alpha=st.sampled_from([1.0, 0.5]),
    beta=st.sampled_from([1.0, 0.0, 2.0]),
    term=st.sampled_from(["bias", "rows", "half", ""]),
    rows=st.sampled_from([1, 5]),
)
def test_gemm_in_all_its_forms(
    tmp_path_factory: pytest.TempPathFactory,
    pocl: rx.Device,
    turned: bool,
    alpha: float,
    beta: float,
    term: str,
    rows: int,
) -> None:
    inputs = ["x", "w_turned" if turned else "w", *([term] if term else [])]
    file = write(
        tmp_path_factory.mktemp("gemm") / "m.onnx",
        [
            node("Gemm", inputs, ["a"], transB=int(turned), alpha=alpha, beta=beta),
            node("Clip", ["a", "low", "high"], ["y"]),
        ],
        {"x": (np.float32, [None, 12])},
        {"y": (np.float32, None)},
        CONSTANTS | {"rows": CONSTANTS["rows"][:rows]},
    )
    x = RNG.standard_normal((rows, 12), dtype=np.float32)
    got = rx.load(file, pocl).run({"x": x})["y"]
    np.testing.assert_allclose(got, onnxruntime_outputs(file, {"x": x})["y"], rtol=1e-5, atol=1e-5)


def test_weights_are_packed_once_for_all_plans(tmp_path: Path, pocl: rx.Device) -> None:
    weights = RNG.standard_normal((256, 512), dtype=np.float32)
    file = write(
        tmp_path / "m.onnx",
        [node("MatMul", ["x", "w"], ["y"])],
        {"x": (np.float32, ["n", 256])},
        {"y": (np.float32, None)},
        {"w": weights},
    )
    model = rx.load(file, pocl)
    model.plan({"x": (4, 256)})
    before = pocl.bytes_in_use
    model.plan({"x": (8, 256)})
    assert pocl.bytes_in_use - before < weights.nbytes // 4
