from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rx580lab.experiment.judge import gate_results, judge_point, run_reason
from rx580lab.experiment.model import Gate
from rx580lab.results import write_point
from rx580lab.results.records import Check, Environment, Interval, Metric, Point, PointEntry, Roof, Series

ONE = Interval(value=1.0, low=1.0, high=1.0, n=1)


def check(contestant: str, ok: bool = True) -> Check:
    reason = None if ok else "too far from the oracle"
    return Check(contestant=contestant, oracle="numpy", ok=ok, reason=reason, tolerance="0", n_values=1)


def series(contestant: str, role: Any = "lab") -> Series:
    return Series(
        contestant=contestant,
        label=contestant,
        role=role,
        clock="wall",
        clock_reason="test",
        samples_ns=[1.0],
        order=[0],
        warmup_ns=[],
        warmup_settled=True,
        median_ns=ONE,
    )


def point(**fields: Any) -> Point:
    environment = Environment(device={}, host={}, packages={}, variables={})
    return Point(title="toy", params={}, environment=environment, **fields)


def judged(folder: Path, recorded: Point) -> tuple[str, str | None]:
    write_point(folder, recorded)
    result = judge_point(folder)
    return result.status, result.error


def test_checked_times_are_ok(tmp_path: Path) -> None:
    recorded = point(series=[series("lab"), series("aa", "control")], checks=[check("lab"), check("numpy")])
    assert judged(tmp_path, recorded) == ("ok", None)


def test_any_failed_check_fails_the_point(tmp_path: Path) -> None:
    recorded = point(series=[series("lab")], checks=[check("lab"), check("numpy", ok=False)])
    assert judged(tmp_path, recorded) == ("failed", "numpy: too far from the oracle")


def test_a_roof_that_failed_its_check_fails_the_point_once(tmp_path: Path) -> None:
    bad = check("copy", ok=False)
    roof = Roof(name="copy", kind="bandwidth", unit="GB/s", rate=ONE, detail="", check=bad)
    assert judged(tmp_path, point(roofs=[roof])) == ("failed", "copy: too far from the oracle")
    assert judged(tmp_path, point(roofs=[roof], checks=[bad])) == ("failed", "copy: too far from the oracle")


def test_our_time_without_a_check_is_invalid(tmp_path: Path) -> None:
    status, error = judged(tmp_path, point(series=[series("lab"), series("numpy", "peer")], checks=[check("numpy")]))
    assert (status, error) == ("invalid", "timed without a check of the output: lab; record a Check for each")


def test_no_record_and_a_damaged_one_are_invalid(tmp_path: Path) -> None:
    assert (judge_point(tmp_path).status, judge_point(tmp_path).error_type) == ("invalid", "NoResult")
    write_point(tmp_path, point(series=[series("lab")], checks=[check("lab")]))
    (tmp_path / "samples.csv.gz").write_bytes(b"not gzip")
    assert (judge_point(tmp_path).status, judge_point(tmp_path).error_type) == ("invalid", "ResultError")


@pytest.mark.parametrize(
    ("value", "bounds", "ok"),
    [(2.0, {"min": 2}, True), (1.9, {"min": 2}, False), (2.0, {"max": 2}, True), (2.1, {"max": 2}, False)],
)
@pytest.mark.parametrize(
    ("kind", "ci", "enforced"),
    [("speed", True, False), ("speed", False, True), ("correctness", True, True), ("correctness", False, True)],
)
def test_gates(value: float, bounds: dict[str, Any], ok: bool, kind: Any, ci: bool, enforced: bool) -> None:
    metrics = {"toy/x": Metric(value=value, unit="s", higher_is_better=False)}
    (result,) = gate_results([Gate(metric="toy/x", kind=kind, **bounds)], "key", {}, metrics, ci=ci)
    assert (result.ok, result.enforced, result.value) == (ok, enforced, value)
    failed = run_reason([PointEntry(key="key", params={}, status="ok")], [result])
    assert (failed is not None) == (enforced and not ok)


def test_both_bounds_and_where() -> None:
    gate = Gate(metric="toy/x", kind="speed", min=1, max=2, where={"size": 4})
    metrics = {"toy/x": Metric(value=3.0, unit="s", higher_is_better=False)}
    assert gate_results([gate], "key", {"size": 5}, metrics, ci=False) == []
    results = gate_results([gate], "key", {"size": 4}, metrics, ci=False)
    assert [(r.bound, r.ok) for r in results] == [("min", True), ("max", False)]


def test_reasons_are_few_and_counted() -> None:
    points = [PointEntry(key=f"k{i}", params={}, status="failed", error_type="E", error="e") for i in range(5)]
    assert run_reason(points, []) == "point k0: E: e; point k1: E: e; point k2: E: e; and 2 more"
