"""What the benchmark notebooks ask: shapes, line-up, checks that cannot be raced past, metrics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rx580lab as rx
from rx580lab import peers
from rx580lab.errors import InputError, PeerUnavailable
from rx580lab.experiment import bench, problem, views
from rx580lab.experiment.problem import parse_shape, shape_text
from rx580lab.measure import Contestant, Protocol
from rx580lab.peers import Entrant
from rx580lab.results.records import Check, Interval, Point, Roof
from rx580lab.selftest.case import Bench, Problem, suite

QUICK = Protocol(n_samples=3, warmup_max_s=0.0, max_s=5.0, min_sample_s=0.0005)


@pytest.fixture(autouse=True)
def quick_roofs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Roofs as given: measuring them takes seconds and has tests of its own."""
    rate = Interval(value=50.0, low=49.0, high=51.0, n=3)
    check = Check(contestant="copy", oracle="given", ok=True, tolerance="0", n_values=1)
    given: list[Roof] = [
        Roof(name="copy", kind="bandwidth", unit="GB/s", rate=rate, detail="given", check=check),
        Roof(name="fma_peak", kind="arithmetic", unit="GFLOP/s", rate=rate, detail="given", check=check),
    ]
    monkeypatch.setattr(bench, "measure_roofs", lambda *_: given)


def point(device: rx.Device, contestants: list[str], op: str = "gemm", shape: str = "33x20x17") -> Point:
    return bench.bench_op(op, shape, device=device, contestants=contestants, protocol=QUICK)


@pytest.mark.parametrize(
    ("op", "shape", "sizes"),
    [("gemm", "3x4x5", {"M": 3, "N": 4, "K": 5}), ("softmax", "7X9", {"R": 7, "C": 9}), ("copy", "12", {"N": 12})],
)
def test_a_shape_is_read_by_the_ops_letters(op: str, shape: str, sizes: dict[str, int]) -> None:
    assert parse_shape(op, shape).items() >= sizes.items()


def test_a_shape_may_name_its_sizes() -> None:
    assert parse_shape("gemm", "K=5 M=3 N=4") == parse_shape("gemm", "3x4x5")
    assert parse_shape("fma_peak") == {"N": 98304}


@pytest.mark.parametrize("text", ["3x4x5", "3x4x5 transpose_b=1 packed=1"])
def test_sizes_are_told_as_they_are_read(text: str) -> None:
    assert shape_text("gemm", parse_shape("gemm", text)) == text


def test_a_size_with_a_default_may_be_left_out_or_be_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench({"N": None, "half": 0}, lambda *_: Problem(()), example="8 half=1")
    monkeypatch.setattr(problem, "suite", lambda _: replace(suite("copy"), bench=bench))
    assert parse_shape("copy", "5") == {"N": 5, "half": 0}
    assert parse_shape("copy", "5 half=1") == parse_shape("copy", "half=1 N=5") == {"N": 5, "half": 1}
    assert parse_shape("copy") == {"N": 8, "half": 1}
    with pytest.raises(InputError, match=r"expected a shape N \[half=0\] of copy, such as '8 half=1', got '5x1'"):
        parse_shape("copy", "5x1")


@pytest.mark.parametrize(
    "shape", ["M=3 N=4", "M=3 N=4 K=5 K=5", "3x4x5 M=3", "M=3 N=4 L=5", "M=3 N=4 K", "M=3 N=4 K=0", "M=3 3x4x5"]
)
def test_named_sizes_that_do_not_fit_are_refused(shape: str) -> None:
    with pytest.raises(InputError, match=r"expected a shape MxNxK .* of gemm"):
        parse_shape("gemm", shape)


@pytest.mark.parametrize("shape", ["", "3x4", "3x4x5x6", "3x0x5", "3x-4x5", "axbxc", "3.0x4x5"])
def test_a_shape_that_does_not_fit_is_refused(shape: str) -> None:
    with pytest.raises(InputError, match=r"expected a shape MxNxK .* of gemm"):
        parse_shape("gemm", shape)


def test_unknown_ops_templates_and_peers_are_refused(pocl: rx.Device) -> None:
    with pytest.raises(InputError, match=r"expected an op among .*gemm.*, got .conv3d"):
        point(pocl, ["lab"], op="conv3d")
    with pytest.raises(InputError, match="expected a template among plain"):
        point(pocl, ["lab-gppu"])
    with pytest.raises(InputError, match="expected one of openblas"):
        point(pocl, ["openblass"])


