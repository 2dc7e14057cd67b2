"""Cases by chance: the same by the same number, faults found and named so that they can be made again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from rx580lab import ops
from rx580lab.device import Device, open_device
from rx580lab.experiment.problem import parse_shape
from rx580lab.experiment.random_cases import random_case, random_cases, settings
from rx580lab.selftest.case import prepare
from tests.selftest.planting import Fault, plant
from tests.tree import ROOT


def test_a_case_is_made_again_by_its_number() -> None:
    first, again, other = (random_case("gemm", 3, index) for index in (7, 7, 8))
    assert first.name == again.name != other.name
    for one, same in zip(prepare("gemm", first).arrays, prepare("gemm", again).arrays, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(same))


def test_right_ops_give_no_fault(pocl: Device) -> None:
    said: list[str] = []
    point = random_cases("softmax", device=pocl, n_cases=25, seed=5, progress=said.append)
    assert all(check.ok for check in point.checks)
    values = {name: metric.value for name, metric in point.metrics.items()}
    assert values["random/n_cases"] + values["random/n_refused"] == 25
    assert values["random/n_wrong"] == 0
    assert values["random/n_templates"] >= 4


def test_a_wrong_kernel_is_found_and_its_case_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = Fault(
        "wrong stride", "softmax.cl", "x += row * n_cols;", "x += row * (n_cols + 1);", "softmax", frozenset(), ""
    )
    monkeypatch.setenv("RX580LAB_KERNELS", str(plant(fault, tmp_path)))
    device = open_device("pocl")
    point = random_cases("softmax", device=device, n_cases=40, seed=1)
    (wrong,) = [check for check in point.checks if not check.ok]
    assert wrong.contestant == "plain"
    assert point.metrics["random/n_wrong"].value >= 1
    index = int(str(wrong.reason).split("case ")[1].split()[0])
    assert random_case("softmax", 1, index).name in str(wrong.reason)


def test_settings_are_legal_and_begin_with_none() -> None:
    template = ops.spec("gemm").template("gpu")
    found = settings(template, np.random.default_rng(0), 6)
    assert found[0] == {}
    assert len(found) == 6
    assert all(template.checked(one) for one in found)


def test_the_experiments_cover_every_op() -> None:
    found = {}
    for name in ("random_cases", "ops"):
        spec = yaml.safe_load((ROOT / f"experiments/bench/{name}.yml").read_text(encoding="utf-8"))
        found[name] = spec["sweep"]
        assert sorted(point["op"] for point in spec["sweep"]) == sorted(ops.NAMES)
    assert sum(point["n_cases"] for point in found["random_cases"]) >= 100_000


def test_the_shapes_of_the_overview_fit_their_ops() -> None:
    spec = yaml.safe_load((ROOT / "experiments/bench/ops.yml").read_text(encoding="utf-8"))
    for point in spec["sweep"]:
        assert parse_shape(point["op"], str(point["shape"]))
