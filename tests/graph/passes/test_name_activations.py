"""Activations written as several operators are found, and only these."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from tests.graph.build import node
from tests.graph.passes.agreement import fused_ops

X = np.random.default_rng(0).standard_normal((3, 40), dtype=np.float32) * 3
NUMBERS = {
    "one": 1, "half": 0.5, "two": 2, "three": 3, "six": 6, "zero": 0, "sixth": 1 / 6, "root": math.sqrt(2),
    "root_half": math.sqrt(0.5), "slope": math.sqrt(2 / math.pi), "cube": 0.044715,
}  # fmt: skip
CONSTANTS = {name: np.array(number, np.float32) for name, number in NUMBERS.items()}
Nodes = list[onnx.NodeProto]


def _ops(folder: Path, device: rx.Device, nodes: Nodes, outputs: tuple[str, ...] = ("y",)) -> list[str]:
    return fused_ops(folder, device, nodes, {"x": X}, CONSTANTS, outputs=outputs)


SILU = [node("Sigmoid", ["x"], ["s"]), node("Mul", ["x", "s"], ["y"])]
SILU_TIMES_ONE = [node("Mul", ["x", "one"], ["i"]), node("Sigmoid", ["i"], ["s"]), node("Mul", ["s", "x"], ["y"])]
MISH = [node("Softplus", ["x"], ["p"]), node("Tanh", ["p"], ["t"]), node("Mul", ["x", "t"], ["y"])]
HARD_GATE = [node("HardSigmoid", ["x"], ["s"], alpha=0.3, beta=0.4), node("Mul", ["x", "s"], ["y"])]
RAMP = [node("Add", ["x", "three"], ["a"]), node("Clip", ["a", "zero", "six"], ["c"])]
HARD_SWISH = [*RAMP, node("Mul", ["x", "c"], ["m"]), node("Div", ["m", "six"], ["y"])]
HARD_SWISH_INSIDE = [*RAMP, node("Mul", ["c", "sixth"], ["m"]), node("Mul", ["x", "m"], ["y"])]
HARD_SIGMOID = [*RAMP, node("Div", ["c", "six"], ["y"])]
ERF = [node("Div", ["x", "root"], ["u"]), node("Erf", ["u"], ["e"]), node("Add", ["e", "one"], ["a"])]
GELU = [*ERF, node("Mul", ["x", "a"], ["m"]), node("Mul", ["m", "half"], ["y"])]
GELU_HALF_FIRST = [
    node("Mul", ["root_half", "x"], ["u"]), node("Erf", ["u"], ["e"]), node("Add", ["one", "e"], ["a"]),
    node("Mul", ["half", "x"], ["h"]), node("Mul", ["h", "a"], ["y"]),
]  # fmt: skip
TANH_GATE = [
    node("Tanh", ["u"], ["t"]), node("Add", ["t", "one"], ["g"]), node("Mul", ["x", "half"], ["h"]),
    node("Mul", ["h", "g"], ["y"]),
]  # fmt: skip
GELU_TANH = [
    node("Pow", ["x", "three"], ["p"]), node("Mul", ["cube", "p"], ["q"]), node("Add", ["x", "q"], ["r"]),
    node("Mul", ["r", "slope"], ["u"]), *TANH_GATE,
]  # fmt: skip
GELU_TANH_FACTORED = [
    node("Mul", ["x", "x"], ["p"]), node("Mul", ["p", "cube"], ["q"]), node("Add", ["q", "one"], ["r"]),
    node("Mul", ["x", "slope"], ["v"]), node("Mul", ["v", "r"], ["u"]), *TANH_GATE,
]  # fmt: skip
FOUND = {
    "silu": SILU, "silu of 1 x": SILU_TIMES_ONE, "mish": MISH, "x hard sigmoid": HARD_GATE, "hard swish": HARD_SWISH,
    "hard swish, 1/6 inside": HARD_SWISH_INSIDE, "hard sigmoid": HARD_SIGMOID, "gelu": GELU,
    "gelu, 1/2 first": GELU_HALF_FIRST, "gelu by tanh": GELU_TANH, "gelu by tanh, factored": GELU_TANH_FACTORED,
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_it_is_found(tmp_path: Path, pocl: rx.Device, name: str) -> None:
    assert _ops(tmp_path, pocl, FOUND[name]) == ["Activation"]


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(sorted(FOUND)), data=st.data())
def test_not_where_the_graph_gives_out_what_lies_between(
    tmp_path_factory: pytest.TempPathFactory, pocl: rx.Device, name: str, data: st.DataObject
) -> None:
    between = data.draw(st.sampled_from([one.output[0] for one in FOUND[name][:-1]]))
    ops = _ops(tmp_path_factory.mktemp("between"), pocl, FOUND[name], ("y", between))
    assert ops != ["Activation"]
    assert len(ops) > 1


@pytest.mark.parametrize(
    ("name", "place", "changed"),
    [
        ("silu", 1, node("Mul", ["s", "s"], ["y"])),
        ("silu of 1 x", 0, node("Mul", ["x", "two"], ["i"])),
        ("hard swish", 3, node("Div", ["m", "three"], ["y"])),
        ("hard swish", 1, node("Clip", ["a", "one", "six"], ["c"])),
        ("hard sigmoid", 1, node("Clip", ["a", "", "six"], ["c"])),
        ("gelu", 0, node("Div", ["x", "two"], ["u"])),
        ("gelu", 2, node("Add", ["e", "two"], ["a"])),
        ("gelu", 4, node("Mul", ["m", "two"], ["y"])),
        ("gelu by tanh", 0, node("Pow", ["x", "two"], ["p"])),
        ("gelu by tanh", 1, node("Mul", ["half", "p"], ["q"])),
        ("gelu by tanh, factored", 2, node("Add", ["q", "two"], ["r"])),
    ],
)
def test_not_with_other_numbers(
    tmp_path: Path, pocl: rx.Device, name: str, place: int, changed: onnx.NodeProto
) -> None:
    nodes = [changed if k == place else one for k, one in enumerate(FOUND[name])]
    assert "Activation" not in _ops(tmp_path, pocl, nodes)


def test_not_with_a_gate_of_another_value(tmp_path: Path, pocl: rx.Device) -> None:
    nodes = [node("Tanh", ["x"], ["z"]), node("Sigmoid", ["z"], ["s"]), node("Mul", ["x", "s"], ["y"])]
    assert _ops(tmp_path, pocl, nodes) == ["Tanh", "Sigmoid", "Mul"]


def test_a_product_takes_it_over(tmp_path: Path, pocl: rx.Device) -> None:
    w = np.random.default_rng(1).standard_normal((40, 16), dtype=np.float32)
    nodes = [node("MatMul", ["input", "w"], ["x"]), *GELU]
    assert fused_ops(tmp_path, pocl, nodes, {"input": X}, {**CONSTANTS, "w": w}) == ["MatMul"]
