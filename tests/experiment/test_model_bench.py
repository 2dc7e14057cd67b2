"""A model raced with ONNX Runtime: checked, taken apart, drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rx580lab.device import Device
from rx580lab.errors import InputError
from rx580lab.experiment import model_views
from rx580lab.experiment.model_bench import bench_model, by_operator, example_inputs, parse_lengths
from rx580lab.graph import TensorInfo, load
from rx580lab.measure import Protocol
from tests.graph.build import node, write
from tests.requirements import require

QUICK = Protocol(n_samples=3, warmup_max_s=0.0)
INFOS = {
    "x": TensorInfo("x", np.dtype(np.float32), ("n", 3, "h", "w")),
    "attention_mask": TensorInfo("attention_mask", np.dtype(np.int64), ("n", None)),
    "ids": TensorInfo("ids", np.dtype(np.int64), ("n", 4)),
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    return write(
        tmp_path / "small.onnx",
        [
            node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
            node("Relu", ["c"], ["r"]),
            node("GlobalAveragePool", ["r"], ["p"]),
        ],
        {"x": (np.float32, ["n", 3, "h", "w"])},
        {"p": (np.float32, ["n", 8, 1, 1]), "r": (np.float32, ["n", 8, "h", "w"])},
        {"w": rng.standard_normal((8, 3, 3, 3), dtype=np.float32)},
    )


def test_both_are_checked_and_each_step_is_timed(pocl: Device, small: Path) -> None:
    require("onnxruntime")
    point = bench_model(str(small), "2x3x20x20", device=pocl, contestants=["lab", "onnxruntime"], protocol=QUICK)
    assert [one.contestant for one in point.series] == ["lab", "onnxruntime"]
    assert [(check.ok, check.n_values) for check in point.checks] == [(True, 16 + 2 * 8 * 400)] * 2
    assert [one.contestant for one in point.comparisons] == ["lab"]
    timed = [(one.operator, one.n_launches > 0, one.time_ns is not None) for one in point.steps]
    assert {name for name, _, _ in timed} >= {"PixelConv", "PixelMean"}
    assert all(launched == timed_ for _, launched, timed_ in timed)
    assert point.metrics["model/lab/launches"].value == sum(one.n_launches for one in point.steps)
    assert set(by_operator(point.steps)) >= {"PixelConv", "PixelMean"}
    assert {"PixelConv", "PixelMean"} <= set(model_views.step_table(point.steps)["operator"])
    for figure in (model_views.operator_chart(point.steps), model_views.roofline(point)):
        assert figure.axes[0].has_data()
        assert figure._repr_png_().startswith(b"\x89PNG")


def test_a_wrong_model_is_seen(pocl: Device, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("onnxruntime")
    monkeypatch.setattr("rx580lab.experiment.model_bench.TOLERANCE", 1e-12)
    point = bench_model(str(small), "1x3x20x20", device=pocl, contestants=["lab"], protocol=QUICK)
    assert [check.ok for check in point.checks] == [False]
    assert point.checks[0].reason is not None
    assert (point.checks[0].worst_share or 0) > 1


def test_the_memory_map_shows_each_value(pocl: Device, small: Path) -> None:
    plan = load(small, pocl).plan({"x": (1, 3, 8, 8)})
    assert len(model_views.memory_map(plan).axes[0].patches) == len(plan.placement.at) > 2


def test_lengths_by_name_and_by_default() -> None:
    assert parse_lengths("x=2x3x8x9", INFOS) == {"x": (2, 3, 8, 9)}
    shapes = {name: one.shape for name, one in example_inputs(INFOS, {"x": (2, 3, 8, 9)}, seed=0).items()}
    assert shapes == {"x": (2, 3, 8, 9), "attention_mask": (1, 1), "ids": (1, 4)}
    assert parse_lengths("1x3x5x5", INFOS)["x"] == (1, 3, 5, 5)
    with pytest.raises(InputError, match="expected lengths of x, attention_mask, ids, got 'z'"):
        parse_lengths("z=1", INFOS)
    with pytest.raises(InputError, match="expected lengths such as 1x3x224x224, got '1xa'"):
        parse_lengths("x=1xa", INFOS)


def test_inputs_by_chance_suit_what_they_are() -> None:
    found = example_inputs(INFOS, parse_lengths("x=1x3x4x4 attention_mask=1x4", INFOS), seed=0)
    assert found["x"].dtype == np.float32
    page = example_inputs(INFOS, parse_lengths("x=2x3x40x90", INFOS), seed=0)["x"]
    assert page.shape == (2, 3, 40, 90)
    assert (page.min(), page.max()) == (pytest.approx(-0.84, abs=0.1), pytest.approx(0.92, abs=0.01))
    assert 0.03 < (page < 0).mean() < 0.5, "some of it is ink"
    assert (found["attention_mask"] == 1).all()
    assert found["ids"].min() >= 1


def test_contestants_that_nobody_knows(pocl: Device, small: Path) -> None:
    with pytest.raises(InputError, match="expected lab and any of onnxruntime, tinygrad, got lab, torch"):
        bench_model(str(small), device=pocl, contestants=["lab", "torch"], protocol=QUICK)
