"""Comparisons in pairs, the A/A floor, and shares of a roof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from rx580lab.errors import MeasureError
from rx580lab.measure import Protocol, achieved, compare_series, noise_floor, race
from rx580lab.results.records import Check, Interval, NoiseFloor, Roof, Series, Work
from tests.measure.fake_time import FakeTime, contestant

MS = 1e6
CPU = Protocol(clock="cpu", warmup_max_s=0)


def spread(ns: float, sigma: float, seed: int) -> Iterator[float]:
    generator = np.random.default_rng(seed)
    while True:
        yield ns * float(np.exp(generator.normal(0, sigma)))


def raced(clock: FakeTime, **durations: float) -> list[Series]:
    return race(
        [contestant(clock, name, spread(ns, 0.01, seed)) for seed, (name, ns) in enumerate(durations.items())],
        CPU,
        timers=clock.timers(),
    )


def test_each_series_is_compared_with_the_baseline() -> None:
    series = raced(FakeTime(), base=20 * MS, quick=16 * MS, slow=22 * MS, same=20 * MS)
    found = {one.contestant: one for one in compare_series(series, "base", CPU)}
    assert {name: one.verdict for name, one in found.items()} == {"quick": "FASTER", "slow": "SLOWER", "same": "SAME"}
    assert found["quick"].ratio.value == pytest.approx(20 / 16, rel=0.02)
    assert found["slow"].ratio.value == pytest.approx(20 / 22, rel=0.02)
    assert found["quick"].ratio.confidence == 0.99
    assert all(one.baseline == "base" and one.noise_floor is None for one in found.values())


def test_noise_floor_takes_part_in_the_verdict() -> None:
    series = raced(FakeTime(), base=20 * MS, slow=22 * MS)
    floor = NoiseFloor(contestant="base", ratio=Interval(value=1, low=0.9, high=1.2, n=30), effect=0.2)
    [found] = compare_series(series, "base", CPU, floor)
    assert (found.verdict, found.reason.split(":")[0]) == ("AMBIGUOUS", "noisy")
    assert found.noise_floor == 0.2


def test_floor_of_another_clock_decides_nothing() -> None:
    clock = FakeTime()
    series = raced(clock, base=20 * MS, slow=30 * MS)
    work = contestant(clock, "base", spread(20 * MS, 0.01, 0))
    same, other = (noise_floor(work, replace(CPU, clock=name), timers=clock.timers()) for name in ("cpu", "wall"))
    assert compare_series(series, "base", CPU, same)[0].verdict == "SLOWER"
    [found] = compare_series(series, "base", CPU, other)
    assert (found.verdict, found.reason.split(":")[0]) == ("AMBIGUOUS", "other-clock")


def test_difference_that_only_disturbed_samples_show_is_ambiguous() -> None:
    # Five of six samples of b are interrupted for 8 ms, the rest take as long as a's.
    clock = FakeTime()
    interrupted = (ns + (8 * MS if i % 6 else 0) for i, ns in enumerate(spread(20 * MS, 0.001, 1)))
    series = race(
        [contestant(clock, "a", spread(20 * MS, 0.001, 0)), contestant(clock, "b", interrupted)],
        replace(CPU, n_samples=40),
        timers=clock.timers(),
    )
    [found] = compare_series(series, "a", CPU)
    assert found.ratio.high < 0.8
    assert (found.verdict, found.reason.split(":")[0]) == ("AMBIGUOUS", "disturbed")


def test_series_of_different_races_are_not_compared() -> None:
    clock = FakeTime()
    [first] = race([contestant(clock, "a", 20 * MS)], CPU, timers=clock.timers())
    [fewer] = race([contestant(clock, "b", 20 * MS)], replace(CPU, n_samples=7), timers=clock.timers())
    [by_wall] = race([contestant(clock, "c", 20 * MS)], replace(CPU, clock="wall"), timers=clock.timers())
    for other in (fewer, by_wall):
        with pytest.raises(MeasureError, match="expected series of one race"):
            compare_series([first, other], "a", CPU)
    with pytest.raises(MeasureError, match="baseline among a, b, got 'z'"):
        compare_series([first, fewer], "z", CPU)


@pytest.mark.parametrize("sigma", [0.002, 0.05])
def test_noise_floor_is_the_far_end_of_the_interval_and_follows_the_noise(sigma: float) -> None:
    clock = FakeTime()
    found = noise_floor(contestant(clock, "a", spread(20 * MS, sigma, 5)), CPU, timers=clock.timers())
    assert found.contestant == "a"
    assert found.ratio.low <= 1 <= found.ratio.high
    assert found.effect == max(found.ratio.high - 1, 1 / found.ratio.low - 1)
    assert sigma / 10 < found.effect < sigma * 2


def roof(name: str, rate: float) -> Roof:
    check = Check(contestant=name, oracle="", ok=True, tolerance="0", n_values=1)
    return Roof(
        name=name,
        kind="arithmetic" if name == "fma_peak" else "bandwidth",
        unit="GFLOP/s" if name == "fma_peak" else "GB/s",
        rate=Interval(value=rate, low=rate * 0.99, high=rate * 1.01, n=30),
        detail="",
        check=check,
    )


ROOFS = [roof("copy", 30), roof("triad", 40), roof("fma_peak", 100)]


def one_series(ns: float) -> Series:
    clock = FakeTime()
    return race([contestant(clock, "a", ns)], CPU, timers=clock.timers())[0]


@pytest.mark.parametrize(
    ("work", "ns", "name", "share"),
    [
        (Work(bytes=10**9, flop=10**9), 50 * MS, "triad", 0.5),  # 1 FLOP/B: below the ridge of 2.5
        (Work(bytes=10**9, flop=0), 100 * MS, "triad", 0.25),
        (Work(bytes=10**6, flop=10**9), 20 * MS, "fma_peak", 0.5),
    ],
)
def test_share_is_of_the_roof_that_bounds_the_work(work: Work, ns: float, name: str, share: float) -> None:
    [found] = achieved([one_series(ns)], work, ROOFS)
    assert (found.roof, found.above_roof) == (name, False)
    assert found.roof_share == pytest.approx(share)
    assert found.gb_s.value == pytest.approx(work.bytes / ns)
    assert found.gflop_s.value == pytest.approx(work.flop / ns)
    assert found.flop_per_byte == work.flop / work.bytes


def test_faster_than_the_roof_is_flagged() -> None:
    work = Work(bytes=10**9, flop=0)
    assert achieved([one_series(20 * MS)], work, ROOFS)[0].above_roof
    # Within the roof's own interval it is not: both are measurements.
    assert not achieved([one_series(25 * MS / 1.005)], work, ROOFS)[0].above_roof


def test_no_share_without_a_roof_or_work() -> None:
    with pytest.raises(MeasureError, match="got none"):
        achieved([one_series(MS)], Work(bytes=8, flop=0), [ROOFS[2]])
    with pytest.raises(MeasureError, match="at least 1 byte"):
        achieved([one_series(MS)], Work(bytes=0, flop=8), ROOFS)
