"""A gate and what is added to the gated value become one product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from tests.graph.build import node, write
from tests.graph.passes.agreement import fused_ops

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 6, 4, 5), dtype=np.float32)
CONSTANTS = {
    "w": RNG.standard_normal((3, 6, 1, 1), dtype=np.float32), "v": RNG.standard_normal((6, 3, 1, 1), dtype=np.float32),
    "bias": RNG.standard_normal(6, dtype=np.float32),
}  # fmt: skip
GATE = [
    node("GlobalAveragePool", ["x"], ["p"]),
    node("Conv", ["p", "w"], ["q"]),
    node("Relu", ["q"], ["r"]),
    node("Conv", ["r", "v", "bias"], ["g"]),
    node("HardSigmoid", ["g"], ["s"], alpha=0.3, beta=0.4),
]
MUL, ADD = node("Mul", ["x", "s"], ["m"]), node("Add", ["x", "m"], ["y"])


def ops(folder: Path, device: rx.Device, nodes: list[onnx.NodeProto], outputs: tuple[str, ...] = ("y",)) -> list[str]:
    return fused_ops(folder, device, nodes, {"x": X}, CONSTANTS, outputs=outputs)


def _file(folder: Path, nodes: list[onnx.NodeProto]) -> Path:
    floats = np.float32
    return write(folder / "gate.onnx", nodes, {"x": (floats, [None] * 4)}, {"y": (floats, None)}, CONSTANTS)


def test_a_sum_with_what_is_gated_is_one_product(tmp_path: Path, pocl: rx.Device) -> None:
    found = ops(tmp_path, pocl, [*GATE, MUL, ADD])
    assert "Add" not in found
    assert found.count("Mul") == 1


def test_a_gate_alone_is_part_of_its_convolution(tmp_path: Path, pocl: rx.Device) -> None:
    graph = rx.load(_file(tmp_path, [*GATE, node("Mul", ["x", "s"], ["y"])])).graph
    assert [one.op for one in graph.nodes] == ["GlobalAveragePool", "Conv", "Relu", "Conv", "Clip", "Mul"]
    assert "Activation" not in ops(tmp_path, pocl, [*GATE, node("Mul", ["x", "s"], ["y"])])


def test_who_else_reads_the_convolution_keeps_it(tmp_path: Path) -> None:
    nodes = [*GATE, node("Mul", ["x", "s"], ["m"]), node("Mul", ["m", "g"], ["y"])]
    assert "HardSigmoid" in [one.op for one in rx.load(_file(tmp_path, nodes)).graph.nodes]


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([*GATE, MUL, ADD], ("y", "m")),
        ([*GATE, MUL, ADD], ("y", "s")),
        ([*GATE, MUL, ADD], ("y", "g")),
        ([*GATE, MUL, node("Relu", ["x"], ["z"]), node("Add", ["z", "m"], ["y"])], ("y",)),
        ([*GATE[:-1], node("Sigmoid", ["g"], ["s"]), MUL, ADD], ("y",)),
    ],
)
def test_the_rest_stays(tmp_path: Path, pocl: rx.Device, nodes: list[onnx.NodeProto], outputs: tuple[str, ...]) -> None:
    assert "Add" in ops(tmp_path, pocl, nodes, outputs)


@settings(max_examples=6, deadline=None)
@given(st.floats(-1, 1), st.floats(-0.5, 1.5), st.booleans(), st.booleans())
def test_any_gate(
    tmp_path_factory: pytest.TempPathFactory, pocl: rx.Device, alpha: float, beta: float, first: bool, biased: bool
) -> None:
    gate = [
        node("Conv", ["x", "v2", "bias"] if biased else ["x", "v2"], ["g"]),
        node("HardSigmoid", ["g"], ["s"], alpha=alpha, beta=beta),
        node("Mul", ["x", "s"] if first else ["s", "x"], ["m"]),
        node("Add", ["m", "x"] if first else ["x", "m"], ["y"]),
    ]
    constants = {**CONSTANTS, "v2": np.eye(6, dtype=np.float32).reshape(6, 6, 1, 1)}
    assert "Add" not in fused_ops(tmp_path_factory.mktemp("gate"), pocl, gate, {"x": X}, constants)
