"""Limits: exact in every minute, by address before a key is looked at, by verified key after; bounded in memory."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rx580lab.serve.addresses import group_of
from rx580lab.serve.call import Call, Principal
from rx580lab.serve.limits import Limiter, Pressure
from rx580lab.serve.metrics import Metrics
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.roles import Role
from rx580lab.serve.routes import routes
from rx580lab.serve.settings import Limits, Settings
from rx580lab.serve.windows import Charge, MemoryWindows
from tests.serve.running import Running, start

ROUTES = {route.name: route for route in routes(Settings(models=Path("models")))}


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def call(route: str | None = None, key: str | None = None, role: Role = Role.PUBLIC, address: str = "10.0.0.1") -> Call:
    one = Call(address, ROUTES[route] if route else None)
    one.principal = Principal(role, key, "header" if key else "none")
    return one


def limiter(clock: Clock, told: list[tuple[str, dict[str, Any]]] | None = None, **fields: Any) -> Limiter:
    def audit(event: str, **what: Any) -> None:
        if told is not None:
            told.append((event, what))

    return Limiter(Limits(**fields), Metrics(), audit, clock)


def admitted(one: Limiter, what: Call, times: int) -> int:
    count, refused = 0, []
    for _ in range(times):
        try:
            one.charge(what)
        except Refusal as refusal:
            refused.append(refusal)
        else:
            count += 1
    assert all(no.status == 429 and int(no.headers["Retry-After"]) >= 1 for no in refused)
    return count


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 7)), min_size=1, max_size=120), st.floats(0, 1))
@settings(max_examples=300, deadline=None)
def test_no_minute_holds_more_than_the_limit(steps: list[tuple[float, int]], offset: float) -> None:
    clock = Clock(5_000.0 + offset)
    windows = MemoryWindows(1024, clock)
    taken: list[tuple[float, int]] = []
    for after, cost in steps:
        clock.now += after
        before = [one for one in taken if one[0] > clock.now - 61]
        got = windows.acquire([Charge("a", 20, cost)])
        if got.admitted:
            taken.append((clock.now, cost))
        else:
            assert sum(one for _, one in before) + cost > 20, "refused what 61 seconds have room for"
    for at, _ in taken:
        assert sum(cost for when, cost in taken if at <= when <= at + 60) <= 20


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(1, 9)), min_size=1, max_size=60), st.integers(1, 9))
@settings(max_examples=300, deadline=None)
def test_who_waits_as_told_is_admitted(steps: list[tuple[float, int]], cost: int) -> None:
    clock = Clock()
    windows = MemoryWindows(1024, clock)
    for after, used in steps:
        clock.now += after
        windows.acquire([Charge("a", 20, used)])
    answer = windows.peek([Charge("a", 20, cost)])
    if not answer.admitted:
        assert 0 < answer.after_s <= 61
        clock.now += answer.after_s - 0.01
        assert not windows.peek([Charge("a", 20, cost)]).admitted, "told to wait longer than needed"
        clock.now += 0.01
        assert windows.acquire([Charge("a", 20, cost)]).admitted


def test_all_limits_are_charged_or_none() -> None:
    windows = MemoryWindows(1024, Clock())
    wide, narrow = Charge("wide", 100, 1), Charge("narrow", 3, 1)
    assert sum(windows.acquire([wide, narrow]).admitted for _ in range(10)) == 3
    assert windows.peek([wide]).left == 100 - 3 - 1
    refused = windows.peek([wide, narrow])
    assert (refused.admitted, refused.place) == (False, 1)


@pytest.mark.parametrize(("role", "expected"), [(Role.READONLY, 100), (Role.USER, 1_000), (Role.ADMIN, 10_000)])
def test_each_role_has_its_limit(role: Role, expected: int) -> None:
    assert admitted(limiter(Clock()), call(key="aaaaaaaa", role=role), expected + 50) == expected


def test_without_a_key_an_address_has_a_hundred() -> None:
    one = limiter(Clock())
    assert admitted(one, call(), 150) == 100
    assert admitted(one, call(address="10.0.0.2"), 150) == 100


def test_a_minute_later_it_starts_again_and_no_edge_gives_twice_as_much() -> None:
    clock = Clock(59.9)
    one = limiter(clock)
    assert admitted(one, call(), 150) == 100
    clock.now = 60.1  # a fixed window would begin again
    assert admitted(one, call(), 150) == 0
    clock.now = 118.9
    assert admitted(one, call(), 150) == 0
    clock.now = 59.9 + 61
    assert admitted(one, call(), 150) == 100


def test_a_listed_class_holds_beside_the_role_and_alone_on_public_routes() -> None:
    one = limiter(Clock())
    assert admitted(one, call("load", "aaaaaaaa", Role.ADMIN), 50) == 10
    assert admitted(one, call("models", "aaaaaaaa", Role.ADMIN), 250) == 200
    assert admitted(one, call("models", "bbbbbbbb", Role.READONLY), 250) == 100
    assert admitted(one, call("health"), 1_100) == 1_000
    assert admitted(one, call(), 150) == 100, "health counts apart"


def test_what_one_limit_refuses_is_not_charged_to_another() -> None:
    one = limiter(Clock())
    assert admitted(one, call("load", "aaaaaaaa", Role.ADMIN), 5_000) == 10
    assert admitted(one, call("infer", "aaaaaaaa", Role.ADMIN), 20_000) == 9_990


def test_keys_and_shared_prefixes_do_not_touch_each_other() -> None:
    one = limiter(Clock())
    assert admitted(one, call(key="aaaaaaaa", role=Role.READONLY), 150) == 100
    assert admitted(one, call(key="aaaaaaab", role=Role.READONLY), 150) == 100
    assert admitted(one, call(key="aaaaaaaa", role=Role.READONLY), 50) == 0


def test_wrong_keys_use_up_the_address_and_then_no_key_is_looked_at() -> None:
    one = limiter(Clock())
    for _ in range(100):
        one.admit_address(call())
        one.charge_failure(call())
    with pytest.raises(Refusal) as caught:
        one.admit_address(call())
    assert caught.value.status == 429
    with pytest.raises(Refusal):
        one.admit_address(call("health"), keyed=True)
    one.admit_address(call("health"), keyed=False)
    one.admit_address(call(address="10.0.0.2"))


def test_a_key_is_not_charged_to_its_address() -> None:
    one = limiter(Clock())
    for _ in range(1_000):
        one.admit_address(call())
        one.charge(call("infer", "aaaaaaaa", Role.USER))
    one.admit_address(call())


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("x" * 1000, "x" * 64),
    ],
)
def test_addresses_of_one_client_are_one(address: str, group: str) -> None:
    assert group_of(address) == group


def test_a_flood_of_addresses_is_bounded_and_still_limited() -> None:
    clock = Clock()
    windows = MemoryWindows(20_000, clock)
    windows.acquire([Charge("key victim", 100, 40)])
    for number in range(200_000):
        windows.record([Charge(f"address {number}", 1_000, 10)])
        if number % 1_000 == 0:
            clock.now += 0.1
    assert len(windows) <= 20_000 + 1_024 + 1
    assert windows.peek([Charge("key victim", 100, 40)]).left == 20, "keys share nothing"
    late = [windows.acquire([Charge("address of a late one", 1_000, 10)]).admitted for _ in range(200)]
    assert sum(late) <= 100
    clock.now += 200
    for number in range(10):
        windows.record([Charge(f"address {number}", 1_000, 10)])
        clock.now += 62
    assert len(windows) <= 3, "what is over is forgotten"


def test_memory_for_each_address_is_small() -> None:
    windows = MemoryWindows(100_000)
    windows.record([Charge("address 2001:db8:1234:5678::/64", 1_000, 10)])
    window = next(iter(windows._recent.values()))
    assert sys.getsizeof(window) <= 160


def test_the_factor_falls_and_rises_a_step_a_second() -> None:
    clock = Clock()
    pressure = Pressure(0.1, clock)
    for _ in range(1_000):
        pressure.observe(5.0)
    assert pressure.factor == 1.0, "no step before a second is over"
    seen = []
    for _ in range(12):
        clock.now += 1.0
        pressure.observe(5.0)
        seen.append(pressure.factor)
    assert seen[:3] == pytest.approx([0.7, 0.49, 0.343])
    assert seen[-1] == pytest.approx(0.1)
    clock.now += 1.0
    assert pressure.factor == pytest.approx(0.1), "the last second was bad too"
    clock.now += 1.0
    pressure.observe(0.01)
    assert pressure.factor == pytest.approx(0.15)
    clock.now += 100.0
    assert pressure.factor == 1.0


def test_a_smaller_factor_gives_less_and_an_exhausted_key_nothing_more() -> None:
    clock = Clock()
    one = limiter(clock)
    what = call("infer", "aaaaaaaa", Role.USER)
    assert admitted(one, what, 1_100) == 1_000
    one.pressure._factor = 0.5
    assert admitted(one, what, 100) == 0
    assert admitted(one, call("infer", "bbbbbbbb", Role.USER), 1_100) == 500
    assert admitted(one, call("health"), 1_100) == 1_000, "health does not adapt"
    assert admitted(one, call("load", "cccccccc", Role.ADMIN), 20) == 10, "nor does what an operator needs"
    fixed = limiter(clock, adaptive=False)
    fixed.pressure._factor = 0.5
    assert admitted(fixed, what, 1_100) == 1_000


def test_the_gauge_shows_the_factor() -> None:
    metrics = Metrics()
    one = Limiter(Limits(), metrics, clock=Clock())
    one.pressure._factor = 0.25
    assert b"rx580_ratelimit_factor 0.25" in metrics.text()


def test_a_limit_that_is_hit_is_told_once_a_minute() -> None:
    clock, told = Clock(), list[tuple[str, dict[str, Any]]]()
    one = limiter(clock, told)
    admitted(one, call("models", "aaaaaaaa", Role.READONLY), 5_000)
    assert [event for event, _ in told] == ["limit hit"]
    assert told[0][1]["key"] == "aaaaaaaa"
    assert told[0][1]["per_minute"] == 100
    clock.now += 61
    admitted(one, call("models", "aaaaaaaa", Role.READONLY), 5_000)
    assert len(told) == 2


def test_the_checks_of_a_request_are_cheap() -> None:
    one = Limiter(Limits(user=10_000_000), Metrics())
    what = call("infer", "aaaaaaaa", Role.USER)
    took = []
    for _ in range(5):
        began = time.thread_time()
        for _ in range(2_000):
            one.admit_address(what)
            one.charge(what)
        took.append((time.thread_time() - began) / 2_000)
    assert min(took) < 40e-6


@pytest.fixture(scope="module")
def limited(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with small limits, and no model, which nothing here needs."""
    folder = tmp_path_factory.mktemp("limited")
    names = {"PUBLIC": "20", "READONLY": "30", "USER": "60", "ROUTES": '{"health": 200}'}
    variables = {f"RX580LAB_SERVE_LIMITS__{name}": value for name, value in names.items()}
    audit = folder / "audit.jsonl"
    running = start(models, folder, variables={**variables, "RX580LAB_SERVE_LOAD": "false",
                                               "RX580LAB_SERVE_AUDIT_FILE": str(audit)})  # fmt: skip
    yield running
    assert running.stop() == 0


