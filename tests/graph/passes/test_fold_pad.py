"""Zeros around an image become the convolution's own padding; nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from tests.graph.build import node
from tests.graph.passes.agreement import fused_ops

RNG = np.random.default_rng(0)
X = RNG.standard_normal((1, 3, 7, 8), dtype=np.float32)
CONSTANTS: dict[str, npt.NDArray[Any]] = {
    "w": RNG.standard_normal((4, 3, 3, 3), dtype=np.float32), "one": np.array(1, np.float32),
    "around": np.array([0, 0, 1, 2, 0, 0, 0, 1]),
    "channels": np.array([0, 1, 0, 0, 0, 0, 0, 0]), "cut": np.array([0, 0, -1, 0, 0, 0, 0, 0]),
    "w4": RNG.standard_normal((4, 4, 3, 3), dtype=np.float32),
}  # fmt: skip


def has_pad(folder: Path, device: rx.Device, pad: list[str], conv: list[str], **attributes: Any) -> bool:
    mode = attributes.pop("mode", "constant")
    nodes = [node("Pad", pad, ["p"], mode=mode), node("Conv", conv, ["y"], **attributes)]
    return "Pad" in fused_ops(folder, device, nodes, {"x": X}, CONSTANTS)


def test_zeros_go_into_the_convolution(tmp_path: Path, pocl: rx.Device) -> None:
    assert not has_pad(tmp_path, pocl, ["x", "around"], ["p", "w"], pads=[1, 0, 0, 1], strides=[2, 1])


@pytest.mark.parametrize(
    ("pad", "conv", "attributes"),
    [
        (["x", "around", "one"], ["p", "w"], {}),
        (["x", "around"], ["p", "w"], {"mode": "edge"}),
        (["x", "channels"], ["p", "w4"], {}),
        (["x", "cut"], ["p", "w"], {}),
        (["x", "around"], ["p", "w"], {"auto_pad": "SAME_UPPER"}),
    ],
)
def test_the_rest_stays(
    tmp_path: Path, pocl: rx.Device, pad: list[str], conv: list[str], attributes: dict[str, Any]
) -> None:
    assert has_pad(tmp_path, pocl, pad, conv, **attributes)


def test_who_else_reads_the_padded_image_still_finds_it(tmp_path: Path, pocl: rx.Device) -> None:
    nodes = [
        node("Pad", ["x", "around"], ["p"]),
        node("Conv", ["p", "w"], ["y"]),
        node("Relu", ["p"], ["z"]),
    ]
    found = fused_ops(tmp_path, pocl, nodes, {"x": X}, CONSTANTS, outputs=("y", "z"))
    assert "Pad" in found


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_any_pads(tmp_path_factory: pytest.TempPathFactory, pocl: rx.Device, pads: list[int]) -> None:
    constants = {**CONSTANTS, "around": np.array([0, 0, *pads[:2], 0, 0, *pads[2:4]])}
    nodes = [node("Pad", ["x", "around"], ["p"]), node("Conv", ["p", "w"], ["y"], pads=pads[4:])]
    assert "Pad" not in fused_ops(tmp_path_factory.mktemp("pads"), pocl, nodes, {"x": X}, constants)
