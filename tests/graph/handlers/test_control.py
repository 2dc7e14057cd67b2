"""Branches: the one that is taken is inlined, whatever it reads from around it; data cannot decide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper, numpy_helper

import rx580lab as rx
from rx580lab.errors import ModelError
from tests.graph.build import node, write
from tests.graph.oracle import onnxruntime_outputs

X = np.arange(6, dtype=np.float32).reshape(2, 3) - 2


def branch(
    nodes: list[onnx.NodeProto], outputs: list[str], constants: Mapping[str, npt.ArrayLike] | None = None
) -> onnx.GraphProto:
    held = [numpy_helper.from_array(np.asarray(one), name) for name, one in (constants or {}).items()]
    return helper.make_graph(
        nodes,
        "branch",
        [],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs],
        held,
    )


def chosen(path: Path, then: onnx.GraphProto, otherwise: onnx.GraphProto, condition: str = "c", **more: Any) -> Path:
    """Relu(x), then an If on ``condition`` whose branches may read x, r and w; then a Neg."""
    return write(
        path,
        [
            node("Relu", ["x"], ["r"]),
            *more.get("before", []),
            node("If", [condition], ["i"], name="choice", then_branch=then, else_branch=otherwise),
            node("Neg", ["i"], ["y"]),
        ],
        {"x": (np.float32, ["n", 3]), **more.get("inputs", {})},
        {"y": (np.float32, None)},
        {"w": np.array([10, 20, 30], np.float32), **more.get("constants", {})},
    )


THEN = branch([node("Add", ["r", "w"], ["s"]), node("Mul", ["s", "k"], ["t"])], ["t"], {"k": np.float32(3)})
OTHERWISE = branch([node("Sub", ["x", "k"], ["t"])], ["t"], {"k": np.float32(5)})


@pytest.mark.parametrize("condition", [True, False])
def test_a_constant_decides_at_once(tmp_path: Path, pocl: rx.Device, condition: bool) -> None:
    path = chosen(tmp_path / "m.onnx", THEN, OTHERWISE, constants={"c": np.array(condition)})
    model = rx.load(path, pocl)
    np.testing.assert_array_equal(model.run({"x": X})["y"], onnxruntime_outputs(path, {"x": X})["y"])
    ops = [one.node.op for one in model.plan({"x": (2, 3)}).steps]
    assert "If" not in ops
    assert ("Relu" in ops) == condition, "what only the other branch reads is not computed"


def test_an_input_decides_each_time(tmp_path: Path, pocl: rx.Device) -> None:
    before = [node("Equal", ["rate", "wanted"], ["c"])]
    more: dict[str, Any] = {
        "before": before,
        "inputs": {"rate": (np.int64, [])},
        "constants": {"wanted": np.int64(16000)},
    }
    path = chosen(tmp_path / "m.onnx", THEN, OTHERWISE, **more)
    model = rx.load(path, pocl)
    for rate in (16000, 8000, 16000):
        inputs = {"x": X, "rate": np.array(rate)}
        np.testing.assert_array_equal(model.run(inputs)["y"], onnxruntime_outputs(path, inputs)["y"])


def test_a_shape_decides_as_exports_of_squeeze_have_it(tmp_path: Path, pocl: rx.Device) -> None:
    before = [
        node("Shape", ["x"], ["lengths"]),
        node("Gather", ["lengths", "zero"], ["n"]),
        node("Equal", ["n", "one"], ["c"]),
    ]
    then = branch([node("Squeeze", ["x", "axes"], ["t"])], ["t"])
    otherwise = branch([node("Identity", ["x"], ["t"])], ["t"])
    constants = {"zero": np.int64(0), "one": np.int64(1), "axes": np.array([0])}
    path = chosen(tmp_path / "m.onnx", then, otherwise, before=before, constants=constants)
    model = rx.load(path, pocl)
    assert model.run({"x": X[:1]})["y"].shape == (3,)
    assert model.run({"x": X})["y"].shape == (2, 3)


def test_inputs_that_a_branch_needs_on_the_host_decide_too(tmp_path: Path, pocl: rx.Device) -> None:
    before = [node("Equal", ["rate", "wanted"], ["c"])]
    then = branch([node("Reshape", ["x", "shape"], ["t"])], ["t"])
    inputs = {"rate": (np.int64, []), "shape": (np.int64, [2])}
    path = chosen(tmp_path / "m.onnx", then, OTHERWISE, before=before, inputs=inputs, constants={"wanted": np.int64(1)})
    model = rx.load(path, pocl)
    for shape in ([3, 2], [1, -1]):
        got = model.run({"x": X, "rate": np.array(1), "shape": np.array(shape)})["y"]
        np.testing.assert_array_equal(got, -X.reshape(shape))


def test_branches_inside_of_branches_and_twice_the_same(tmp_path: Path, pocl: rx.Device) -> None:
    deep = branch([node("Sub", ["x", "five"], ["deep"])], ["deep"], {"five": np.float32(5)})
    inner = node("If", ["d"], ["u"], then_branch=branch([], ["w"]), else_branch=deep)
    outer = branch([node("Abs", ["x"], ["a"]), inner, node("Add", ["a", "u"], ["t"])], ["t"])
    constants: dict[str, npt.ArrayLike] = {"c": np.array(True), "d": np.array(False), "w": [1.0, 2, 3]}
    choices = [
        node("If", [name], [out], name="same", then_branch=outer, else_branch=OTHERWISE)
        for name, out in (("c", "y"), ("c", "z"), ("d", "v"))
    ]
    path = write(
        tmp_path / "m.onnx",
        [node("Relu", ["x"], ["r"]), *choices],
        {"x": (np.float32, [2, 3])},
        dict.fromkeys(("y", "z", "v"), (np.float32, None)),
        constants,
    )
    got = rx.load(path, pocl).run({"x": X})
    for name, expected in (("y", np.abs(X) + X - 5), ("z", np.abs(X) + X - 5), ("v", X - 5)):
        np.testing.assert_array_equal(got[name], expected)


def test_a_branch_may_give_what_it_did_not_compute(tmp_path: Path, pocl: rx.Device) -> None:
    then = branch([node("Abs", ["x"], ["a"])], ["a", "x", "r", "k"], {"k": np.array([7], np.float32)})
    otherwise = branch([], ["r", "x", "w", "v"])
    choice = node("If", ["c"], ["p", "q", "s", "k0"], then_branch=then, else_branch=otherwise)
    outputs = dict.fromkeys(("p", "q", "s", "k0"), (np.float32, None))
    for condition in (True, False):
        path = write(
            tmp_path / "m.onnx",
            [node("Relu", ["x"], ["r"]), choice],
            {"x": (np.float32, [2, 3])},
            outputs,
            {"c": np.array([condition]), "w": np.ones(2, np.float32), "v": np.ones(2, np.float32)},
        )
        got = rx.load(path, pocl).run({"x": X})
        r, w = np.maximum(X, 0), np.ones(2)
        wanted = (np.abs(X), X, r, np.array([7])) if condition else (r, X, w, w)
        for name, expected in zip(outputs, wanted, strict=True):
            np.testing.assert_array_equal(got[name], expected)


def test_a_condition_is_one_value(tmp_path: Path, pocl: rx.Device) -> None:
    path = chosen(tmp_path / "m.onnx", THEN, OTHERWISE, constants={"c": np.array([True, False])})
    with pytest.raises(ModelError, match=r"node 'choice' \(If\)\] expected a condition of one element, got \(2,\)"):
        rx.load(path, pocl)


def test_what_the_device_computes_cannot_decide(tmp_path: Path, pocl: rx.Device) -> None:
    before = [
        node("Unsqueeze", ["x", "axes"], ["p"]),
        node("Conv", ["p", "v"], ["q"]),
        node("Cast", ["q"], ["c"], to=9),
    ]
    constants = {"axes": np.array([0]), "v": np.ones((1, 2, 3), np.float32)}
    path = chosen(tmp_path / "m.onnx", THEN, OTHERWISE, before=before, constants=constants)
    with pytest.raises(
        ModelError, match=r"'choice' \(If\)\] input 0 \('c'\) decides which branch runs, and data decide"
    ):
        rx.load(path, pocl).run({"x": X})
