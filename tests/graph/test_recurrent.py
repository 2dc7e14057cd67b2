"""LSTM in all directions, and quantized as it runs, beside ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper

import rx580lab as rx
from rx580lab.errors import ModelError
from tests.graph.build import node, write
from tests.graph.quantized_nets import unfused_outputs

Data = npt.NDArray[Any]
STEPS, BATCH, WIDTH, UNITS = 6, 3, 5, 19


def _normal(rng: np.random.Generator, *shape: int) -> npt.NDArray[np.float32]:
    return (rng.standard_normal(shape) * 0.4).astype(np.float32)


def _lstm(path: Path, rng: np.random.Generator, direction: str, *, held: bool = True, **keywords: Any) -> Any:
    """A model of one LSTM with everything that it may have, and its inputs."""
    d = 2 if direction == "bidirectional" else 1
    made: dict[str, Data] = {
        "w": _normal(rng, d, 4 * UNITS, WIDTH), "r": _normal(rng, d, 4 * UNITS, UNITS),
        "b": _normal(rng, d, 8 * UNITS), "p": _normal(rng, d, 3 * UNITS),
        "h": _normal(rng, d, BATCH, UNITS), "c": _normal(rng, d, BATCH, UNITS),
        "ends": np.array([STEPS, 2, 4], np.int32),
    }  # fmt: skip
    inputs: dict[str, Data] = {"x": _normal(rng, STEPS, BATCH, WIDTH)}
    if not held:
        inputs |= {name: made.pop(name) for name in ("w", "r", "h")}
    names = ["x", "w", "r", "b", "ends", "h", "c", "p"]
    nodes = [node("LSTM", names, ["y", "last_h", "last_c"], direction=direction, hidden_size=UNITS, **keywords)]
    types = {name: (one.dtype, list(one.shape)) for name, one in inputs.items()}
    outputs: dict[str, Any] = dict.fromkeys(("y", "last_h", "last_c"), (np.float32, None))
    return write(path, nodes, types, outputs, made), inputs


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("held", [True, False])
def test_an_lstm_with_everything(tmp_path: Path, pocl: rx.Device, direction: str, held: bool) -> None:
    path, inputs = _lstm(tmp_path / "net.onnx", np.random.default_rng(0), direction, held=held)
    found = rx.load(path, pocl).run(inputs)
    for got, expected in zip(found.values(), unfused_outputs(path, inputs), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_a_step_is_a_launch(tmp_path: Path, pocl: rx.Device) -> None:
    path, inputs = _lstm(tmp_path / "net.onnx", np.random.default_rng(1), "bidirectional")
    (step,) = rx.load(path, pocl).plan(inputs).steps
    assert step.ops[-1] == "lstm"
    assert len([one for one in step.launches if "lstm" in repr(one)]) == STEPS


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (
            {"activations": ["Relu", "Tanh", "Tanh"]},
            "expected the activations sigmoid, tanh, tanh, got relu, tanh, tanh",
        ),
        ({"input_forget": 1}, "expected input and forget gates of their own"),
    ],
)
def test_other_forms_are_refused(tmp_path: Path, pocl: rx.Device, keywords: Any, message: str) -> None:
    path, inputs = _lstm(tmp_path / "net.onnx", np.random.default_rng(2), "forward", **keywords)
    with pytest.raises(ModelError, match=message):
        rx.load(path, pocl).run(inputs)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("batch", [1, 3])
def test_an_lstm_quantized_as_it_runs(tmp_path: Path, pocl: rx.Device, direction: str, batch: int) -> None:
    rng, d = np.random.default_rng(3), 2 if direction == "bidirectional" else 1
    made: dict[str, Data] = {"b": _normal(rng, d, 8 * UNITS)}
    for name, length in (("w", WIDTH), ("r", UNITS)):
        made[name] = rng.integers(-64, 64, (d, length, 4 * UNITS), np.int8)  # pairs that no processor saturates
        made[f"{name}_scale"] = rng.uniform(0.01, 0.02, d).astype(np.float32)
        made[f"{name}_zero"] = rng.integers(-3, 4, d, np.int8)
    names = ["x", "w", "r", "b", "", "", "", "", "w_scale", "w_zero", "r_scale", "r_zero"]
    one = helper.make_node(
        "DynamicQuantizeLSTM", names, ["y"], domain="com.microsoft", direction=direction, hidden_size=UNITS
    )
    path = write(
        tmp_path / "net.onnx", [one], {"x": (np.float32, [STEPS, batch, WIDTH])}, {"y": (np.float32, None)}, made
    )
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    x = _normal(rng, STEPS, batch, WIDTH)
    got, expected = rx.load(path, pocl).run({"x": x})["y"], unfused_outputs(path, {"x": x})[0]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)
