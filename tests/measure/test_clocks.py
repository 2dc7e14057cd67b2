"""Which clock is believed, where, and why."""

from __future__ import annotations

from itertools import count

import pytest

from rx580lab.device import Device
from rx580lab.errors import MeasureError
from rx580lab.measure import clocks
from rx580lab.measure.clocks import choose_clock, resolution_ns, thread_count
from tests.measure.fake_time import fake_device


def pools(monkeypatch: pytest.MonkeyPatch, *threads: int) -> None:
    found = [{"internal_api": "openblas", "num_threads": n} for n in threads]
    monkeypatch.setattr(clocks, "threadpool_info", lambda: found)


@pytest.mark.parametrize(
    ("device", "gives_events", "blas_threads", "expected", "why"),
    [
        # one thread: CPU time, whatever else there is
        (fake_device("cpu", 1), [True, True], 8, "cpu", "one thread"),
        (fake_device("cpu", 1), [True, False], 1, "cpu", "one thread"),
        (fake_device("cpu", 1, event_clock=False), [True], 1, "cpu", "one thread"),
        (None, [False], 1, "cpu", "one thread"),
        # more threads: events if all have them and they can be trusted
        (fake_device("cpu", 2), [True, True], 1, "device_event", "has 2 compute units"),
        (fake_device("cpu", 2), [True, False], 2, "wall", "has no device events"),
        (fake_device("cpu", 1), [True, False], 2, "wall", "openblas may use 2 threads"),
        (fake_device("cpu", 2, event_clock=False), [True], 1, "wall", "always 1"),
        (None, [False, False], 2, "wall", "no OpenCL device takes part"),
        # a GPU: events, else wall, never CPU time
        (fake_device("gpu", 36), [True], 1, "device_event", "GPU"),
        (fake_device("gpu", 36, event_clock=False), [True], 1, "wall", "always 1"),
        (fake_device("gpu", 36), [True, False], 1, "wall", "a race has one clock"),
        # work without events may be a C library's on the device's queue
        (fake_device("gpu", 36), [False], 1, "wall", "a GPU may do the work"),
        (fake_device("cpu", 2), [False], 1, "wall", "has 2 compute units"),
    ],
)
def test_auto_takes_the_clock_that_can_be_believed(
    monkeypatch: pytest.MonkeyPatch,
    device: Device | None,
    gives_events: list[bool],
    blas_threads: int,
    expected: str,
    why: str,
) -> None:
    pools(monkeypatch, blas_threads)
    clock, reason = choose_clock("auto", device, gives_events)
    assert clock == expected
    assert why in reason


def test_clock_that_was_asked_for_is_taken_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pools(monkeypatch, 8)
    assert choose_clock("wall", fake_device("cpu", 1), [True]) == ("wall", "asked for")
    assert choose_clock("cpu", fake_device("cpu", 2), [True]) == ("cpu", "asked for")
    assert choose_clock("device_event", fake_device("gpu"), [True]) == ("device_event", "asked for")
    with pytest.raises(MeasureError, match="a GPU may do the work"):
        choose_clock("cpu", fake_device("gpu"), [True])
    with pytest.raises(MeasureError, match="timestamps are always 1"):
        choose_clock("device_event", fake_device("gpu", event_clock=False), [True])
    with pytest.raises(MeasureError, match="no OpenCL device"):
        choose_clock("device_event", None, [False])


def test_threads_are_those_of_the_device_and_of_the_loaded_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    pools(monkeypatch, 1, 4)
    assert thread_count(None, host_code=True) == (4, "openblas may use 4 threads")
    assert thread_count(fake_device("cpu", 6), host_code=True) == (6, "fake/device has 6 compute units")
    assert thread_count(fake_device("cpu", 6), host_code=False)[0] == 6
    assert thread_count(None, host_code=False)[0] == 1
    pools(monkeypatch)
    assert thread_count(None, host_code=True)[0] == 1


def test_resolution_is_the_step_that_a_clock_makes() -> None:
    readings = count()
    assert resolution_ns(lambda: next(readings) // 7 * 10_000_000) == 10_000_000
    assert 0 < resolution_ns(clocks.Timers().cpu_ns) < 50_000_000


def test_clock_that_stands_still_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "_MAX_STEP_SEARCH_NS", 10_000_000)
    with pytest.raises(MeasureError, match="stood still"):
        resolution_ns(lambda: 5)
