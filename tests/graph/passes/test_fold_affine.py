"""Scales and offsets per channel go into the weights before them, and only such."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from tests.graph.build import node
from tests.graph.passes.agreement import fused_ops

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 4, 6, 6), dtype=np.float32)


def floats(*shape: int) -> npt.NDArray[np.float32]:
    return RNG.standard_normal(shape, dtype=np.float32)


CONSTANTS: Mapping[str, npt.NDArray[Any]] = {
    "w": floats(8, 2, 3, 3), "wt": floats(4, 3, 2, 2), "bias": floats(8), "m": floats(144, 6), "shift": floats(1, 6),
    "c8": floats(8, 1, 1), "c6": floats(1, 6, 1, 1), "row": floats(6), "number": np.array([0.7], np.float32),
    "zero": np.zeros(1, np.float32), "scale": floats(8), "mean": floats(8), "variance": np.abs(floats(8)) + 0.1,
    "plane": floats(1, 8, 4, 4), "batch": floats(3, 1, 1, 1), "wide": floats(1, 1, 8, 1, 1), "flat": np.array([2, -1]),
}  # fmt: skip
CONV = node("Conv", ["x", "w", "bias"], ["a"], group=2)
TRANSPOSED = node("ConvTranspose", ["x", "wt"], ["a"], group=2, strides=[2, 2])
NORM = node("BatchNormalization", ["a", "scale", "bias", "mean", "variance"], ["y"], epsilon=1e-3)


def ops(folder: Path, device: rx.Device, nodes: list[onnx.NodeProto], outputs: tuple[str, ...] = ("y",)) -> list[str]:
    found = fused_ops(folder, device, nodes, {"x": X}, CONSTANTS, outputs=outputs, tolerance=3e-5)
    return [op for op in found if op not in ("Transpose", "Reshape")]


def test_a_batch_normalization_goes_into_the_weights(tmp_path: Path, pocl: rx.Device) -> None:
    assert ops(tmp_path, pocl, [CONV, NORM]) == ["PixelConv"]


@pytest.mark.parametrize(
    "after",
    [
        [node("Mul", ["number", "a"], ["b"]), node("Add", ["b", "c8"], ["y"])],
        [node("Div", ["a", "c8"], ["b"]), node("Sub", ["b", "number"], ["y"])],
        [node("Sub", ["c8", "a"], ["y"])],
    ],
)
def test_so_do_constants_per_channel(tmp_path: Path, pocl: rx.Device, after: list[onnx.NodeProto]) -> None:
    assert ops(tmp_path, pocl, [CONV, *after]) == ["PixelConv"]


def test_a_transposed_convolution_has_its_filters_second(tmp_path: Path, pocl: rx.Device) -> None:
    nodes = [TRANSPOSED, node("Mul", ["a", "c6"], ["b"]), node("Add", ["b", "c6"], ["y"])]
    assert ops(tmp_path, pocl, nodes) == ["ConvTranspose"]


@pytest.mark.parametrize("turned", [0, 1])
def test_a_product_has_its_columns(tmp_path: Path, pocl: rx.Device, turned: int) -> None:
    constants = {**CONSTANTS, "m": CONSTANTS["m"].T.copy() if turned else CONSTANTS["m"]}
    nodes = [
        node("Reshape", ["x", "flat"], ["f"]),
        node("Gemm", ["f", "m", "shift"], ["a"], transB=turned),
        node("Mul", ["a", "row"], ["b"]),
        node("Add", ["b", "shift"], ["y"]),
    ]
    assert fused_ops(tmp_path, pocl, nodes, {"x": X}, constants, tolerance=1e-4) == ["Reshape", "MatMul"]


@pytest.mark.parametrize("constant", ["plane", "batch", "wide"])
def test_constants_along_other_axes_stay(tmp_path: Path, pocl: rx.Device, constant: str) -> None:
    x = X[:1]
    nodes = [node("Conv", ["x", "w"], ["a"], group=2), node("Mul", ["a", constant], ["y"])]
    found = fused_ops(tmp_path, pocl, nodes, {"x": x}, CONSTANTS)
    assert "Mul" in found


def test_what_others_read_stays(tmp_path: Path, pocl: rx.Device) -> None:
    scaled = node("Mul", ["a", "c8"], ["y"])
    assert ops(tmp_path, pocl, [CONV, scaled, node("Relu", ["a"], ["z"])], ("y", "z")) == ["PixelConv", "Mul", "Relu"]
    assert ops(tmp_path, pocl, [CONV, scaled], ("y", "a")) == ["PixelConv", "Mul"]


def test_what_is_divided_by_the_result_stays(tmp_path: Path, pocl: rx.Device) -> None:
    assert ops(tmp_path, pocl, [CONV, node("Div", ["number", "a"], ["y"])]) == ["PixelConv", "Div"]


def test_a_division_by_zero_stays(tmp_path: Path, pocl: rx.Device) -> None:
    assert ops(tmp_path, pocl, [CONV, node("Div", ["a", "zero"], ["b"]), node("Relu", ["b"], ["y"])])[1] != "PixelConv"


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(["Mul", "Add", "Sub", "Div"]), min_size=1, max_size=4), st.data())
def test_any_chain(
    tmp_path_factory: pytest.TempPathFactory, pocl: rx.Device, chain: list[str], data: st.DataObject
) -> None:
    nodes, value = [CONV], "a"
    for place, op in enumerate(chain):
        constant = data.draw(st.sampled_from(["c8", "number"]))
        sides = [value, constant] if op == "Div" else data.draw(st.permutations([value, constant]))
        value = "y" if place == len(chain) - 1 else f"v{place}"
        nodes.append(node(op, list(sides), [value]))
    constants = {**CONSTANTS, "c8": np.linspace(-2, 2, 8, dtype=np.float32).reshape(8, 1, 1)}
    found = fused_ops(tmp_path_factory.mktemp("chain"), pocl, nodes, {"x": X}, constants, tolerance=1e-3)
    assert [op for op in found if op != "Transpose"] == ["PixelConv"]