def test_a_race_leaves_series_checks_ratios_and_metrics(pocl: rx.Device) -> None:
    found = point(pocl, ["lab", "lab-plain", "openblas"])
    names = ["lab", "lab-plain", "openblas"]
    assert [one.contestant for one in found.series] == names
    assert [(check.contestant, check.ok) for check in found.checks] == [(name, True) for name in names]
    assert {(item.contestant, item.baseline) for item in found.comparisons} == {
        (name, "openblas") for name in names[:2]
    }
    ratio = found.metrics["gemm/lab/vs/openblas/speed_ratio"]
    assert ratio.low is not None
    assert 0 < ratio.low <= ratio.value
    assert found.work is not None
    assert found.work.flop == 2 * 33 * 20 * 17
    assert {"gemm/lab/time/median_ns", "gemm/lab/error/worst_share", "gemm/lab/rate/gflop_s"} <= found.metrics.keys()
    assert "template" in found.notes[0]
    assert list(views.verdict_table(found).index) == names
    assert set(views.check_table(found)["right"]) == {"pass"}
    assert len(views.distribution(found).axes[0].get_yticks()) == 3


def test_one_clock_for_all(pocl: rx.Device) -> None:
    found = point(pocl, ["lab", "openblas"])
    assert found.noise_floor is not None
    assert len({one.clock for one in found.series} | {found.noise_floor.clock}) == 1
    assert "other-clock" not in found.comparisons[0].reason


def test_without_a_peer_templates_are_compared_with_each_other(pocl: rx.Device) -> None:
    found = point(pocl, ["lab", "lab-plain"], op="softmax", shape="9x31")
    assert [(item.contestant, item.baseline) for item in found.comparisons] == [("lab", "lab-plain")]


def rival(device: rx.Device, inputs: Any, *, writes: bool = True, error: float = 0.0) -> Entrant:
    """A peer that leaves its output as it was, or is off by ``error`` from its second run on."""
    right = inputs[0] @ inputs[1]
    out, calls = np.zeros_like(right), iter(range(1_000_000))

    def run() -> None:
        if writes:
            out[:] = right + (error if next(calls) else 0.0)

    contestant = Contestant("rival", "a rival", "peer", run, lambda: None, out.copy)
    return Entrant(contestant, lambda: out.fill(np.nan), f"made for {device.selector}")


class Peer:
    """Stands in for ``peers.peer(name)``."""

    OPS = ("gemm",)

    def __init__(self, **faults: Any) -> None:
        self.faults = faults

    def entrant(self, device: rx.Device, _op: str, inputs: Any, _keywords: Any) -> Entrant:
        if "absent" in self.faults:
            raise PeerUnavailable("rival", str(self.faults["absent"]))
        return rival(device, inputs, **self.faults)


def with_rival(monkeypatch: pytest.MonkeyPatch, device: rx.Device, **faults: Any) -> Point:
    monkeypatch.setattr(peers, "peer", lambda _name: Peer(**faults))
    return point(device, ["lab", "rival"])


def test_a_contestant_that_writes_nothing_fails_its_check(monkeypatch: pytest.MonkeyPatch, pocl: rx.Device) -> None:
    found = with_rival(monkeypatch, pocl, writes=False)
    assert [check.ok for check in found.checks] == [True, False]


def test_a_contestant_that_turns_wrong_during_the_race_fails(monkeypatch: pytest.MonkeyPatch, pocl: rx.Device) -> None:
    found = with_rival(monkeypatch, pocl, error=0.1)
    (check,) = [check for check in found.checks if check.contestant == "rival"]
    assert not check.ok
    assert check.reason is not None
    assert "beyond tolerance" in check.reason


def test_an_absent_peer_is_recorded_with_its_reason(monkeypatch: pytest.MonkeyPatch, pocl: rx.Device) -> None:
    found = with_rival(monkeypatch, pocl, absent="not installed; get it so")
    assert found.unavailable == {"rival": "not installed; get it so"}
    assert [one.contestant for one in found.series] == ["lab"]
    assert "absent: not installed" in str(views.verdict_table(found).loc["rival", "speed ratio"])


def test_the_stopwatch_judges_itself_on_an_op(pocl: rx.Device) -> None:
    found = bench.bench_stopwatch("gemm", "16x16x16", device=pocl, protocol=QUICK, n_trials=2)
    assert [trials.kind for trials in found.trials] == ["aa", "planted"]
    assert found.metrics["self_check/planted/n_trials"].value == 2
    assert list(views.trial_table(found)["races"]) == [2, 2]


def test_roofs_become_metrics(pocl: rx.Device) -> None:
    found = bench.bench_roofs(device=pocl, protocol=QUICK)
    assert found.metrics["roofs/copy/rate"].value == 50.0
    assert list(views.roof_table(found).index) == ["copy", "fma_peak"]
