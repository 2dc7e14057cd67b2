"""The host's cost of a launch: samples of each kind, in turns, each checked."""

from __future__ import annotations

from rx580lab.device import Device
from rx580lab.experiment.launch import bench_launch


def test_each_kind_has_samples_and_a_check(pocl: Device) -> None:
    point = bench_launch(device=pocl, n_samples=4, n_launches=20)
    assert {one.contestant: len(one.samples_ns) for one in point.series} == {"bound": 4, "unbound": 4, "pipelined": 4}
    assert {check.contestant: check.ok for check in point.checks} == {"bound": True, "unbound": True, "pipelined": True}
    assert sorted(place for one in point.series for place in one.order) == list(range(12))
    bound = point.metrics["launch/bound/time/median_us"]
    assert bound.low is not None
    assert bound.high is not None
    assert 0 < bound.low <= bound.value <= bound.high
