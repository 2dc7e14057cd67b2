"""``rx580lab profile`` on a small model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rx580lab.cli import app
from tests.graph.build import node, write


@pytest.fixture
def small(tmp_path: Path) -> Path:
    w = np.ones((4, 3, 3, 3), np.float32)
    nodes = [node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["y"])]
    lengths: list[int | str | None] = ["n", 3, "h", "w"]
    return write(tmp_path / "small.onnx", nodes, {"x": (np.float32, lengths)}, {"y": (np.float32, None)}, {"w": w})


def test_the_steps_are_listed(small: Path) -> None:
    done = CliRunner().invoke(app, ["profile", str(small), "--set", "x=1x3x16x16", "-d", "pocl", "--rounds", "2"])
    assert done.exit_code == 0, done.output
    assert "Conv_0" in done.output
    assert " ms in " in done.output


def test_for_programs(small: Path) -> None:
    command = ["profile", str(small), "--set", "x=1x3x16x16", "-d", "pocl", "--rounds", "2", "--json"]
    done = CliRunner().invoke(app, command)
    found = json.loads(done.stdout)
    (convolution,) = [one for one in found if "conv" in one["ops"]]
    assert convolution["time_ns"]["n"] == 2
    assert convolution["flop"] == 2 * 4 * 14 * 14 * 27


def test_an_input_that_is_not_there(small: Path) -> None:
    done = CliRunner().invoke(app, ["profile", str(small), "--set", "y=1x3x16x16", "-d", "pocl"])
    assert done.exit_code == 1
    assert "expected lengths of x, got 'y'" in done.stderr
