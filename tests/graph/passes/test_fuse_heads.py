"""Attention takes its heads from rows and leaves them there; projections of one array become one product."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import rx580lab as rx
from tests.graph.build import node
from tests.graph.passes.agreement import fused_ops

RNG = np.random.default_rng(0)
WIDTH, HEADS, SIZE, TOKENS = 40, 3, 16, 9
INNER = HEADS * SIZE
CONSTANTS: dict[str, Any] = {
    **{f"w{side}": RNG.standard_normal((WIDTH, INNER), dtype=np.float32) * 0.2 for side in "qkv"},
    **{f"b{side}": RNG.standard_normal(INNER, dtype=np.float32) for side in "qkv"},
    "w": RNG.standard_normal((WIDTH, 3 * INNER), dtype=np.float32) * 0.2,
    "split": np.array([0, 0, HEADS, SIZE]),
    "split3": np.array([0, 0, 3, HEADS, SIZE]),
    "join": np.array([0, 0, INNER]),
    "root": np.array(4, np.float32),
    **{str(place): np.array([place]) for place in range(4)},
    **{f"part{place}": np.array(place) for place in range(3)},
}
Nodes = list[onnx.NodeProto]


def _projected(*, sources: str = "xxx", value_perm: tuple[int, ...] = (0, 2, 1, 3)) -> Nodes:
    nodes = []
    for side, source, perm in zip("qkv", sources, ((0, 2, 1, 3), (0, 2, 3, 1), value_perm), strict=True):
        nodes += [
            node("MatMul", [source, f"w{side}"], [f"{side}0"]),
            node("Add", [f"{side}0", f"b{side}"], [f"{side}1"]),
            node("Reshape", [f"{side}1", "split"], [f"{side}2"]),
            node("Transpose", [f"{side}2"], [side], perm=list(perm)),
        ]
    return nodes


def _attended(k: str = "k") -> Nodes:
    return [
        node("MatMul", ["q", k], ["a"]),
        node("Div", ["a", "root"], ["b"]),
        node("Add", ["b", "mask"], ["c"]),
        node("Softmax", ["c"], ["s"], axis=-1),
        node("MatMul", ["s", "v"], ["o"]),
    ]


TOGETHER = [node("Transpose", ["o"], ["t"], perm=[0, 2, 1, 3]), node("Reshape", ["t", "join"], ["y"])]


def _ops(folder: Path, device: rx.Device, nodes: Nodes, outputs: tuple[str, ...] = ("y",)) -> list[str]:
    arrays = {
        "x": RNG.standard_normal((2, TOKENS, WIDTH), dtype=np.float32),
        "z": RNG.standard_normal((2, TOKENS, WIDTH), dtype=np.float32),
        "mask": np.where(RNG.random((2, 1, 1, TOKENS)) < 0.3, -10000, 0).astype(np.float32),
    }
    read = {name for one in nodes for name in one.input}
    inputs = {name: one for name, one in arrays.items() if name in read}
    return fused_ops(folder, device, nodes, inputs, CONSTANTS, outputs=outputs)


def test_projections_and_attention_are_two_launches(tmp_path: Path, pocl: rx.Device) -> None:
    assert _ops(tmp_path, pocl, [*_projected(), *_attended(), *TOGETHER]) == ["MatMul", "Attention"]


def test_projections_of_other_arrays_stay_apart(tmp_path: Path, pocl: rx.Device) -> None:
    ops = _ops(tmp_path, pocl, [*_projected(sources="xzz"), *_attended(), *TOGETHER])
    assert ops == ["MatMul", "MatMul", "MatMul", "Attention"]


@pytest.mark.parametrize("between", ["q0", "k1", "v1"])
def test_projections_that_others_read_stay_apart(tmp_path: Path, pocl: rx.Device, between: str) -> None:
    ops = _ops(tmp_path, pocl, [*_projected(), *_attended(), *TOGETHER], ("y", between))
    assert ops.count("MatMul") == 3
    assert ops[-1] == "Attention"


@pytest.mark.parametrize("between", ["q", "v2", "o", "t"])
def test_heads_that_others_read_are_put_apart(tmp_path: Path, pocl: rx.Device, between: str) -> None:
    ops = _ops(tmp_path, pocl, [*_projected(), *_attended(), *TOGETHER], ("y", between))
    assert "Transpose" in ops


def test_heads_turned_otherwise_are_put_apart(tmp_path: Path, pocl: rx.Device) -> None:
    """Heads and tokens of equal number, so that the wrong order fits as well."""
    nodes = [*_projected(), *_attended(), node("Transpose", ["o"], ["t"], perm=[0, 2, 3, 1])]
    nodes.append(node("Reshape", ["t", "join"], ["y"]))
    assert "Transpose" in _ops(tmp_path, pocl, nodes)


@pytest.mark.parametrize("by", ["Gather", "Slice"])
def test_parts_of_one_projection_are_columns(tmp_path: Path, pocl: rx.Device, by: str) -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["p"]),
        node("Reshape", ["p", "split3"], ["r"]),
        node("Transpose", ["r"], ["parts"], perm=[2, 0, 3, 1, 4]),
    ]
    for place, side in enumerate("qkv"):
        if by == "Gather":
            nodes.append(node("Gather", ["parts", f"part{place}"], [side], axis=0))
        else:
            nodes.append(node("Slice", ["parts", str(place), str(place + 1), "0"], [f"{side}1"]))
            nodes.append(node("Squeeze", [f"{side}1", "0"], [side]))
    nodes += [node("Transpose", ["k"], ["k_turned"], perm=[0, 1, 3, 2]), *_attended("k_turned"), *TOGETHER]
    assert _ops(tmp_path, pocl, nodes) == ["MatMul", "Attention"]
