"""Verdicts between two runs: planted differences, a machine that changed as a whole, and what makes a verdict void."""

from __future__ import annotations

from typing import Any

import pytest

from rx580lab.results.between import PairVerdict, compare_points, device_facts, match_points
from rx580lab.results.records import NoiseFloor, Point, Scalar
from tests.report import synthetic
from tests.report.synthetic import gemm_point


def verdicts(a: Point, b: Point, **given: Any) -> dict[tuple[str, str], PairVerdict]:
    rows = compare_points(a, b, **{"same_device": True, **given})
    return {(row.contestant, row.quantity): row for row in rows}


def slowed(point: Point, **factors: float) -> Point:
    """The point with the times of some contestants multiplied; its comparisons and floor stay those of the run."""
    for series in point.series:
        factor = factors.get(series.contestant, 1.0)
        series.samples_ns = [value * factor for value in series.samples_ns]
        for bound in ("value", "low", "high"):
            setattr(series.median_ns, bound, getattr(series.median_ns, bound) * factor)
    for item in point.comparisons:
        change = factors.get(item.baseline, 1.0) / factors.get(item.contestant, 1.0)
        for bound in ("value", "low", "high"):
            setattr(item.ratio, bound, getattr(item.ratio, bound) * change)
    return point


def with_floor(point: Point, effect: float | None) -> Point:
    floor = point.noise_floor
    assert floor is not None
    point.noise_floor = None if effect is None else NoiseFloor(**{**floor.model_dump(), "effect": effect})
    return point


def test_two_sessions_of_one_code_say_same() -> None:
    for seed in range(1, 60, 6):
        found = verdicts(gemm_point(512, 512, 512, seed=seed), gemm_point(512, 512, 512, seed=seed + 1000))
        assert {row.verdict for row in found.values()} <= {"SAME", "AMBIGUOUS"}
        assert found["lab", "time"].verdict == "SAME"
        assert "minimum effect of 5 %" in found["lab", "time"].reason


@pytest.mark.parametrize(("factor", "word"), [(1.10, "SLOWER"), (0.90, "FASTER"), (1.02, "SAME")])
def test_a_planted_change_is_told_by_time_and_relative_to_the_peer(factor: float, word: str) -> None:
    found = verdicts(gemm_point(512, 512, 512, seed=3), slowed(gemm_point(512, 512, 512, seed=99), lab=factor))
    assert found["lab", "time"].verdict == word
    assert found["lab", "time"].ratio.value == pytest.approx(1 / factor, rel=0.02)
    assert found["lab", "relative"].verdict == word
    assert found["lab", "relative"].against == "openblas"
    assert found["openblas", "time"].verdict == "SAME"


def test_a_machine_that_is_slower_as_a_whole_is_not_blamed_on_the_code() -> None:
    slow = slowed(gemm_point(512, 512, 512, seed=99), lab=1.1, openblas=1.1, plain=1.1)
    found = verdicts(gemm_point(512, 512, 512, seed=3), slow)
    lab = found["lab", "time"]
    assert lab.verdict == "AMBIGUOUS"
    assert "by which OpenBLAS 0.3.30, itself unchanged, differs between the runs" in lab.reason
    assert lab.noise_floor == pytest.approx(1.013 * 1.1 - 1, abs=0.02)
    assert found["lab", "relative"].verdict == "SAME", "what slows a whole run cancels in its interleaved pairs"
    assert found["openblas", "time"].verdict == "SLOWER"


def test_a_peer_of_another_version_is_no_control() -> None:
    other = slowed(gemm_point(512, 512, 512, seed=99), lab=1.1, openblas=1.1)
    other.series[1].label = "OpenBLAS 0.3.31"
    found = verdicts(gemm_point(512, 512, 512, seed=3), other)
    assert found["lab", "time"].verdict == "SLOWER"
    assert "no peer that stayed as it was took part" in found["lab", "time"].reason
    assert ("lab", "relative") not in found
    assert found["openblas", "time"].label == "OpenBLAS 0.3.31 (in A: OpenBLAS 0.3.30)"


