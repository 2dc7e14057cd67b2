"""The real stopwatch on disturbed clocks: silent on A/A, alert to 10 % more work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rx580lab.errors import MeasureError
from rx580lab.measure import TRIAL_PROTOCOL, Contestant, Protocol, aa_trials, planted_trials, trial_metrics
from rx580lab.results.records import Comparison
from tests.measure.fake_time import FakeTime, noise

# Settled by its cap: under these disturbances two windows seldom agree.
CPU = replace(TRIAL_PROTOCOL, clock="cpu", warmup_max_s=0.05)


def disturbed(clock: FakeTime, kind: str, ns: float, seed: int) -> Contestant:
    disturb = noise(seed, kind)
    return Contestant("a", "disturbed work", "control", lambda: clock.work(*disturb(ns)), lambda: None)


@pytest.mark.parametrize("kind", ["drift", "tails", "bursts", "all"])
def test_120_races_of_equals_raise_at_most_two_false_alarms(kind: str) -> None:
    clock = FakeTime()
    found = aa_trials(disturbed(clock, kind, 11e6, seed=1), CPU, 120, timers=clock.timers())
    assert found.n_trials == len(found.ratios) == sum(found.verdicts.values()) == 120
    assert found.n_hits == found.verdicts.get("FASTER", 0) + found.verdicts.get("SLOWER", 0)
    assert found.n_hits <= 2


@pytest.mark.parametrize("kind", ["drift", "tails", "bursts", "all"])
def test_ten_percent_more_work_is_found_in_at_least_95_of_100_races(kind: str) -> None:
    clock = FakeTime()
    found = planted_trials(disturbed(clock, kind, 1.1e6, seed=2), CPU, 100, timers=clock.timers())
    assert found.n_hits == found.verdicts["SLOWER"]
    assert found.n_hits >= 95
    assert found.planted == 0.10
    assert all(0.8 < ratio.value < 1.0 for ratio in found.ratios)


def test_disturbance_beyond_all_measure_gives_doubt_rather_than_alarms() -> None:
    # On the wall clock of a crowded machine: a sample takes its own time, or three times that.
    clock = FakeTime()
    disturb = noise(3, "all")
    turns = iter(range(10**9))

    def run() -> None:
        own, lost = disturb(5e6)
        clock.work(own, lost + (2 * own if next(turns) * 7919 % 13 < 6 else 0))

    crowded = Contestant("a", "crowded", "control", run, lambda: None)
    found = aa_trials(crowded, replace(CPU, clock="wall"), 120, timers=clock.timers())
    assert found.n_hits <= 2
    assert found.verdicts["AMBIGUOUS"] > 60


def test_progress_tells_each_trial() -> None:
    clock, seen = FakeTime(), list[tuple[int, int, Comparison]]()
    aa_trials(
        disturbed(clock, "tails", 11e6, seed=4),
        Protocol(n_samples=6, clock="cpu", warmup_max_s=0),
        3,
        timers=clock.timers(),
        progress=lambda number, n, comparison: seen.append((number, n, comparison)),
    )
    assert [(number, n) for number, n, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    assert seen[0][2].baseline == "a/A"


def test_trial_metrics_name_what_a_gate_asks() -> None:
    clock = FakeTime()
    protocol = Protocol(n_samples=8, clock="cpu", warmup_max_s=0)
    work = disturbed(clock, "tails", 11e6, seed=5)
    aa = trial_metrics(aa_trials(work, protocol, 4, timers=clock.timers()))
    assert aa["self_check/aa/false_alarms"].value == 0
    assert aa["self_check/aa/n_trials"].value == 4
    planted = trial_metrics(planted_trials(work, protocol, 4, extra=0.5, timers=clock.timers()))
    assert planted["self_check/planted/detected_share"].value == 1


def test_trials_refuse_what_they_cannot_do() -> None:
    clock = FakeTime()
    work = disturbed(clock, "tails", 11e6, seed=6)
    with pytest.raises(MeasureError, match="at least one trial"):
        aa_trials(work, CPU, 0, timers=clock.timers())
    for extra in (0.0, 0.05, -0.1):
        with pytest.raises(MeasureError, match="extra work"):
            planted_trials(work, CPU, 1, extra=extra, timers=clock.timers())
