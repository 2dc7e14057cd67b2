"""Norms written as moments and roots are found, and only these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from tests.graph.build import node
from tests.graph.passes.agreement import fused_ops

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 5, 24), dtype=np.float32)
CONSTANTS: dict[str, Any] = {
    "scale": RNG.standard_normal(24, dtype=np.float32),
    "wide": RNG.standard_normal((1, 1, 24), dtype=np.float32),
    "rows": RNG.standard_normal((5, 24), dtype=np.float32),
    "bias": RNG.standard_normal(24, dtype=np.float32),
    "epsilon": np.array(1e-3, np.float32),
    "one": np.array(1, np.float32),
    "two": np.array(2, np.float32),
    "root": np.array(0.5, np.float32),
    "inverse": np.array(-0.5, np.float32),
    "last": np.array([-1]),
    "middle": np.array([1]),
}
Nodes = list[onnx.NodeProto]


def _mean(source: str, out: str, opset: int, axes: str = "last") -> onnx.NodeProto:
    """A mean that keeps its axes, as that version has it."""
    if opset >= 18:
        return node("ReduceMean", [source, axes], [out], keepdims=1)
    return node("ReduceMean", [source], [out], axes=CONSTANTS[axes].tolist(), keepdims=1)


def _layer_norm(
    *,
    opset: int = 17,
    square: str = "Pow",
    inverse: str = "",
    twice: bool = False,
    scale: str = "scale",
    axes: str = "last",
) -> Nodes:
    """Mean, difference (``twice``), square, mean, epsilon, root or its inverse, ratio, ``scale``, bias."""
    second = "d2" if twice else "d"
    nodes = [_mean("x", "m", opset, axes), node("Sub", ["x", "m"], ["d"])]
    nodes += [node("Sub", ["x", "m"], ["d2"])] if twice else []
    nodes += [node("Pow", [second, "two"], ["q"]) if square == "Pow" else node("Mul", [second, second], ["q"])]
    nodes += [_mean("q", "v", opset, axes), node("Add", ["v", "epsilon"], ["e"])]
    if inverse == "Pow":
        nodes += [node("Pow", ["e", "inverse"], ["r"]), node("Mul", ["d", "r"], ["n"])]
    elif inverse == "Reciprocal":
        nodes += [node("Sqrt", ["e"], ["s"]), node("Reciprocal", ["s"], ["r"]), node("Mul", ["r", "d"], ["n"])]
    elif inverse == "Div":
        nodes += [node("Sqrt", ["e"], ["s"]), node("Div", ["one", "s"], ["r"]), node("Mul", ["d", "r"], ["n"])]
    else:
        nodes += [node("Sqrt", ["e"], ["s"]), node("Div", ["d", "s"], ["n"])]
    return [*nodes, node("Mul", ["n", scale], ["g"]), node("Add", ["bias", "g"], ["y"])]


def _ops(
    folder: Path, device: rx.Device, nodes: Nodes, outputs: tuple[str, ...] = ("y",), opset: int = 17
) -> list[str]:
    return fused_ops(folder, device, nodes, {"x": X}, CONSTANTS, outputs=outputs, opset=opset)


@settings(max_examples=20, deadline=None)
@given(
    opset=st.sampled_from([13, 17, 18]),
    square=st.sampled_from(["Pow", "Mul"]),
    inverse=st.sampled_from(["", "Pow", "Reciprocal", "Div"]),
    twice=st.booleans(),
    scale=st.sampled_from(["scale", "wide"]),
)
def test_layer_norm_is_found(
    tmp_path_factory: pytest.TempPathFactory,
    pocl: rx.Device,
    opset: int,
    square: str,
    inverse: str,
    twice: bool,
    scale: str,
) -> None:
    nodes = _layer_norm(opset=opset, square=square, inverse=inverse, twice=twice, scale=scale)
    assert _ops(tmp_path_factory.mktemp("norm"), pocl, nodes, opset=opset) == ["LayerNormalization"]


def test_layer_norm_without_scale_and_bias(tmp_path: Path, pocl: rx.Device) -> None:
    nodes = _layer_norm()[:-3]
    assert _ops(tmp_path, pocl, [*nodes, node("Div", ["d", "s"], ["y"])]) == ["LayerNormalization"]


def test_a_scale_of_other_axes_stays_behind(tmp_path: Path, pocl: rx.Device) -> None:
    nodes = _layer_norm(scale="rows")
    assert _ops(tmp_path, pocl, nodes) == ["LayerNormalization", "Mul", "Add"]


RMS = [
    node("Pow", ["x", "two"], ["q"]), _mean("q", "v", 17), node("Add", ["v", "epsilon"], ["e"]),
    node("Sqrt", ["e"], ["s"]), node("Reciprocal", ["s"], ["r"]), node("Mul", ["x", "r"], ["n"]),
    node("Mul", ["scale", "n"], ["y"]),
]  # fmt: skip


def test_rms_norm_is_found(tmp_path: Path, pocl: rx.Device) -> None:
    assert _ops(tmp_path, pocl, RMS) == ["RMSNormalization"]


def test_rms_norm_has_no_bias(tmp_path: Path, pocl: rx.Device) -> None:
    nodes = [*RMS[:-1], node("Mul", ["n", "scale"], ["g"]), node("Add", ["g", "bias"], ["y"])]
    assert _ops(tmp_path, pocl, nodes) == ["RMSNormalization", "Add"]


def test_not_where_axes_are_not_the_last(tmp_path: Path, pocl: rx.Device) -> None:
    assert "LayerNormalization" not in _ops(tmp_path, pocl, _layer_norm(axes="middle"))


@pytest.mark.parametrize(
    ("place", "changed"),
    [
        (0, _mean("x", "m", 17, "middle")),
        (1, node("Sub", ["m", "x"], ["d"])),
        (2, node("Mul", ["d", "x"], ["q"])),
        (4, node("Add", ["v", "scale"], ["e"])),
        (6, node("Div", ["x", "s"], ["n"])),
        (6, node("Mul", ["d", "s"], ["n"])),
    ],
)
def test_not_where_a_step_is_another(tmp_path: Path, pocl: rx.Device, place: int, changed: onnx.NodeProto) -> None:
    nodes = [changed if k == place else one for k, one in enumerate(_layer_norm())]
    assert "LayerNormalization" not in _ops(tmp_path, pocl, nodes)


@pytest.mark.parametrize("between", ["m", "d", "q", "v", "e", "s", "n", "g"])
def test_not_where_the_graph_gives_out_what_lies_between(tmp_path: Path, pocl: rx.Device, between: str) -> None:
    ops = _ops(tmp_path, pocl, _layer_norm(), ("y", between))
    assert ("LayerNormalization" in ops) == (between in ("n", "g"))
