"""Models of a few bytes that ask for more memory or time than there is: refused soon, by node and cause."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import rx580lab as rx
from tests.graph.hostile import F, Types, around, refusal

HUGE = 1 << 60


def bombs() -> Iterator[tuple[str, onnx.ModelProto]]:
    """Few bytes that ask for more memory than there is."""
    node = helper.make_node
    x: Types = {"x": (F, [2])}
    picture: Types = {"p": (F, [1, 1, 2, 2])}
    yield "ConstantOfShape", around(node("ConstantOfShape", ["n"], ["y"], name="bomb"), n=[HUGE])
    yield "ConstantOfShape", around(node("ConstantOfShape", ["n"], ["y"], name="bomb"), n=[HUGE, HUGE, HUGE])
    yield "ConstantOfShape", around(node("ConstantOfShape", ["n"], ["y"], name="bomb"), n=[-1])
    yield "Expand", around(node("Expand", ["v", "n"], ["y"], name="bomb"), v=np.float32(1), n=[1 << 20, 1 << 20])
    yield (
        "Tile",
        around(node("Tile", ["v", "n"], ["y"], name="bomb"), v=np.ones((1, 1), np.float32), n=[1 << 20, 1 << 20]),
    )
    yield "Tile", around(node("Tile", ["x", "n"], ["y"], name="bomb"), inputs=x, n=[HUGE])
    yield "Expand", around(node("Expand", ["x", "n"], ["y"], name="bomb"), inputs=x, n=[HUGE, 2])
    yield "Pad", around(node("Pad", ["x", "n"], ["y"], name="bomb"), inputs=x, n=[HUGE, 0])
    yield "Pad", around(node("Pad", ["v", "n"], ["y"], name="bomb"), v=np.ones(2, np.float32), n=[1 << 40, 0])
    steps = node("Range", ["a", "b", "c"], ["y"], name="bomb")
    yield "Range", around(steps, a=np.float32(0), b=np.float32(1e30), c=np.float32(1e-30))
    yield "Range", around(steps, a=np.float32(0), b=np.float32(np.nan), c=np.float32(1))
    yield "Range", around(steps, a=np.float32(0), b=np.float32(1), c=np.float32(0))
    wide = node("Resize", ["p", "", "s"], ["y"], name="bomb", mode="nearest")
    yield "Resize", around(wide, inputs=picture, s=np.array([1, 1, 1e9, 1e9], np.float32))
    yield "Resize", around(wide, inputs=picture, s=np.array([1, 1, np.nan, np.inf], np.float32))


@pytest.mark.parametrize(("op", "made"), [pytest.param(*pair, id=f"{pair[0]}-{n}") for n, pair in enumerate(bombs())])
def test_a_few_bytes_that_ask_for_all_memory_are_refused(
    tmp_path: Path, pocl: rx.Device, op: str, made: onnx.ModelProto
) -> None:
    message = refusal(tmp_path, made, pocl)
    assert f"[m.onnx: node 'bomb' ({op})] " in message
    assert "not supported" not in message


def test_doubling_again_and_again_is_refused(tmp_path: Path, pocl: rx.Device) -> None:
    """Each step is small beside the one before, and sixty of them are not."""
    nodes = [helper.make_node("Concat", [f"v{n}"] * 2, [f"v{n + 1}"], name=f"n{n}", axis=0) for n in range(60)]
    nodes[-1].output[0] = "y"
    assert "(Concat)] " in refusal(tmp_path, around(*nodes, v0=np.ones(64, np.float32)), pocl)
