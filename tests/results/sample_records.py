"""Small records of every kind, for the tests of what is written and read."""

from __future__ import annotations

from typing import Any

from rx580lab.results.records import Environment, Interval, Metric, Point, PointEntry, Series


def series(name: str, samples: list[float], order: list[int]) -> Series:
    return Series(
        contestant=name,
        label=f"{name}, 2 threads",
        role="lab",
        clock="cpu",
        clock_reason="one thread",
        samples_ns=samples,
        order=order,
        warmup_ns=[samples[0] * 3, samples[0] * 1.1],
        warmup_settled=True,
        outliers=[1],
        throttled=[0],
        median_ns=Interval(value=samples[0], low=samples[0], high=samples[-1], n=len(samples)),
    )


def point(**changes: Any) -> Point:
    fields: dict[str, Any] = {
        "title": "copy of 2^20 values",
        "params": {"n": 1 << 20, "op": "copy", "fast": False, "rate": 0.1, "device": None},
        "op": "copy",
        "shape": {"N": 1 << 20},
        "series": [series("lab", [1e6 / 3, 2e5 + 0.1], [0, 3]), series('peer, "quoted"', [4e5, 5e5], [1, 2])],
        "metrics": {"copy/lab/time/median_ns": Metric(value=1.5, unit="ns", higher_is_better=False)},
        "environment": Environment(device={"name": "d"}, host={"cores": 2}, packages={"numpy": "2"}, variables={}),
    }
    return Point(**{**fields, **changes})


def manifest_fields(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "kind": "bench",
        "name": "copy",
        "spec": {"name": "copy"},
        "hashes": {"spec": "00ff"},
        "spec_file": "experiments/bench/copy.yml",
        "command": "rx580lab run experiments/bench/copy.yml",
        "points": [PointEntry(key="0a1b", params={"n": 1}), PointEntry(key="2c3d", params={"n": 2}, status="running")],
    }
    return {**fields, **changes}
