"""Models that load a server: what they compute, and that a seed gives them again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from rx580lab.errors import ShapeError
from rx580lab.experiment.serving_models import write_mlp
from rx580lab.graph.model import load


def test_an_mlp_is_what_its_weights_say(tmp_path: Path) -> None:
    path = write_mlp(tmp_path, "small", widths=(6, 16, 3), seed=7)
    assert path == tmp_path / "small" / "1" / "model.onnx"
    weights = {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    x = np.random.default_rng(0).standard_normal((4, 6), dtype=np.float32)
    expected = np.maximum(x @ weights["w0"] + weights["b0"], 0) @ weights["w1"] + weights["b1"]
    np.testing.assert_allclose(load(path, "pocl").run({"x": x})["y"], expected, rtol=1e-4, atol=1e-5)
    again = write_mlp(tmp_path, "again", widths=(6, 16, 3), seed=7)
    assert onnx.load(again).graph.initializer == onnx.load(path).graph.initializer


def test_an_mlp_needs_two_widths(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="two widths"):
        write_mlp(tmp_path, widths=(6,))
