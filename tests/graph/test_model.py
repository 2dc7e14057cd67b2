"""A model from its file to its answer."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyopencl as cl
import pytest

import rx580lab as rx
from rx580lab.errors import DeviceError, DtypeError, InputError, LimitExceeded, ModelError, ShapeError
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
    infos = {"x": (np.float32, ("?", "?"))}, {"y": (np.float32, ("?", "?"))}
    model = rx.load(write(tmp_path / "any.onnx", [node("Relu", ["x"], ["y"])], *infos), pocl)
    assert model.inputs["x"].shape == (None, None)
    x = np.array([[-1, 2, 3]], np.float32)
    np.testing.assert_array_equal(model.run({"x": x})["y"], [[0, 2, 3]])


def test_an_input_may_be_on_the_device_or_lie_apart(tmp_path: Path, pocl: rx.Device) -> None:
    model = rx.load(_classifier(tmp_path), pocl)
    x = RNG.standard_normal((1, 3, 32, 32), dtype=np.float32)
    expected = model.run({"x": x})["y"]
    apart = np.asfortranarray(np.repeat(x, 2, axis=3))[..., ::2]
    assert not apart.flags.c_contiguous
    for given in (pocl.upload(x), apart, pocl.upload(np.stack([x, x])).view_from(x.size, x.shape)):
        assert np.array_equal(model.run({"x": given})["y"], expected)
    elsewhere = rx.open_device("pocl").upload(x)
    with pytest.raises(InputError, match="expected input 'x' on the model's device, got Array"):
        model.run({"x": elsewhere})
    with pytest.raises(InputError, match="expected input 'x' as an array"):
        model.run({"x": [[1.0], [1.0, 2.0]]})


def test_only_the_outputs_that_are_asked_for_come_back(tmp_path: Path, pocl: rx.Device) -> None:
    kind = (np.float32, [4])
    nodes = [node("Relu", ["x"], ["r"]), node("Exp", ["r"], ["e"])]
    model = rx.load(write(tmp_path / "two.onnx", nodes, {"x": kind}, {"r": kind, "e": kind}), pocl)
    x = np.array([-1, 0, 1, 2], np.float32)
    assert list(model.run({"x": x})) == ["r", "e"]
    assert list(model.run({"x": x}, ["e"])) == ["e"]
    with pytest.raises(InputError, match="expected outputs among r, e, got 'q'"):
        model.run({"x": x}, ["q"])
    with pytest.raises(InputError, match="expected names among x, got 'z'"):
        model.plan({"x": (4,)}).run({"z": x})


def test_threads_share_a_model(tmp_path: Path, pocl: rx.Device) -> None:
    model = rx.load(_classifier(tmp_path), pocl)
    images = [RNG.standard_normal((1, 3, 16 + k % 3, 16), dtype=np.float32) for k in range(12)]
    expected = [model.run({"x": image})["y"] for image in images]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda image: model.run({"x": image})["y"], images * 3))
    assert all(np.array_equal(one, other) for one, other in zip(got, expected * 3, strict=True))


def test_more_shapes_than_plans_that_are_kept(tmp_path: Path) -> None:
    device = rx.open_device("pocl")
    model = rx.load(_classifier(tmp_path), device)
    shapes = [(1, 3, 8 + k, 8) for k in range(7)]
    first = {shape: model.run({"x": np.ones(shape, np.float32)})["y"] for shape in shapes}
    held = device.bytes_in_use
    for shape in shapes * 2:
        assert np.array_equal(model.run({"x": np.ones(shape, np.float32)})["y"], first[shape])
    assert device.bytes_in_use == held
    plan = model.plan({"x": shapes[0]})
    assert model.plan({"x": shapes[0]}) is plan


def test_a_plan_makes_room_for_itself_by_giving_up_others(tmp_path: Path) -> None:
    path = _classifier(tmp_path)
    big, bigger = (1, 3, 128, 128), (1, 3, 130, 128)
    free = rx.open_device("pocl")
    rx.load(path, free).plan({"x": big})
    device = rx.open_device("pocl", limits=rx.Limits(memory_bytes=free.bytes_in_use * 5 // 4))
    model = rx.load(path, device)
    for shape in (big, bigger, big):
        assert model.run({"x": np.ones(shape, np.float32)})["y"].shape == (1, 10)
    held = model.plan({"x": big})  # who holds on to a plan keeps its memory from others
    with pytest.raises(LimitExceeded, match=r"while [\d,]+ are in use"):
        model.run({"x": np.ones(bigger, np.float32)})
    assert held.run({"x": np.ones(big, np.float32)})["y"].shape == (1, 10)


@pytest.mark.parametrize("call", ["enqueue_nd_range_kernel", "enqueue_copy"])
def test_a_device_that_dies_is_an_error_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    model = rx.load(_classifier(tmp_path), rx.open_device("pocl"))
    x = np.ones((1, 3, 8, 8), np.float32)
    expected = model.run({"x": x})["y"]

    def lost(*_arguments: object, **_keywords: object) -> None:
        raise cl.RuntimeError("clEnqueue", -5, "out of resources")

    with monkeypatch.context() as patch:
        patch.setattr(cl, call, lost)
        with pytest.raises(DeviceError, match=r"refused the launch|could not write"):
            model.run({"x": x})
    assert np.array_equal(model.run({"x": x})["y"], expected)


def test_all_operators_that_are_not_supported_are_named(tmp_path: Path) -> None:
    kind = (np.float32, [4])
    nodes = [
        node("Hardmax", ["x"], ["a"], name="first"),
        node("Relu", ["a"], ["b"]),
        node("Hardmax", ["b"], ["c"], name="again"),
        node("Det", ["c"], ["y"], name="third"),
    ]
    with pytest.raises(ModelError) as caught:
        rx.load(write(tmp_path / "odd.onnx", nodes, {"x": kind}, {"y": kind}))
    assert caught.value.where.endswith("odd.onnx: node 'first' (Hardmax)")
    assert caught.value.message == (
        "operator Hardmax of ai.onnx is not supported (2 nodes);"
        " operator Det of ai.onnx is not supported, first met at node 'third' (Det)"
    )


def test_a_model_says_what_it_is(tmp_path: Path, pocl: rx.Device) -> None:
    model = rx.load(_classifier(tmp_path), pocl)
    assert repr(model).endswith("small.onnx': x float32 nx3xhxw -> y float32 nx10)")
    found = model.summary()
    assert found.operators == {"Conv": 1, "Clip": 1, "GlobalAveragePool": 1, "Reshape": 1, "Gemm": 1}
    assert (found.n_nodes, found.plan) == (5, None)
    assert "5: Clip 1, Conv 1" in str(model)
    assert "<table>" in model._repr_html_()


def test_a_plan_says_what_it_costs(tmp_path: Path, pocl: rx.Device) -> None:
    model = rx.load(_classifier(tmp_path), pocl)
    plan = model.plan({"x": (1, 3, 32, 32)})
    found = plan.summary()
    assert found == model.summary({"x": (1, 3, 32, 32)})
    assert found.plan is not None
    assert found.plan.flop >= 2 * 16 * 16 * 8 * 27 + 2 * 8 * 10
    without = sum(not step.launches for step in plan.steps)
    assert (found.plan.n_launches, found.plan.n_renamed) == (len(plan.launches), without)
    assert found.plan.arena_bytes == plan.arena_bytes
    assert found.weights_bytes >= 4 * (8 * 27 + 8 + 80 + 10)
    assert "x 1x3x32x32 on pocl/" in str(plan)
    assert repr(plan).startswith("ModelPlan(small.onnx: x 1x3x32x32; ")
    assert "executed" in plan._repr_html_()
    assert json.loads(json.dumps(found.as_dict()))["plan"]["shapes"] == {"x": [1, 3, 32, 32]}
