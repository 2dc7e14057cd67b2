"""Pixel-major from convolution to convolution: turned at the borders only, and right wherever it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.graph.ir import Value
from rx580lab.graph.passes import optimise
from rx580lab.graph.specialise import specialise
from tests.graph.build import node, write
from tests.graph.passes.agreement import fused_ops

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 8, 10), dtype=np.float32)
Z = RNG.standard_normal((2, 4, 8, 10), dtype=np.float32)


def floats(*shape: int) -> npt.NDArray[np.float32]:
    return RNG.standard_normal(shape, dtype=np.float32)


CONSTANTS: dict[str, npt.NDArray[Any]] = {
    "w": floats(4, 3, 3, 3), "v": floats(4, 4, 1, 1), "d": floats(4, 1, 3, 3), "t": floats(4, 2, 2, 3),
    "one": floats(1),
    "channels": floats(4, 1, 1), "row": floats(10), "scales": np.array([1, 1, 2, 3], np.float32),
    "none": np.zeros(0, np.float32),
    "sizes": np.array([2, 4, 5, 7]), "pads": np.array([0, 1, 2, 0, 0, 0, 1, 3]), "starts": np.array([1, 0]),
    "ends": np.array([3, 8]), "axes": np.array([1, -1]), "steps": np.array([1, 2]), "spatial": np.array([2, -1]),
    "middle": np.array([1]), "halves": np.array([1, 3]), "five": np.array([5]), "scale": floats(4), "mean": floats(4),
    "variance": np.abs(floats(4)) + 0.2, "flat": np.array([0, -1]), "t3": floats(4, 2, 3, 3), "slope": floats(4, 1, 1),
}  # fmt: skip
FIRST = node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1])
LAST = node("Conv", ["b", "v"], ["y"])


def ops(folder: Path, device: rx.Device, nodes: list[onnx.NodeProto], outputs: tuple[str, ...] = ("y",)) -> list[str]:
    read = {name for one in nodes for name in one.input}
    inputs = {name: one for name, one in (("x", X), ("z", Z)) if name in read}
    return fused_ops(folder, device, nodes, inputs, CONSTANTS, outputs=outputs, opset=18, tolerance=1e-4)


FOLLOWING = {
    "channels": [node("Mul", ["a", "channels"], ["e"]), node("Tanh", ["e"], ["b"])],
    "row": [node("Add", ["row", "a"], ["b"])],
    "number": [node("Pow", ["a", "one"], ["e"]), node("Abs", ["a"], ["b"])],
    "prelu": [node("PRelu", ["a", "slope"], ["b"])],
    "norm": [node("Abs", ["a"], ["e"]), node("BatchNormalization", ["e", "scale", "mean", "mean", "variance"], ["b"])],
    "gate": [node("GlobalAveragePool", ["a"], ["p"]), node("Sigmoid", ["p"], ["s"]), node("Mul", ["a", "s"], ["b"])],
    "mean": [node("ReduceMean", ["a", "spatial"], ["p"]), node("Sub", ["a", "p"], ["b"])],
    "max": [node("ReduceMax", ["a", "middle"], ["p"]), node("Sub", ["a", "p"], ["b"])],
    "concat": [node("Abs", ["a"], ["e"]), node("Split", ["e", "halves"], ["f", "g"], axis=1),
               node("Concat", ["g", "f"], ["b"], axis=-3)],
    "resize": [node("Resize", ["a", "none", "scales"], ["b"], mode="nearest")],
    "sizes": [node("Resize", ["a", "none", "none", "sizes"], ["b"], mode="linear")],
    "softmax": [node("Softmax", ["a"], ["b"], axis=1)],
    "max pool": [node("MaxPool", ["a"], ["b"], kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])],
    "mean pool": [node("AveragePool", ["a"], ["b"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)],
    "blocks": [node("ConvTranspose", ["a", "t"], ["e"], strides=[2, 3]), node("Concat", ["e", "e"], ["b"], axis=1)],
}  # fmt: skip


@pytest.mark.parametrize("between", FOLLOWING)
def test_between_convolutions_nothing_is_turned(tmp_path: Path, pocl: rx.Device, between: str) -> None:
    found = ops(tmp_path, pocl, [FIRST, *FOLLOWING[between], LAST])
    places = [place for place, op in enumerate(found) if op == "Transpose"]
    assert places == [0, len(found) - 1]


@pytest.mark.parametrize(
    "between",
    [
        [node("Pad", ["a", "pads"], ["y"])],
        [node("Slice", ["a", "starts", "ends", "axes", "steps"], ["y"])],
        [node("ReduceSum", ["a", "spatial"], ["y"], keepdims=0)],
        [node("ReduceSum", ["a", "middle"], ["y"], keepdims=0)],
        [node("ReduceL2", ["a", "axes"], ["y"], keepdims=0)],
    ],
)
def test_other_operators_follow(tmp_path: Path, pocl: rx.Device, between: list[onnx.NodeProto]) -> None:
    assert "PixelConv" in ops(tmp_path, pocl, [FIRST, *between])


@pytest.mark.parametrize(("perm", "turns"), [([0, 2, 3, 1], 1), ([0, 3, 2, 1], 2), ([3, 0, 1, 2], 2)])
def test_a_transpose_takes_the_turn_with_it(tmp_path: Path, pocl: rx.Device, perm: list[int], turns: int) -> None:
    found = ops(tmp_path, pocl, [FIRST, node("Transpose", ["a"], ["y"], perm=perm)])
    assert found.count("Transpose") == turns


@pytest.mark.parametrize(
    "between",
    [
        [node("Add", ["a", "z"], ["e"]), node("Abs", ["e"], ["b"])],
        [node("Concat", ["z", "a"], ["e"], axis=1), node("Slice", ["e", "middle", "five", "middle"], ["b"])],
    ],
)
def test_what_comes_channel_major_is_turned_once(
    tmp_path: Path, pocl: rx.Device, between: list[onnx.NodeProto]
) -> None:
    found = ops(tmp_path, pocl, [FIRST, *between, LAST])
    assert found.count("Transpose") == 3


def test_what_is_needed_both_ways_is_there_both_ways(tmp_path: Path, pocl: rx.Device) -> None:
    nodes = [FIRST, node("Conv", ["a", "d"], ["b"], group=4), LAST, node("Reshape", ["a", "flat"], ["f"])]
    assert ops(tmp_path, pocl, [*nodes, node("Relu", ["f"], ["q"])], ("y", "a", "q")).count("Transpose") == 3


def test_kernels_that_overlap_stay_channel_major(tmp_path: Path, pocl: rx.Device) -> None:
    found = ops(tmp_path, pocl, [FIRST, node("ConvTranspose", ["a", "t3"], ["y"], strides=[2, 2])])
    assert found[-1] == "ConvTranspose"


@pytest.mark.parametrize("lengths", [(2, 3, 9), (1, 3, 4, 5, 6)])
def test_one_and_three_axes(tmp_path: Path, pocl: rx.Device, lengths: tuple[int, ...]) -> None:
    rank = len(lengths) - 2
    constants = {"w": floats(5, 3, *[3] * rank), "v": floats(2, 5, *[1] * rank), "c": floats(5, *[1] * rank)}
    nodes = [
        node("Conv", ["x", "w"], ["a"], strides=[2] * rank, pads=[1] * 2 * rank),
        node("Tanh", ["a"], ["b"]),
        node("Div", ["b", "c"], ["e"]),
        node("Conv", ["e", "v"], ["y"]),
    ]
    found = fused_ops(tmp_path, pocl, nodes, {"x": floats(*lengths)}, constants, tolerance=1e-4)
    assert found == ["Transpose", "PixelConv", "Div", "PixelConv", "Transpose"]


def test_cards_keep_arrays_as_they_are(tmp_path: Path) -> None:
    inputs, outputs = {"x": (np.float32, [None] * 4)}, {"a": (np.float32, None)}
    path = write(tmp_path / "m.onnx", [FIRST], inputs, outputs, {"w": CONSTANTS["w"]})
    graph = specialise(rx.load(path).graph, {"x": Value(X.dtype, X.shape)})
    assert [one.op for one in optimise(graph, "gpu").nodes] == ["Conv"]
    assert [one.op for one in optimise(graph, "cpu").nodes] == ["Transpose", "PixelConv", "Transpose"]


CHAINED = ("channels", "gate", "concat", "softmax", "max pool", "norm", "mean", "max")


def _renamed(one: onnx.NodeProto, place: int) -> onnx.NodeProto:
    """A node of ``FOLLOWING`` as the ``place``-th link of a chain: from value v<place> to the next."""
    names = {"a": f"v{place}", "b": f"v{place + 1}", **{name: f"{name}{place}" for name in "efgps"}}
    made = onnx.NodeProto()
    made.CopyFrom(one)
    for side in (made.input, made.output):
        side[:] = [names.get(name, name) for name in side]
    return made


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(CHAINED), min_size=1, max_size=4))
def test_any_network(tmp_path_factory: pytest.TempPathFactory, pocl: rx.Device, chain: list[str]) -> None:
    first = node("Conv", ["x", "w"], ["v0"], pads=[1, 1, 1, 1])
    nodes = [first, *(_renamed(one, place) for place, name in enumerate(chain) for one in FOLLOWING[name])]
    nodes.append(node("Conv", [f"v{len(chain)}", "v"], ["y"]))
    assert ops(tmp_path_factory.mktemp("chain"), pocl, nodes).count("Transpose") == 2
