"""Rows into launches, and turns at the device."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rx580lab.serve.launches import Launches, row_counts
from rx580lab.serve.turns import Turns
from tests.serve.machine import SOON_S, Machine

BYTES = 1 << 30


def test_row_counts_are_few_and_reach_the_largest() -> None:
    assert row_counts(1) == (1,)
    assert row_counts(8) == (1, 2, 4, 8)
    assert row_counts(24) == (1, 2, 4, 8, 16, 24)


def test_padding_where_weights_dominate_and_splitting_where_arithmetic_does() -> None:
    memory_bound = Launches(Machine().run, {1: 10.0, 2: 10.2, 4: 10.5, 8: 11.0}, max_bytes=BYTES)
    assert [memory_bound.cover(n) for n in (1, 3, 5, 8, 9)] == [(1,), (4,), (8,), (8,), (8, 1)]
    assert memory_bound.gather == 8
    compute_bound = Launches(Machine().run, {1: 10.0, 2: 19.9, 4: 40.1, 8: 80.0}, max_bytes=BYTES)
    assert compute_bound.cover(3) == (2, 1)
    assert sum(compute_bound.cover(7)) == 7
    assert compute_bound.gather == 1


def test_a_small_launch_that_was_measured_as_dearer_than_a_large_one_was_disturbed() -> None:
    launches = Launches(Machine().run, {1: 50.0, 2: 4.0, 4: 7.0}, max_bytes=BYTES)
    assert launches.costs == {1: 4.0, 2: 4.0, 4: 7.0}
    assert launches.cover(1) == (1,)
    assert launches.gather == 4


COSTS = st.dictionaries(st.sampled_from([1, 2, 3, 4, 6, 8]), st.floats(0.1, 10), min_size=1).map(
    lambda costs: {1: 1.0} | costs
)


@given(COSTS, st.integers(1, 24))
def test_a_cover_is_the_cheapest_there_is(costs: dict[int, float], rows: int) -> None:
    launches = Launches(Machine().run, costs, max_bytes=BYTES)
    cover = launches.cover(rows)
    assert sum(cover) >= rows
    assert sum(cover) - rows < min(cover), "a launch of nothing but padding"
    if rows > launches.most:
        return
    price = sum(launches.costs[n] for n in cover)
    every = (
        some
        for count in range(1, rows + 1)
        for some in itertools.combinations_with_replacement(launches.costs, count)
        if sum(some) >= rows and count <= 4
    )
    assert price <= min(sum(launches.costs[n] for n in some) for some in every) + 1e-9


@given(COSTS, st.integers(1, 24), st.integers(0, 400))
def test_rows_come_out_as_they_went_in_within_the_budget(costs: dict[int, float], rows: int, budget: int) -> None:
    machine = Machine()
    x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    ran = Launches(machine.run, costs, max_bytes=budget).run([{"x": x}], None)
    np.testing.assert_array_equal(ran.outputs["y"], 2 * x + 1)
    assert ran.rows == tuple(len(one) for one in machine.seen)
    assert {len(one) for one in machine.seen} <= costs.keys()
    assert all(one.nbytes <= max(budget, 12) for one in machine.seen)


def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    turns, order = Turns(), list[int]()

    def take(number: int) -> None:
        with turns:
            order.append(number)

    with turns:
        threads = []
        for number in range(5):
            threads.append(threading.Thread(target=take, args=(number,), daemon=True))
            threads[-1].start()
            end = time.monotonic() + SOON_S
            while len(turns._waiting) <= number:
                assert time.monotonic() < end
                time.sleep(0.001)
        assert order == []
    for thread in threads:
        thread.join(SOON_S)
    assert order == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("timeout_s", [0.0, 0.01])
def test_a_turn_is_not_waited_for_longer_than_that(timeout_s: float) -> None:
    turns = Turns()
    with turns:
        assert not turns.acquire(timeout_s)
    assert turns.acquire(timeout_s)
    turns.release()


def test_passing_a_turn_on_lets_others_first_and_keeps_it_where_nobody_waits() -> None:
    turns, order = Turns(), list[str]()
    with turns:
        turns.pass_on()

        def other() -> None:
            with turns:
                order.append("other")

        thread = threading.Thread(target=other, daemon=True)
        thread.start()
        while not turns._waiting:
            time.sleep(0.001)
        turns.pass_on()
        order.append("first")
    thread.join(SOON_S)
    assert order == ["other", "first"]


def test_what_was_measured_while_the_machine_was_busy_is_learnt_again() -> None:
    """A launch of 4 rows was measured as 100 times what it is; it is tried now and then, and taken from then on."""
    launches = Launches(Machine().run, {1: 6e-4, 2: 1.2e-3, 4: 6e-2}, max_bytes=BYTES, learns=True)
    assert launches.gather == 1

    def whatever_the_rows(inputs: Any, wanted: Any) -> Any:
        time.sleep(0.0005)
        return Machine().run(inputs, wanted)

    launches._run = whatever_the_rows
    for _ in range(1500):
        rows = launches.gather_next()
        launches.run([{"x": np.zeros((rows, 1), np.float32)}], None)
        if launches.gather == 4:
            break
    assert launches.gather == 4
    assert launches.cover(3) == (4,)


def test_where_other_axes_are_open_nothing_is_learnt() -> None:
    launches = Launches(Machine().run, {1: 1e-5, 2: 1.0}, max_bytes=BYTES)
    for _ in range(200):
        assert launches.gather_next() == 1
        launches.run([{"x": np.zeros((2, 1), np.float32)}], None)
    assert launches.costs == {1: 1e-5, 2: 1.0}
