"""Each shipped experiment's small version, run as CI runs it: by Papermill, in processes of its own, to a report."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest

from rx580lab.experiment import run_spec
from rx580lab.results import RunFolder, read_point
from tests.tree import ROOT, tracked

EXPERIMENTS = tracked("experiments/*/*.yml")


@pytest.mark.parametrize("path", EXPERIMENTS, ids=str)
def test_the_small_version_ends_well_and_leaves_a_report(path: Path, tmp_path: Path) -> None:
    outcome = run_spec(ROOT / path, ci=True, device="pocl", reports=tmp_path)
    assert outcome.ok, outcome.reason
    manifest = RunFolder.open(outcome.path).manifest
    assert (manifest.status, manifest.ci) == ("ok", True)
    assert manifest.points
    for entry in manifest.points:
        point = read_point(outcome.path / "points" / entry.key)
        assert entry.status == "ok"
        assert point.checks, "every figure carries its oracle check"
        assert all(check.ok for check in point.checks)
        assert point.metrics
        assert point.environment.device["platform_short"] == "pocl"
        assert point.environment.variables["POCL_AFFINITY"] == "1"
        executed = json.loads((outcome.path / "points" / entry.key / "executed.ipynb").read_text(encoding="utf-8"))
        assert executed["metadata"]["papermill"]["exception"] is None
    page = html.unescape((outcome.path / "report.html").read_text(encoding="utf-8"))
    assert manifest.title in page
    assert manifest.command.partition(" --")[0] in page
    assert (tmp_path / "index.html").is_file()


def test_there_is_an_experiment_of_each_of_these() -> None:
    named = {"quickstart", "roofline", "gemm", "softmax", "stopwatch", "launch", "random_cases", "movement"}
    assert {path.stem for path in EXPERIMENTS} >= named