def test_over_the_wire(limited: Running) -> None:
    """In one test, since all shares the one address that loopback has. Waitress writes names of headers its own way."""
    statuses = [limited.get("/models", role="user")[0] for _ in range(70)]
    assert (statuses.count(200), statuses.count(429)) == (60, 10)
    status, body, headers = limited.get("/models", role="user")
    assert (status, body["code"], body["status"]) == (429, "rate_limited", 429)
    assert "60 requests a minute" in body["error"]
    assert 1 <= int(headers["Retry-After"]) <= 61
    assert headers["Ratelimit-Policy"] == '"minute";q=60;w=60'
    assert headers["Ratelimit"] == f'"minute";r=0;t={headers["Retry-After"]}'
    status, _, headers = limited.get("/models", role="readonly")
    assert status == 200, "one key's exhaustion is its own"
    assert headers["Ratelimit"] == '"minute";r=29'
    wrong = [f"rx580_{number:08d}_{'x' * 43}" for number in range(30)]
    statuses = [limited.send("GET", "/models", headers={"X-API-Key": key})[0] for key in wrong]
    assert statuses == [401] * 20 + [429] * 10, "rotating wrong keys does not help"
    assert limited.get("/models", role="readonly")[0] == 429, "nor is a right key looked at now"
    assert limited.get("/models")[0] == 429
    assert limited.get("/nowhere")[0] == 429
    statuses = [limited.get("/health")[0] for _ in range(210)]
    assert (statuses.count(200), statuses.count(429)) == (200, 10)


