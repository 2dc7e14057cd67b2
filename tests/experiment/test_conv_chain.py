"""Chains of convolutions: each contestant checked, ratios and their means recorded."""

from __future__ import annotations

import math

import pytest

from rx580lab.device import Device
from rx580lab.errors import InputError
from rx580lab.experiment.conv_chain import Chain, bench_conv_chain
from rx580lab.measure import Protocol
from tests.requirements import require

QUICK = Protocol(n_samples=3, warmup_max_s=0.0)


def test_each_shape_is_raced_and_checked(pocl: Device) -> None:
    require("onnxruntime")
    shapes = (Chain(16, 16, 9, 3), Chain(8, 24, 5, 1))
    point = bench_conv_chain(device=pocl, protocol=QUICK, shapes=shapes)
    names = [f"{who}/{shape.name}" for shape in shapes for who in ("lab", "lab-ends", "onnxruntime")]
    assert [one.contestant for one in point.series] == names
    assert {check.contestant: check.reason for check in point.checks} == dict.fromkeys(names)
    assert len(point.comparisons) == 4
    for ours in ("lab", "lab-ends"):
        each = [point.metrics[f"conv_chain/{ours}/{shape.name}/vs/onnxruntime/speed_ratio"].value for shape in shapes]
        mean = point.metrics[f"conv_chain/{ours}/geomean/vs/onnxruntime/speed_ratio"].value
        assert mean == pytest.approx(math.sqrt(math.prod(each)))
        assert point.metrics[f"conv_chain/{ours}/geomean/vs/onnxruntime/best_ratio"].value > 0


def test_a_wrong_layer_is_seen(pocl: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    require("onnxruntime")
    monkeypatch.setattr("rx580lab.experiment.conv_chain.pack_weights", lambda _device, w: 1.01 * w)
    point = bench_conv_chain(device=pocl, protocol=QUICK, shapes=[Chain(4, 4, 5, 3)])
    verdicts = {check.contestant.partition("/")[0]: check.ok for check in point.checks}
    assert verdicts == {"lab": False, "lab-ends": False, "onnxruntime": True}


def test_no_shapes(pocl: Device) -> None:
    require("onnxruntime")
    with pytest.raises(InputError, match="at least one shape"):
        bench_conv_chain(device=pocl, protocol=QUICK, shapes=[])