def test_the_larger_noise_floor_of_the_two_decides() -> None:
    quiet, loud = gemm_point(512, 512, 512, seed=3), slowed(gemm_point(512, 512, 512, seed=99), lab=1.1)
    for a, b, side in ((quiet, with_floor(loud, 0.2), "B"), (with_floor(loud, 0.2), quiet, "A")):
        row = verdicts(a, b)["lab", "time"]
        assert (row.verdict, f"the A/A noise floor of {side}, the larger one" in row.reason) == ("AMBIGUOUS", True)
        assert row.noise_floor is not None
        assert row.noise_floor > 0.2


def void(kind: str) -> tuple[Point, Point, dict[str, Any]]:
    a, b = gemm_point(512, 512, 512, seed=3), slowed(gemm_point(512, 512, 512, seed=99), lab=2.0)
    if kind == "other-clock":
        b.series[0].clock = "wall"
    if kind == "wrong-result":
        b.checks[0] = synthetic.check("lab", reason="1 of 9 values is not finite")
    if kind == "few-samples":
        a.series[0].samples_ns = a.series[0].samples_ns[:5]
    if kind == "no-floor":
        a, b = with_floor(a, None), with_floor(b, None)
    return a, b, {"same_device": kind != "other-device"}


@pytest.mark.parametrize("kind", ["other-clock", "wrong-result", "few-samples", "no-floor", "other-device"])
def test_what_makes_a_verdict_void_is_its_reason(kind: str) -> None:
    a, b, given = void(kind)
    row = verdicts(a, b, **given)["lab", "time"]
    assert (row.verdict, row.reason.partition(":")[0]) == ("AMBIGUOUS", kind)
    if kind == "other-device":
        assert {each.verdict for each in compare_points(a, b, **given)} == {"AMBIGUOUS"}


def test_a_roof_is_never_called_faster_or_slower() -> None:
    a, b = gemm_point(512, 512, 512, seed=3), gemm_point(512, 512, 512, seed=3)
    for bound in ("value", "low", "high"):
        setattr(b.roofs[0].rate, bound, getattr(b.roofs[0].rate, bound) * 1.3)
    found = verdicts(a, b)
    assert found["copy", "rate"].ratio.value == pytest.approx(1.3)
    assert (found["copy", "rate"].verdict, found["copy", "rate"].reason.partition(":")[0]) == (
        "AMBIGUOUS",
        "once-per-run",
    )
    assert found["triad", "rate"].verdict == "SAME"


def test_a_smaller_effect_may_be_asked_for() -> None:
    a, b = gemm_point(512, 512, 512, seed=3), slowed(gemm_point(512, 512, 512, seed=3), lab=1.03)
    assert verdicts(a, b)["lab", "time"].verdict == "SAME"
    assert verdicts(a, b, min_effect=0.01)["lab", "time"].verdict == "SLOWER"


def test_points_are_matched_by_what_they_measured() -> None:
    a: list[dict[str, Scalar]] = [
        {"op": "gemm", "shape": "1", "n_samples": 5, "device": "pocl"},
        {"op": "gemm", "shape": "2"},
    ]
    b: list[dict[str, Scalar]] = [
        {"op": "gemm", "shape": "2", "max_s": 9.0},
        {"op": "gemm", "shape": "1", "device": "rusticl"},
        {"op": "copy"},
    ]
    assert match_points(a, b) == [(0, 1), (1, 0)]
    twice: list[dict[str, Scalar]] = [
        {"op": "gemm", "contestants": "lab"},
        {"op": "gemm", "contestants": "lab, openblas"},
    ]
    assert match_points(twice, twice[::-1]) == [(0, 1), (1, 0)]


def test_a_device_is_known_by_its_driver_and_a_cpu_device_by_its_host_too() -> None:
    def facts(**changes: Any) -> dict[str, str]:
        base = synthetic.environment()
        return device_facts(base.model_copy(update={"device": {**base.device, **changes}}))

    host = {**synthetic.environment().host, "cpu": "another"}
    assert facts(hash="x", memory_bytes=1, max_clock_mhz=2) == facts()
    assert facts(driver="PoCL 7.0") != facts()
    assert facts(emulated_limits={"lds_bytes": 1}) != facts()
    assert device_facts(synthetic.environment(host=host)) != facts()
    on_card = {**synthetic.environment().device, "device_class": "gpu"}
    elsewhere = device_facts(synthetic.environment(host=host, device=on_card))
    assert elsewhere == device_facts(synthetic.environment(device=on_card))
