"""A learned scale and offset go into the HardSwish before them, if they are numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from tests.graph.build import node
from tests.graph.passes.agreement import fused_ops

X = np.linspace(-6, 6, 2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
CONSTANTS = {
    "scale": np.array([0.7], np.float32), "shift": np.array(-0.3, np.float32),
    "channels": np.ones((3, 1, 1), np.float32),
    "zero": np.array(0, np.float32), "big": np.ones((1, 1, 1, 1, 1), np.float32),
}  # fmt: skip
SWISH = node("HardSwish", ["x"], ["h"])
MUL, ADD = node("Mul", ["scale", "h"], ["m"]), node("Add", ["m", "shift"], ["y"])


def ops(folder: Path, device: rx.Device, nodes: list[onnx.NodeProto], outputs: tuple[str, ...] = ("y",)) -> list[str]:
    return fused_ops(folder, device, nodes, {"x": X}, CONSTANTS, outputs=outputs)


def test_scale_and_offset_become_the_activation(tmp_path: Path, pocl: rx.Device) -> None:
    assert ops(tmp_path, pocl, [SWISH, MUL, ADD]) == ["Activation"]


def test_the_convolution_before_takes_it_all(tmp_path: Path, pocl: rx.Device) -> None:
    w = np.random.default_rng(0).standard_normal((4, 3, 1, 1), dtype=np.float32)
    nodes = [node("Conv", ["x", "w"], ["c"]), node("HardSwish", ["c"], ["h"]), MUL, ADD]
    found = fused_ops(tmp_path, pocl, nodes, {"x": X}, {**CONSTANTS, "w": w}, tolerance=3e-5)
    assert [op for op in found if op != "Transpose"] == ["PixelConv"]


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([SWISH, node("Mul", ["h", "channels"], ["y"])], ("y",)),
        ([SWISH, node("Mul", ["h", "big"], ["y"])], ("y",)),
        ([SWISH, node("Exp", ["h"], ["e"]), node("Mul", ["scale", "e"], ["y"])], ("y",)),
        ([SWISH, MUL, node("Mul", ["m", "h"], ["y"])], ("y",)),
        ([SWISH, node("Mul", ["scale", "h"], ["y"])], ("y", "h")),
        ([node("HardSigmoid", ["x"], ["s"], alpha=0.3), node("Mul", ["x", "s"], ["h"]), MUL, ADD], ("y",)),
    ],
)  # fmt: skip
def test_the_rest_stays(tmp_path: Path, pocl: rx.Device, nodes: list[onnx.NodeProto], outputs: tuple[str, ...]) -> None:
    assert {"Mul", "Div"} & set(ops(tmp_path, pocl, nodes, outputs))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["Mul", "Add", "Sub", "Div"]), st.floats(0.25, 4)), min_size=1, max_size=4))
def test_any_chain(tmp_path_factory: pytest.TempPathFactory, pocl: rx.Device, chain: list[tuple[str, float]]) -> None:
    constants = {f"c{place}": np.array(number, np.float32) for place, (_, number) in enumerate(chain)}
    values = ["h", *(f"v{place}" for place in range(len(chain) - 1)), "y"]
    nodes = [SWISH]
    for place, (op, _) in enumerate(chain):
        sides = [f"c{place}", values[place]] if op == "Sub" else [values[place], f"c{place}"]
        nodes.append(node(op, sides, [values[place + 1]]))
    found = fused_ops(tmp_path_factory.mktemp("chain"), pocl, nodes, {"x": X}, constants, tolerance=1e-4)
    assert found == ["Activation"]
