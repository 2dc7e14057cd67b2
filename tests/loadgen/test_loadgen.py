"""The load generator: what it sends, what it counts, and that it tells the truth about a server that stalls."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.errors import InputError
from rx580lab.loadgen import Answer, Caps, Closed, Generator, Open, Outcome, Request, constant, poisson, run, run_here
from tests.loadgen.answering import OK, answering, frozen


def not_ok(_which: int, answer: Answer) -> str | None:
    return None if answer.body == b"ok" else f"got {answer.body!r}"


def test_a_closed_loop_keeps_its_connections_busy_and_open() -> None:
    with answering() as server:
        posted = Request("/b?x=1", "POST", {"X-Own": "1"}, b"body")
        found = run_here(server.url, Closed(4, seconds=20, requests=200), [Request("/a"), posted], check=not_ok)
    assert (found.intended, found.answered, found.n_lost, found.n_checked, found.n_wrong) == (200, 200, 0, 200, 0)
    assert found.statuses == {200: 200}
    assert len(found.latencies_s) == 200
    assert server.connections == 4
    assert sum(one.startswith(b"GET /a HTTP/1.1\r\nHost: 127.0.0.1:") for one in server.seen) == 100
    assert sum(one.endswith(b"X-Own: 1\r\nContent-Length: 4\r\n\r\nbody") for one in server.seen) == 100


def test_a_closed_loop_ends_in_time() -> None:
    with answering() as server:
        found = run_here(server.url, Closed(2, seconds=0.2), [Request("/")])
    assert 0.2 <= found.seconds < 2
    assert found.intended == found.answered > 2


def test_it_works_in_a_process_of_its_own() -> None:
    with answering() as server:
        before = time.process_time()
        found = run(server.url, Closed(1, seconds=20, requests=50), [Request("/")], check=not_ok)
    assert (found.answered, found.n_checked) == (50, 50)
    assert found.cpu_s > 0
    assert time.process_time() - before < 1


def test_it_works_where_a_loop_runs_already() -> None:
    async def cell() -> Outcome:
        return run_here(server.url, Closed(1, seconds=20, requests=5), [Request("/")], check=not_ok)

    with answering() as server:
        assert asyncio.run(cell()).n_checked == 5


def test_one_process_serves_many_loads() -> None:
    with answering() as server, Generator() as generator:
        found = [generator.run(server.url, Closed(1, seconds=20, requests=n), [Request("/")]) for n in (1, 2, 3)]
    assert [one.answered for one in found] == [1, 2, 3]


def test_answers_that_are_wrong_are_counted_and_the_first_ones_told() -> None:
    wrong = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"
    with answering(lambda n: wrong if n % 2 else OK) as server:
        found = run_here(server.url, Closed(1, seconds=20, requests=60), [Request("/")], check=not_ok)
        every_third = run_here(
            server.url, Closed(1, seconds=20, requests=60), [Request("/")], check=not_ok, check_every=3
        )
    assert (found.n_checked, found.n_wrong, len(found.wrong)) == (60, 30, 10)
    assert found.wrong[0] == "got b'no'"
    assert (every_third.n_checked, every_third.n_wrong) == (20, 10)


def test_other_statuses_are_answers_but_no_latencies() -> None:
    full = b"HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n"
    with answering(lambda n: full if n % 2 else OK) as server:
        found = run_here(server.url, Closed(1, seconds=20, requests=10), [Request("/")], check=not_ok)
    assert found.statuses == {200: 5, 503: 5}
    assert (len(found.latencies_s), found.n_checked) == (5, 5)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length:2\r\nConnection: close\r\n\r\nok",
        OK,
    ],
)
def test_it_reads_answers_of_every_framing(raw: bytes) -> None:
    with answering(lambda _n: raw) as server:
        found = run_here(server.url, Closed(1, seconds=20, requests=3), [Request("/")], check=not_ok)
    assert (found.answered, found.n_wrong) == (3, 0)
    assert server.connections == (3 if b"close" in raw else 1)


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    with answering(lambda _n: b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok") as server:
        found = run_here(server.url, Closed(1, seconds=20, requests=3), [Request("/")], check=not_ok)
    assert (found.answered, found.n_wrong, found.n_lost) == (3, 0, 0)


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", b"SSH-2.0\r\n\r\n\r\n\r\n"])
def test_requests_without_a_whole_answer_are_lost_not_dropped(raw: bytes) -> None:
    with answering(lambda n: OK if n < 3 else raw) as server:
        found = run_here(server.url, Closed(1, seconds=20, requests=8, timeout_s=0.3), [Request("/")])
    assert (found.answered, found.n_lost) == (6, 2)


def test_nobody_at_home() -> None:
    with answering() as server:
        url = server.url
    found = run_here(url, Closed(1, seconds=20, requests=3), [Request("/")])
    assert (found.answered, found.n_lost) == (0, 3)
    assert found.quantile(0.5) is None


def test_an_open_loop_counts_from_when_a_request_should_have_left() -> None:
    arrivals = constant(100, 2.0)
    with answering(frozen(0.5, 1.0)) as server:
        opened = run_here(server.url, Open(arrivals), [Request("/")], check=not_ok)
    with answering(frozen(0.5, 1.0)) as server:
        closed = run_here(server.url, Closed(1, seconds=2.0), [Request("/")])
    assert (opened.intended, opened.answered, opened.n_lost, opened.n_wrong) == (200, 200, 0, 0)
    p99, hidden = opened.quantile(0.99), closed.quantile(0.99)
    assert p99 is not None
    assert 0.8 < p99 < 1.4
    assert hidden is not None
    assert hidden < 0.2, "one stall is one slow answer of many to a closed loop"
    assert opened.achieved_rate is not None
    assert opened.on_schedule


def test_an_open_loop_without_a_free_connection_sends_late_and_says_so() -> None:
    with answering(frozen(0.1, 0.6)) as server:
        found = run_here(server.url, Open(constant(100, 0.5), connections=1), [Request("/")])
    assert found.answered == found.intended == 50
    assert 20 < found.late < 50
    assert found.achieved_rate is not None
    assert found.intended_rate is not None
    assert found.achieved_rate < 0.8 * found.intended_rate
    assert not found.on_schedule
    assert found.quantile(0.99) is None, "a tail that may be the generator's own is not quoted"


def test_what_is_not_answered_in_time_is_lost() -> None:
    with answering(frozen(0.0, 1.0)) as server:
        found = run_here(server.url, Open(constant(20, 0.5), timeout_s=0.2), [Request("/")])
    assert found.lost == {"no answer in time": 10}
    assert found.intended == found.answered + found.n_lost


@settings(max_examples=30, deadline=None)
@given(rate=st.floats(0.5, 500), seconds=st.floats(0.1, 20), seed=st.integers(0, 2**32))
def test_arrivals_lie_in_time_and_order_and_keep_their_rate(rate: float, seconds: float, seed: int) -> None:
    steady, random = constant(rate, seconds), poisson(rate, seconds, seed)
    for found in (steady, random):
        assert found == sorted(found)
        assert all(0 <= at < seconds for at in found)
    assert len(steady) == int(rate * seconds)
    assert abs(len(random) - rate * seconds) < 6 * (rate * seconds) ** 0.5 + 6
    assert random == poisson(rate, seconds, seed)
    if len(steady) > 1:
        assert Open(steady).rate == pytest.approx(rate)


@pytest.mark.parametrize("url", ["http://192.0.2.1:80", "http://example.org", "http://[2001:db8::1]:1"])
def test_it_aims_at_this_machine_unless_told_that_a_host_is_ones_own(url: str) -> None:
    with pytest.raises(InputError, match="own_host=True"):
        run_here(url, Closed(1, requests=1), [Request("/")])


@pytest.mark.parametrize("url", ["https://127.0.0.1", "127.0.0.1:80", "http://127.0.0.1/path", "file:///etc/passwd"])
def test_it_takes_an_address_and_nothing_else(url: str) -> None:
    with pytest.raises(InputError, match="expected http://host:port"):
        run_here(url, Closed(1, requests=1), [Request("/")])


@pytest.mark.parametrize(
    "load",
    [
        Closed(connections=1001),
        Closed(connections=0),
        Closed(seconds=601),
        Closed(requests=2_000_001),
        Open([0.0, 601.0]),
        Open(constant(6000, 1.0)),
        Open([1.0, 0.5]),
        Open([]),
    ],
)
def test_a_load_beyond_its_caps_is_refused(load: Closed | Open) -> None:
    with pytest.raises(InputError):
        run("http://127.0.0.1:1", load, [Request("/")])


def test_caps_are_the_callers_to_raise() -> None:
    with answering() as server:
        found = run_here(server.url, Open(constant(6000, 0.01)), [Request("/")], caps=Caps(rate=10_000))
    assert found.answered == 60


@pytest.mark.parametrize(
    "request_", [Request("/a b"), Request("no-slash"), Request("/", headers={"A": "1\r\nB: 2"}), Request("/\r\nB: 2")]
)
def test_a_request_stays_one_request(request_: Request) -> None:
    with pytest.raises(InputError):
        run_here("http://127.0.0.1:1", Closed(1, requests=1), [request_])


def test_quantiles_are_of_what_was_answered() -> None:
    found = Outcome(latencies_s=[0.004, 0.001, 0.003, 0.002])
    assert [found.quantile(q) for q in (0.0, 0.25, 0.5, 0.99, 1.0)] == [0.001, 0.001, 0.002, 0.004, 0.004]
