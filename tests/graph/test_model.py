"""A model from its file to its answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rx580lab as rx
from rx580lab.errors import DtypeError, InputError, LimitExceeded, ShapeError
from tests.graph.build import node, write
from tests.graph.oracle import onnxruntime_outputs

RNG = np.random.default_rng(0)


def _classifier(path: Path) -> Path:
    return write(
        path / "small.onnx",
        [
            node("Conv", ["x", "w", "bias"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
            node("Clip", ["c", "low", "high"], ["r"]),
            node("GlobalAveragePool", ["r"], ["p"]),
            node("Reshape", ["p", "flat"], ["f"]),
            node("Gemm", ["f", "v", "shift"], ["y"]),
        ],
        {"x": (np.float32, ["n", 3, "h", "w"])},
        {"y": (np.float32, ["n", 10])},
        {
            "w": RNG.standard_normal((8, 3, 3, 3), dtype=np.float32),
            "bias": RNG.standard_normal(8, dtype=np.float32),
            "low": np.float32(0),
            "high": np.float32(6),
            "flat": np.array([0, -1]),
            "v": RNG.standard_normal((8, 10), dtype=np.float32),
            "shift": RNG.standard_normal(10, dtype=np.float32),
        },
    )


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (3, 3, 17, 19)])
def test_it_answers_as_onnxruntime_does(tmp_path: Path, pocl: rx.Device, shape: tuple[int, ...]) -> None:
    path = _classifier(tmp_path)
    x = RNG.standard_normal(shape, dtype=np.float32)
    got = rx.load(path, pocl).run({"x": x})["y"]
    expected = onnxruntime_outputs(path, {"x": x})["y"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_an_activation_costs_no_launch(tmp_path: Path, pocl: rx.Device) -> None:
    plan = rx.load(_classifier(tmp_path), pocl).plan({"x": (1, 3, 32, 32)})
    assert [op for step in plan.steps for op in step.ops] == ["transpose", "conv", "reduce", "gemm"]


def test_inputs_that_do_not_fit_are_refused(tmp_path: Path, pocl: rx.Device) -> None:
    model = rx.load(_classifier(tmp_path), pocl)
    x = np.zeros((1, 3, 8, 8), np.float32)
    with pytest.raises(InputError, match="expected inputs x, got none for 'x'"):
        model.run({})
    with pytest.raises(InputError, match="expected inputs x, got 'z'"):
        model.run({"x": x, "z": x})
    with pytest.raises(DtypeError, match="expected input 'x' of float32, got float64"):
        model.run({"x": x.astype(np.float64)})
    with pytest.raises(ShapeError, match=r"expected input 'x' of shape \('n', 3, 'h', 'w'\), got \(1, 4, 8, 8\)"):
        model.run({"x": np.zeros((1, 4, 8, 8), np.float32)})


def test_a_model_that_cannot_fit_says_so_with_figures(tmp_path: Path) -> None:
    device = rx.open_device("pocl", limits=rx.Limits(memory_bytes=100_000))
    with pytest.raises(LimitExceeded, match=r"within 100,000 bytes of device memory, got one that needs [\d,]+"):
        rx.load(_classifier(tmp_path), device).run({"x": np.zeros((1, 3, 128, 128), np.float32)})


def test_a_question_mark_is_no_name_of_a_length(tmp_path: Path, pocl: rx.Device) -> None:
    infos = {"x": (np.float32, ["?", "?"])}, {"y": (np.float32, ["?", "?"])}
    model = rx.load(write(tmp_path / "any.onnx", [node("Relu", ["x"], ["y"])], *infos), pocl)
    assert model.inputs["x"].shape == (None, None)
    x = np.array([[-1, 2, 3]], np.float32)
    np.testing.assert_array_equal(model.run({"x": x})["y"], [[0, 2, 3]])
