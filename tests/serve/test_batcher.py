"""The queue of a model: who runs with whom, who waits, who leaves, and that nobody is forgotten."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.errors import DtypeError, InputError, LaunchFailed, ShapeError
from rx580lab.serve.batcher import Closed
from rx580lab.serve.inference import Inference, Result, Tensor
from rx580lab.serve.metrics import Metrics
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.tallies import Tallies
from rx580lab.serve.turns import Turns
from tests.serve.machine import COSTS, SOON_S, Machine, ask, ask_for, busy, made, queue, value_of, values, waits_for


def test_an_idle_model_runs_in_the_thread_that_asks() -> None:
    machine = Machine()
    result = made(machine).submit(Inference({"x": np.ones((2, 1), np.float32)}))
    assert values(result) == [3, 3]
    assert machine.threads == [threading.get_ident()]
    assert (result.rows, len(machine.seen)) == (2, 1)


def test_requests_that_come_meanwhile_share_a_launch_and_get_their_own_rows() -> None:
    machine = Machine()
    batcher = made(machine)
    with busy(machine, batcher):
        asked = queue(batcher, (1,), (2, 3), (4,))
    assert [values(one.got) for one in asked] == [[3], [5, 7], [9]]
    assert [one.got.rows for one in asked] == [1, 2, 1]
    assert [len(x) for x in machine.seen] == [1, 4]


def test_rows_are_padded_by_repeating_the_last_and_nobody_sees_it() -> None:
    machine = Machine()
    batcher = made(machine)
    with busy(machine, batcher):
        asked = queue(batcher, (1,), (2,), (3,))
    assert [values(one.got) for one in asked] == [[3], [5], [7]]
    assert machine.seen[1][:, 0].tolist() == [1, 2, 3, 3]


def test_a_launch_keeps_its_budget_of_rows() -> None:
    machine = Machine()
    batcher = made(machine)
    with busy(machine, batcher):
        asked = queue(batcher, (1, 2, 3), (4, 5, 6), (7, 8, 9))
    assert [values(one.got) for one in asked] == [[3, 5, 7], [9, 11, 13], [15, 17, 19]]
    assert [len(x) for x in machine.seen] == [1, 8, 4]


def test_a_launch_keeps_its_budget_of_bytes() -> None:
    machine = Machine()
    batcher = made(machine, max_bytes=8)
    with busy(machine, batcher):
        asked = queue(batcher, (1,), (2,), (3,))
    assert [values(one.got) for one in asked] == [[3], [5], [7]]
    assert [x.nbytes for x in machine.seen] == [4, 8, 4]
    many = batcher.submit(Inference({"x": np.arange(5, dtype=np.float32)[:, None]}))
    assert values(many) == [1, 3, 5, 7, 9]
    assert max(x.nbytes for x in machine.seen) == 8


def test_more_rows_than_a_launch_takes_run_in_several_and_others_come_between() -> None:
    turns = Turns()
    machine, other = Machine(), Machine()
    batcher, beside = made(machine, turns=turns), made(other, turns=turns)
    with machine.held():
        large = ask(batcher, *range(20))
        assert machine.entered.acquire(timeout=SOON_S)
        small = ask(beside, 7)
        end = time.monotonic() + SOON_S
        while not turns._waiting:
            assert time.monotonic() < end
            time.sleep(0.001)
    assert values(large.got) == [2 * n + 1 for n in range(20)]
    assert values(small.got) == [15]
    assert [len(x) for x in machine.seen] == [8, 8, 4]
    assert turns.acquire(0)


def test_priorities_go_first_and_the_default_last_each_in_order_of_arrival() -> None:
    machine = Machine()
    batcher = made(machine, {1: 1.0})
    with busy(machine, batcher):
        last = queue(batcher, (1,), (2,))
        second = queue(batcher, (3,), (4,), priority=2)
        first = queue(batcher, (5,), priority=1)
    for one in (*last, *second, *first):
        assert isinstance(one.got, Result)
    assert [float(x[0, 0]) for x in machine.seen] == [100, 5, 3, 4, 1, 2]


def test_a_request_leaves_at_its_deadline_and_is_not_computed() -> None:
    machine, metrics, tallies = Machine(), Metrics(), Tallies()
    batcher = made(machine, metrics=metrics, tallies=tallies)
    with busy(machine, batcher):
        late = ask(batcher, 1, deadline=time.monotonic() + 0.05)
        refusal = late.got  # while the launch before it is still at work
        assert isinstance(refusal, Refusal)
        assert refusal.status == 504
        assert batcher.waiting == 0
    assert len(machine.seen) == 1
    assert value_of(metrics, "rx580_inference_rejected_total", model="m", reason="deadline") == 1
    assert tallies.as_dict()["inference_stats"]["fail"]["count"] == 1


def test_the_settings_bound_the_wait_where_the_client_does_not() -> None:
    machine = Machine()
    batcher = made(machine, request_s=0.05)
    with busy(machine, batcher):
        assert ask(batcher, 1).got.status == 504
        assert ask(batcher, 1, deadline=time.monotonic() + 1000).got.status == 504


def test_a_request_that_comes_past_its_deadline_is_not_computed_though_nobody_waits() -> None:
    machine = Machine()
    refusal = ask(made(machine), 1, deadline=time.monotonic() - 1).got
    assert isinstance(refusal, Refusal)
    assert refusal.status == 504
    assert machine.seen == []


def test_a_deadline_holds_while_another_model_has_the_device() -> None:
    turns, machine = Turns(), Machine()
    batcher = made(machine, turns=turns)
    with turns:
        asked = [ask(batcher, 1, deadline=time.monotonic() + 0.05)]
        waits_for(batcher, 1)
        asked += queue(batcher, (2,))
        assert asked[0].got.status == 504
    assert values(asked[1].got) == [5]
    assert [x[:, 0].tolist() for x in machine.seen] == [[2]]


def test_what_nobody_waits_for_is_skipped() -> None:
    machine, metrics = Machine(), Metrics()
    batcher = made(machine, metrics=metrics)

    def breaks() -> bool:
        raise OSError("no socket")

    with busy(machine, batcher):
        asked = (
            queue(batcher, (1,), abandoned=lambda: True) + queue(batcher, (2,)) + queue(batcher, (3,), abandoned=breaks)
        )
    assert asked[0].got.status == 504
    assert values(asked[1].got) == [5]
    assert isinstance(asked[2].got, OSError)
    assert [x[:, 0].tolist() for x in machine.seen[1:]] == [[2]]
    assert value_of(metrics, "rx580_inference_rejected_total", model="m", reason="abandoned") == 1


def test_a_bad_request_fails_alone_and_its_batch_succeeds() -> None:
    machine = Machine()
    machine.break_on = lambda x: InputError("model", "expected no 13") if 13 in x else None
    batcher = made(machine)
    with busy(machine, batcher):
        asked = queue(batcher, (1,), (13,), (3,))
    assert [values(asked[0].got), values(asked[2].got)] == [[3], [7]]
    assert isinstance(asked[1].got, InputError)


@pytest.mark.parametrize("error", [LaunchFailed("device", "lost"), MemoryError(), RuntimeError("a fault of ours"),
                                   SystemExit(3)])  # fmt: skip
def test_an_error_of_a_launch_fails_that_launch_and_no_other(error: BaseException) -> None:
    machine = Machine()
    machine.break_on = lambda x: error if 13 in x else None
    batcher = made(machine)
    with busy(machine, batcher):
        failing = queue(batcher, (13,), (1,))
        other = ask_for(batcher, Inference({"x": np.ones((1, 2), np.float32)}))
        waits_for(batcher, 3)
    assert [type(one.got) for one in failing] == [type(error)] * 2
    assert values(other.got) == [3]
    assert values(batcher.submit(Inference({"x": np.ones((1, 1), np.float32)}))) == [3]


def test_requests_of_other_shapes_and_types_do_not_mix() -> None:
    machine = Machine()
    batcher = made(machine)
    kinds = [(1, np.float32), (2, np.float32), (1, np.float64), (1, np.float32)]
    arrays: list[Tensor] = [np.full((1, length), n, dtype) for n, (length, dtype) in enumerate(kinds, 1)]
    with busy(machine, batcher):
        asked = []
        for place, x in enumerate(arrays):
            asked.append(ask_for(batcher, Inference({"x": x})))
            waits_for(batcher, place + 1)
    assert [values(one.got) for one in asked] == [[3], [5], [7], [9]]
    assert [one.got.outputs["y"].dtype for one in asked] == [x.dtype for x in arrays]
    assert [x[:, 0].tolist() for x in machine.seen[1:]] == [[1, 4], [2], [3]]


@pytest.mark.parametrize("shapes", [((2, 1), (3, 1)), ((0, 1), (0, 1)), ((), ())])
def test_inputs_without_the_same_rows_never_reach_a_launch(shapes: tuple[tuple[int, ...], ...]) -> None:
    machine = Machine()
    inputs = {name: np.ones(shape, np.float32) for name, shape in zip("xw", shapes, strict=True)}
    with pytest.raises(ShapeError):
        made(machine).submit(Inference(inputs))
    assert machine.seen == []


def test_a_model_that_mixes_rows_gets_each_request_alone_and_whole() -> None:
    machine = Machine()
    batcher = made(machine, {})
    with busy(machine, batcher):
        asked = queue(batcher, (1,), (2, 3, 4), (5,))
    assert [values(one.got) for one in asked] == [[3], [5, 7, 9], [11]]
    assert [len(x) for x in machine.seen] == [1, 1, 3, 1]


def test_only_the_outputs_that_are_asked_for_are_read_and_returned() -> None:
    machine = Machine()
    batcher = made(machine)
    with busy(machine, batcher):
        asked = queue(batcher, (1,), outputs=("z",)) + queue(batcher, (2,), outputs=("z",))
    assert [list(one.got.outputs) for one in asked] == [["z"], ["z"]]
    with busy(machine, batcher):
        asked = queue(batcher, (1,), outputs=("z",)) + queue(batcher, (2,), outputs=("y",)) + queue(batcher, (3,))
    assert [sorted(one.got.outputs) for one in asked] == [["z"], ["y"], ["y", "z"]]
    assert machine.wanted == [None, ("z",), None, None]


def test_a_full_queue_refuses_and_counts() -> None:
    machine, metrics = Machine(), Metrics()
    batcher = made(machine, metrics=metrics, queue=2)
    with busy(machine, batcher):
        asked = queue(batcher, (1,), (2,))
        assert value_of(metrics, "rx580_inference_queue_depth", model="m") == 2
        refusal = ask(batcher, 3).got
        assert (refusal.status, refusal.headers["Retry-After"]) == (503, "2")
    assert [values(one.got) for one in asked] == [[3], [5]]
    assert value_of(metrics, "rx580_inference_rejected_total", model="m", reason="queue full") == 1
    assert value_of(metrics, "rx580_inference_queue_capacity", model="m") == 2
    assert value_of(metrics, "rx580_inference_queue_depth", model="m") == 0


def test_a_slot_is_free_only_when_its_request_left_the_queue() -> None:
    machine = Machine()
    batcher = made(machine, {1: 1.0}, queue=1)
    with busy(machine, batcher):
        waiting = queue(batcher, (1,), deadline=time.monotonic() + 0.1)
        assert ask(batcher, 2).got.status == 503
        assert waiting[0].got.status == 504
        again = queue(batcher, (3,))
    assert values(again[0].got) == [7]


def test_those_that_left_are_forgotten_behind_a_stream_of_higher_priority() -> None:
    machine = Machine()
    batcher = made(machine, queue=2)
    with busy(machine, batcher):
        for _ in range(200):
            assert ask(batcher, 1, deadline=time.monotonic()).got.status == 504
        assert len(batcher._heap) < 100


def test_close_serves_what_waits_and_takes_nothing_more() -> None:
    machine, metrics = Machine(), Metrics()
    batcher = made(machine, {1: 1.0}, metrics=metrics)
    with busy(machine, batcher):
        asked = queue(batcher, (1,), (2,))
        closing = threading.Thread(target=batcher.close, daemon=True)
        closing.start()
        while not batcher._closed:
            time.sleep(0.001)
        assert isinstance(ask(batcher, 3).got, Closed)
        assert closing.is_alive()
    closing.join(SOON_S)
    assert not closing.is_alive()
    assert [values(one.got) for one in asked] == [[3], [5]]
    assert value_of(metrics, "rx580_inference_queue_capacity", model="m") == 0
    with pytest.raises(Refusal) as refused:
        batcher.submit(Inference({"x": np.ones((1, 1), np.float32)}))
    assert refused.value.status == 503


def test_only_an_idle_model_retires() -> None:
    machine = Machine()
    batcher = made(machine)
    with busy(machine, batcher):
        assert not batcher.retire()
    end = time.monotonic() + SOON_S
    while not batcher.retire():
        assert time.monotonic() < end
    assert isinstance(ask(batcher, 3).got, Closed)


def test_the_first_waits_for_company_where_that_is_asked_for() -> None:
    machine = Machine()
    batcher = made(machine, max_delay_s=SOON_S)
    asked = [*queue(batcher, (1, 2), (3, 4), (5, 6)), ask(batcher, 7, 8)]  # the eighth row ends the wait
    assert [values(one.got) for one in asked] == [[3, 5], [7, 9], [11, 13], [15, 17]]
    assert [len(x) for x in machine.seen] == [8]
    brief = made(machine, max_delay_s=0.01)
    assert values(brief.submit(Inference({"x": np.ones((1, 1), np.float32)}))) == [3]


def test_what_is_counted_is_true() -> None:
    machine, metrics, tallies, waits = Machine(), Metrics(), Tallies(), list[float]()
    batcher = made(machine, metrics=metrics, tallies=tallies, observe_wait=waits.append)
    with busy(machine, batcher):
        asked = queue(batcher, (1,), (2, 3))
        time.sleep(0.02)
    for one in asked:
        assert one.got.queue_ns > 15e6
    told = tallies.as_dict()
    assert (told["inference_count"], told["execution_count"]) == (4, 2)
    assert [(one["batch_size"], one["compute_infer"]["count"]) for one in told["batch_stats"]] == [(1, 1), (4, 1)]
    assert told["inference_stats"]["success"]["count"] == told["inference_stats"]["queue"]["count"] == 3
    assert told["inference_stats"]["queue"]["ns"] > 30e6
    assert abs(told["last_inference"] - time.time() * 1000) < 1e5
    assert len(waits) == 3
    assert value_of(metrics, "rx580_inference_batch_size_sum", model="m") == 4
    assert value_of(metrics, "rx580_inference_batch_size_count", model="m") == 2
    assert value_of(metrics, "rx580_inference_queue_seconds_count", model="m") == 3
    assert value_of(metrics, "rx580_inference_queue_depth", model="m") == 0


REQUESTS = st.lists(
    st.tuples(
        st.integers(1, 11),  # rows
        st.integers(1, 2),  # length of a row
        st.integers(0, 3),  # priority
        st.sampled_from([None, ("y",), ("z",)]),
        st.booleans(),  # bad
        st.sampled_from([0.0, 0.0, 0.0005]),  # pause before it
    ),
    min_size=1,
    max_size=24,
)


@settings(max_examples=60, deadline=None)
@given(REQUESTS, st.sampled_from([COSTS, {1: 1.0, 2: 2.0, 4: 4.0, 8: 8.0}, {}, {1: 1.0, 3: 1.0}]))
def test_rows_come_back_to_their_owners_whatever_comes_when(requests: Any, costs: Mapping[int, float]) -> None:
    machine = Machine()
    machine.break_on = lambda x: DtypeError("model", "expected nothing negative") if (x < 0).any() else None
    batcher = made(machine, costs)
    asked = []
    for number, (rows, length, priority, outputs, bad, pause) in enumerate(requests):
        time.sleep(pause)
        x = (1000.0 * number + np.arange(rows * length)).reshape(rows, length)
        asked.append((-x - 1 if bad else x, outputs, ask_for(batcher, Inference({"x": -x - 1 if bad else x}, outputs,
                                                                                priority=priority))))  # fmt: skip
    for x, outputs, one in asked:
        if (x < 0).any():
            assert isinstance(one.got, DtypeError)
        else:
            expected = {"y": 2 * x + 1, "z": -x}
            assert sorted(one.got.outputs) == sorted(outputs or expected)
            for name, found in one.got.outputs.items():
                np.testing.assert_array_equal(found, expected[name])
    batcher.close()
    assert batcher.waiting == 0
