"""A convolution takes over an addition of an array like its result, and only such."""

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

RNG = np.random.default_rng(0)
INPUTS = {name: RNG.standard_normal((2, 4, 5, 6), dtype=np.float32) for name in "xz"}
CONSTANTS = {"w": RNG.standard_normal((4, 4, 3, 3), dtype=np.float32), "row": np.ones((1, 1, 1, 6), np.float32)}
AROUND = [1, 1, 1, 1]
FIRST, SECOND = node("Conv", ["x", "w"], ["a"], pads=AROUND), node("Conv", ["z", "w"], ["b"], pads=AROUND)


def ops(folder: Path, device: rx.Device, nodes: list[onnx.NodeProto], outputs: tuple[str, ...] = ("y",)) -> list[str]:
    read = {name for one in nodes for name in one.input}
    inputs = {name: one for name, one in INPUTS.items() if name in read}
    found = fused_ops(folder, device, nodes, inputs, CONSTANTS, outputs=outputs, tolerance=3e-5)
    return [op for op in found if op != "Transpose"]


@pytest.mark.parametrize("sides", [["a", "z"], ["z", "a"]])
def test_a_sum_and_its_activation_become_the_convolution(tmp_path: Path, pocl: rx.Device, sides: list[str]) -> None:
    assert ops(tmp_path, pocl, [FIRST, node("Add", sides, ["s"]), node("Relu", ["s"], ["y"])]) == ["PixelConv"]


def test_of_two_convolutions_one_takes_the_other(tmp_path: Path, pocl: rx.Device) -> None:
    assert ops(tmp_path, pocl, [FIRST, SECOND, node("Add", ["a", "b"], ["y"])]) == ["PixelConv"] * 2


def test_what_is_computed_later_is_there_in_time(tmp_path: Path, pocl: rx.Device) -> None:
    nodes = [FIRST, node("Relu", ["z"], ["r"]), node("Add", ["a", "r"], ["y"])]
    assert ops(tmp_path, pocl, nodes) == ["Relu", "PixelConv"]


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([FIRST, node("Add", ["a", "row"], ["y"])], ("y",)),
        ([FIRST, node("Add", ["a", "a"], ["y"])], ("y",)),
        ([FIRST, node("Add", ["a", "z"], ["y"])], ("y", "a")),
        ([FIRST, node("Relu", ["a"], ["r"]), node("Add", ["a", "r"], ["y"])], ("y",)),
        ([FIRST, node("Relu", ["a"], ["r"]), node("Add", ["r", "z"], ["y"])], ("y",)),
    ],
)
def test_the_rest_stays(tmp_path: Path, pocl: rx.Device, nodes: list[onnx.NodeProto], outputs: tuple[str, ...]) -> None:
    assert "Add" in ops(tmp_path, pocl, nodes, outputs)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=3))
def test_any_blocks(tmp_path_factory: pytest.TempPathFactory, pocl: rx.Device, blocks: list[tuple[bool, bool]]) -> None:
    nodes, value = [], "x"
    for place, (bent, shared) in enumerate(blocks):
        nodes += [
            node("Conv", [value, "w"], [f"c{place}"], pads=AROUND),
            node("Add", [f"c{place}", value if shared else "z"], [f"s{place}"]),
            node("Tanh" if bent else "Identity", [f"s{place}"], [f"v{place}"]),
        ]
        value = f"v{place}"
    nodes.append(node("Sigmoid", [value], ["y"]))
    assert ops(tmp_path_factory.mktemp("blocks"), pocl, nodes).count("Add") == 0