def test_limits_must_be_numbers_a_minute() -> None:
    for wrong in (0, -1, "many", 10**9):
        with pytest.raises(ValidationError):
            Limits.model_validate({"user": wrong})


def test_waits_for_the_device_reach_the_factor(models: Path, tmp_path: Path) -> None:
    # A target that every wait is over: the factor falls at the first step, and what a key may infer with it.
    variables = {"RX580LAB_SERVE_LIMITS__QUEUE_WAIT_TARGET_MS": "1e-6", "RX580LAB_SERVE_LIMITS__USER": "100"}
    running = start(models, tmp_path, variables=variables)
    running.wait_ready()
    body = json.dumps({"inputs": {"image": [[[[0.5] * 28] * 28]]}}).encode()
    status, _, headers = running.send("POST", "/models/fashion-mnist/predict", body, role="user")
    assert (status, headers["Ratelimit"]) == (200, '"minute";r=99')
    time.sleep(1.05)
    status, _, headers = running.send("POST", "/models/fashion-mnist/predict", body, role="user")
    assert (status, headers["Ratelimit"]) == (200, f'"minute";r={(1000 - 10 - 14) // 14}'), "14 units each at 0.7"
    _, text, _ = running.get("/metrics", role="readonly")
    assert "rx580_ratelimit_factor 0.7" in text
    running.stop()
