"""The stopwatch on a clock of our own, where every duration is known."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.errors import MeasureError
from rx580lab.measure import Contestant, Protocol, Stamped, race, repeated
from tests.measure.fake_time import FakeTime, contestant, fake_device

CPU = Protocol(n_samples=10, clock="cpu", warmup_max_s=0.5)
MS = 1e6


def test_rounds_are_interleaved_in_random_order() -> None:
    clock, calls = FakeTime(), list[str]()
    names = "abc"
    found = race(
        [contestant(clock, name, 20 * MS, calls=calls) for name in names],
        replace(CPU, n_samples=40, warmup_max_s=0),
        timers=clock.timers(),
    )
    rounds = ["".join(calls[-120:])[i : i + 3] for i in range(0, 120, 3)]
    assert all(sorted(one) == list(names) for one in rounds)
    assert len(set(rounds)) == 6  # every order occurs in 40 rounds
    for one in found:
        assert [position // 3 for position in one.order] == list(range(40))
        assert "".join(rounds)[one.order[7]] == one.contestant


def test_same_seed_same_order() -> None:
    def order(seed: int) -> list[int]:
        clock = FakeTime()
        pair = [contestant(clock, name, 20 * MS) for name in "ab"]
        return race(pair, replace(CPU, seed=seed), timers=clock.timers())[0].order

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_first_dispatch_is_kept_apart() -> None:
    clock = FakeTime()
    [found] = race([contestant(clock, "a", chain([7e9], repeat(3 * MS)))], CPU, timers=clock.timers())
    assert found.first_ns == 7e9
    assert found.inner == 4
    assert set(found.warmup_ns) == {3 * MS}
    assert set(found.samples_ns) == {3 * MS}


def ramp() -> Iterator[float]:
    """From 100 ms down to 20 ms, 5 % with each call, like a card that raises its clock."""
    ns = 100 * MS
    while True:
        yield max(20 * MS, ns)
        ns *= 0.95


def test_warm_up_lasts_until_all_contestants_are_steady_and_is_kept() -> None:
    clock = FakeTime()
    steady, ramping = race(
        [contestant(clock, "steady", 20 * MS), contestant(clock, "ramping", ramp())],
        replace(CPU, warmup_max_s=10),
        timers=clock.timers(),
    )
    assert steady.warmup_settled
    assert ramping.warmup_settled
    assert len(steady.warmup_ns) == len(ramping.warmup_ns) >= 32
    assert ramping.warmup_ns[0] > 70 * MS
    assert set(ramping.samples_ns) == {20 * MS}


def test_warm_up_of_the_unsteady_ends_by_its_cap_and_says_so() -> None:
    clock = FakeTime()
    ns = (20 * MS * 1.01**i for i in range(10_000))
    [found] = race([contestant(clock, "a", ns)], replace(CPU, warmup_max_s=1), timers=clock.timers())
    assert not found.warmup_settled
    assert sum(found.warmup_ns) <= 1e9
    assert len(found.samples_ns) == 10


@pytest.mark.parametrize("tick_ms", [1, 10])
def test_short_calls_are_repeated_until_a_coarse_clock_resolves_them(tick_ms: int) -> None:
    clock = FakeTime(cpu_tick_ns=tick_ms * 1_000_000)
    [found] = race([contestant(clock, "a", 1.5 * MS)], replace(CPU, max_s=1e4), timers=clock.timers())
    assert found.inner * 1.5 * MS >= min(1000 * tick_ms * MS, 1000 * 1.5 * MS)
    assert found.median_ns.value == pytest.approx(1.5 * MS, rel=0.01)


def test_inner_that_was_asked_for_is_kept_and_a_build_does_not_cost_the_warm_up() -> None:
    clock = FakeTime()
    [found] = race([contestant(clock, "a", chain([9e9], repeat(2 * MS)))], replace(CPU, inner=7), timers=clock.timers())
    assert (found.inner, found.median_ns.value) == (7, 2 * MS)
    assert found.warmup_settled


def test_long_calls_are_not_repeated() -> None:
    clock = FakeTime()
    assert race([contestant(clock, "a", 300 * MS)], CPU, timers=clock.timers())[0].inner == 1


def test_contestants_alike_get_as_many_calls_others_their_own() -> None:
    clock = FakeTime()
    close, closer, far = race(
        [contestant(clock, "a", 1.0 * MS), contestant(clock, "b", 1.4 * MS), contestant(clock, "c", 4.1 * MS)],
        CPU,
        timers=clock.timers(),
    )
    assert (close.inner, closer.inner, far.inner) == (10, 10, 3)


def test_calibration_is_not_fooled_by_one_disturbed_reading() -> None:
    clock = FakeTime()
    # First dispatch, a first reading, and then one that takes 30 times as long.
    [found] = race(
        [contestant(clock, "a", chain([1 * MS, 1 * MS, 30 * MS], repeat(1 * MS)))], CPU, timers=clock.timers()
    )
    assert found.inner == 10


def test_clock_that_does_not_move_is_an_error() -> None:
    clock = FakeTime()
    with pytest.raises(MeasureError, match="raise inner"):
        race([contestant(clock, "a", 0.0)], replace(CPU, inner=1), timers=clock.timers())


def test_budget_ends_the_rounds_and_says_so() -> None:
    clock = FakeTime()
    # The first dispatch, which builds, is not in the budget. Calibration takes 3 s, as does a round.
    pair = [contestant(clock, "a", chain([60e9], repeat(1e9))), contestant(clock, "b", 2e9)]
    first, second = race(pair, replace(CPU, max_s=20, n_samples=50), timers=clock.timers())
    assert len(first.samples_ns) == len(second.samples_ns) == 5
    assert first.shortfall == "the budget of 20 s ended after 5 of 50 rounds"
    assert clock.wall_ns <= 62e9 + 20e9


def test_budget_of_nothing_still_measures_one_round() -> None:
    clock = FakeTime()
    [found] = race([contestant(clock, "a", 1e9)], replace(CPU, max_s=0), timers=clock.timers())
    assert len(found.samples_ns) == 1


def test_gap_comes_before_every_sample_and_costs_no_time() -> None:
    clock = FakeTime()
    pair = [contestant(clock, name, 20 * MS) for name in "ab"]
    found = race(pair, replace(CPU, gap_s=0.15, warmup_max_s=0, clock="wall"), timers=clock.timers())
    assert clock.slept == [0.15] * 20
    assert set(found[0].samples_ns) == {20 * MS}


def test_wall_time_on_the_cpu_pauses_for_a_fresh_time_slice() -> None:
    for device, expected in ((None, {0.001}), (fake_device("gpu"), set())):
        clock = FakeTime()
        race([contestant(clock, "a", 20 * MS)], replace(CPU, clock="wall"), device, timers=clock.timers())
        assert set(clock.slept) == expected


def test_wall_clock_counts_what_others_took_and_cpu_time_stands_beside_it() -> None:
    clock = FakeTime()
    disturbed = Contestant("a", "a", "lab", lambda: clock.work(20 * MS, 13 * MS), lambda: None)
    [found] = race([disturbed], replace(CPU, clock="wall"), timers=clock.timers())
    assert found.median_ns.value == 33 * MS
    assert found.cpu_ns is not None
    assert found.cpu_ns.value == 20 * MS


def test_outliers_stay_in_and_are_labelled() -> None:
    clock = FakeTime()
    ns = chain(repeat(20 * MS, 30), [90 * MS], repeat(20 * MS))
    [found] = race(
        [contestant(clock, "a", ns)], replace(CPU, n_samples=40, warmup_max_s=0, inner=1), timers=clock.timers()
    )
    assert found.outliers == [28]
    assert found.samples_ns[28] == 90 * MS


def test_samples_at_a_lowered_clock_are_marked() -> None:
    clock = FakeTime()
    mhz = iter([1340.0, 1340.0, 300.0, 1300.0, None, 1000.0, *[1340.0] * 4])
    [found] = race([contestant(clock, "a", 20 * MS)], CPU, timers=clock.timers(), shader_clock=lambda: next(mhz))
    assert found.throttled == [2, 5]


class Stamp:
    def __init__(self, start_ns: int, end_ns: int) -> None:
        self.start_ns = start_ns
        self.end_ns = end_ns


def kernels(clock: FakeTime, *spans: tuple[int, int]) -> Contestant:
    """Each run queues kernels that run on the device at these times, in us from now; the host only waits for them."""

    def run() -> list[Stamped]:
        now = int(clock.wall_ns)
        clock.wall_ns += 1000 * max(end for _, end in spans) + 40_000
        return [Stamp(now + 1000 * start, now + 1000 * end) for start, end in spans]

    return Contestant("a", "a", "lab", run, lambda: None)


def test_device_clock_takes_each_call_from_its_first_kernel_to_its_last() -> None:
    clock = FakeTime()
    one = kernels(clock, (100, 150), (160, 200))
    [found] = race([one], replace(CPU, clock="device_event"), fake_device("gpu"), timers=clock.timers())
    assert found.clock == "device_event"
    assert found.median_ns.value == 100_000
    assert found.inner == 10


def test_device_clock_without_events_is_refused() -> None:
    clock = FakeTime()
    with pytest.raises(MeasureError, match="a contestant has no device events"):
        race(
            [contestant(clock, "a", MS)], replace(CPU, clock="device_event"), fake_device("gpu"), timers=clock.timers()
        )
    answers = chain([[Stamp(0, 1)]], repeat(None))
    forgetful = Contestant("a", "a", "lab", lambda: next(answers), lambda: None)
    with pytest.raises(MeasureError, match="expected each run to return its events"):
        race([forgetful], replace(CPU, clock="device_event"), fake_device("gpu"), timers=clock.timers())


def test_sync_ends_every_sample() -> None:
    clock = FakeTime()
    queued = [0]

    def run() -> None:
        queued[0] += 1

    def sync() -> None:
        clock.work(5 * MS * queued[0])
        queued[0] = 0

    [found] = race([Contestant("a", "a", "lab", run, sync)], CPU, timers=clock.timers())
    assert found.inner == 2
    assert set(found.samples_ns) == {5 * MS}


def test_garbage_is_not_collected_while_the_clock_runs_and_is_afterwards() -> None:
    clock, seen = FakeTime(), list[bool]()

    def run() -> None:
        seen.append(gc.isenabled())
        if len(seen) > 20:
            raise ValueError("the kernel died")
        clock.work(20 * MS)

    with pytest.raises(ValueError, match="the kernel died"):
        race([Contestant("a", "a", "lab", run, lambda: None)], CPU, timers=clock.timers())
    assert not any(seen[1:])  # all but the first dispatch
    assert gc.isenabled()


def test_race_needs_contestants_with_names_of_their_own() -> None:
    clock = FakeTime()
    with pytest.raises(MeasureError, match="got none"):
        race([], CPU)
    with pytest.raises(MeasureError, match="got a, a"):
        race([contestant(clock, "a", MS)] * 2, CPU, timers=clock.timers())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_samples", 0),
        ("warmup_window", 0),
        ("gap_s", -1.0),
        ("max_s", float("nan")),
        ("inner", 0),
        ("clock", "sundial"),
        ("confidence", 95.0),
        ("min_sample_s", -0.1),
    ],
)
def test_protocol_refuses_nonsense(field: str, value: object) -> None:
    with pytest.raises(MeasureError, match=field):
        Protocol(**{field: value})  # type: ignore[arg-type]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(1e3, 1e8), min_size=1, max_size=4), st.integers(1, 12), st.integers(0, 99))
def test_any_race_gives_each_contestant_its_own_time(times: list[float], n_samples: int, seed: int) -> None:
    clock = FakeTime()
    protocol = replace(CPU, n_samples=n_samples, seed=seed, max_s=1e6)
    found = race([contestant(clock, str(i), ns) for i, ns in enumerate(times)], protocol, timers=clock.timers())
    for one, ns in zip(found, times, strict=True):
        assert len(one.samples_ns) == n_samples
        assert one.median_ns.value == pytest.approx(ns, rel=1e-2, abs=1)
    positions = sorted(position for one in found for position in one.order)
    assert positions == list(range(n_samples * len(times)))


def test_repeated_work_is_exactly_so_many_times_the_work() -> None:
    clock = FakeTime()
    once = contestant(clock, "a", 3 * MS)
    [ten] = race([repeated(once, 10)], CPU, timers=clock.timers())
    assert ten.median_ns.value == 30 * MS
    [events] = race([repeated(kernels(clock, (0, 50)), 4)], replace(CPU, clock="wall"), timers=clock.timers())
    assert events.median_ns.value == pytest.approx(4 * 90_000)
    with pytest.raises(MeasureError, match="at least one run"):
        repeated(once, 0)
