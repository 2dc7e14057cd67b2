"""What becomes of a run that is made a baseline, and which runs may become one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rx580lab.errors import ResultError
from rx580lab.results.baseline import (
    MOST_SAMPLES,
    baseline_file,
    baseline_from,
    baseline_of,
    read_evidence,
    without_paths,
    write_baseline,
)
from rx580lab.results.folder import RunFolder
from tests.report import synthetic

FOREIGN = "/srv/someone/checkout"


def run(root: Path, **fields: Any) -> RunFolder:
    point = synthetic.gemm_point(64, 64, 64)
    paths = {
        "PYOPENCL_HOME": f"{FOREIGN}/lib/pyopencl",
        "RX580LAB_POINT": f"{FOREIGN}/request.json",
        "POCL_AFFINITY": "1",
    }
    point.environment = synthetic.environment(variables=paths)
    point.series[0].samples_ns = [float(value) for value in np.linspace(1000.123456789, 1100, 200)]
    point.series[0].order = list(range(200))
    return RunFolder.open(synthetic.write_run(root, [(synthetic.entry("a1"), point)], **fields))


def test_a_baseline_keeps_what_a_comparison_needs_and_no_path_of_the_machine(tmp_path: Path) -> None:
    reference = run(tmp_path)
    path = write_baseline(tmp_path, baseline_from(reference))
    assert path == baseline_file(tmp_path, "gemm") == tmp_path / "baseline/gemm.json"
    text = path.read_text(encoding="utf-8")
    assert FOREIGN not in text
    assert str(tmp_path) not in text
    found = read_evidence(path)
    (params, point), (asked, original) = found.points[0], read_evidence(reference.path).points[0]
    assert (found.is_baseline, found.run, found.ci, found.status) == (True, reference.manifest.run, False, "ok")
    assert params == asked
    assert point.metrics == original.metrics
    assert point.noise_floor == original.noise_floor
    assert [check.ok for check in point.checks] == [True, True, True]
    assert [series.median_ns for series in point.series] == [series.median_ns for series in original.series]
    assert point.environment.variables == {"PYOPENCL_HOME": "<path>/pyopencl", "POCL_AFFINITY": "1"}
    assert found.hashes == reference.manifest.hashes


def test_samples_are_thinned_evenly_and_kept_to_seven_digits(tmp_path: Path) -> None:
    path = write_baseline(tmp_path, baseline_from(run(tmp_path)))
    many, few = read_evidence(path).points[0][1].series[:2]
    assert len(many.samples_ns) == MOST_SAMPLES
    assert many.samples_ns[0] == 1000.123
    assert many.samples_ns[-1] == pytest.approx(1100, rel=0.005)
    assert np.median(many.samples_ns) == pytest.approx(1050, rel=0.005)
    assert len(few.samples_ns) == 30


def test_the_file_can_be_reviewed(tmp_path: Path) -> None:
    lines = write_baseline(tmp_path, baseline_from(run(tmp_path))).read_text(encoding="utf-8").splitlines()
    assert len(lines) < 700, "samples stand in one line each"
    content = json.loads("\n".join(lines))
    assert (content["schema_version"], content["name"]) == (1, "gemm")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "failed", "reason": "a gate was missed"}, "it ended failed (a gate was missed)"),
        ({"status": "killed", "reason": "process 7 ended"}, "it ended killed"),
        ({"ci": True}, "it is of CI size"),
    ],
)
def test_a_run_that_is_no_reference_is_refused_unless_one_insists(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    doubtful = run(tmp_path, **fields)
    with pytest.raises(ResultError, match="no reference") as refused:
        baseline_from(doubtful)
    assert reason in str(refused.value)
    assert "--force" in str(refused.value)
    assert reason in (baseline_from(doubtful, force=True).forced or "")


def test_wrong_results_and_lost_points_are_no_reference(tmp_path: Path) -> None:
    point = synthetic.gemm_point(64, 64, 64, broken=True)
    rows = [(synthetic.entry("a1"), point), (synthetic.entry("a2", "timeout", params={"shape": "9"}), None)]
    path = synthetic.write_run(tmp_path, rows)
    with pytest.raises(ResultError, match=r"point a2: ended timeout.*lab at gemm .* is wrong: 1 of 262144"):
        baseline_from(RunFolder.open(path))


def test_a_run_without_a_point_is_refused_even_with_force(tmp_path: Path) -> None:
    path = synthetic.write_run(tmp_path, [(synthetic.entry("a1", "failed"), None)], status="failed")
    with pytest.raises(ResultError, match="at least one point that ended ok"):
        baseline_from(RunFolder.open(path), force=True)


def test_an_experiment_of_another_kind_is_not_overwritten(tmp_path: Path) -> None:
    write_baseline(tmp_path, baseline_from(run(tmp_path)))
    other = baseline_from(run(tmp_path, kind="load"))
    with pytest.raises(ResultError, match="baseline of bench/gemm"):
        write_baseline(tmp_path, other)
    assert baseline_of(tmp_path, "load", "gemm") is None
    write_baseline(tmp_path, other, force=True)
    assert baseline_of(tmp_path, "load", "gemm") is not None
    assert baseline_of(tmp_path, "bench", "softmax") is None


def test_what_is_neither_a_run_nor_a_baseline_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"schema_version": 1}', encoding="utf-8")
    with pytest.raises(ResultError, match="fault at kind"):
        read_evidence(tmp_path / "other.json")
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ResultError, match="expected a run folder"):
            read_evidence(path)


def test_points_without_a_result_are_left_out_with_their_reason(tmp_path: Path) -> None:
    found = read_evidence(synthetic.gemm_run(tmp_path))
    assert len(found.points) == 3
    assert found.left_out == {"point a4": "ended failed", "point a5": "ended killed", "point a6": "not started"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/x/lib/libOpenCL.so.1", "<path>/libOpenCL.so.1"),
        ("a:/opt/b c=/tmp/d/", "<path>/b c=<path>/d"),
        ("71 GB/s of N/A, 3 / 4, km//h", "71 GB/s of N/A, 3 / 4, km//h"),
        ("/sys/devices/cpufreq is not there", "/sys/devices/cpufreq is not there"),
        ("~/x/y and C:/x/y", "<path>/y and <path>/y"),
    ],
)
def test_paths_lose_all_but_their_last_part(text: str, expected: str) -> None:
    assert without_paths({"a": [text]}) == {"a": [expected]}
    assert without_paths(expected) == expected
