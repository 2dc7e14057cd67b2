"""Limits that processes share through a real Redis, and what holds when it dies, freezes, errs or comes back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from rx580lab.errors import ServeError
from rx580lab.serve.limits import Limiter
from rx580lab.serve.metrics import Metrics
from rx580lab.serve.roles import Role
from rx580lab.serve.settings import Limits
from rx580lab.serve.shared_windows import RedisWindows, StoreLost
from rx580lab.serve.windows import Charge
from tests.requirements import require
from tests.serve.running import start
from tests.serve.test_limits import admitted, call

PASSWORD = "a-password-of-the-store"  # noqa: S105 - of a store that this test starts


class Redis:
    """A server on loopback that keeps nothing; ``begin`` starts it (again, at the same port)."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"
        self._folder = folder
        self.begin()

    def begin(self) -> None:
        kept_nowhere = ["--save", "", "--appendonly", "no", "--dir", str(self._folder)]
        command = [require("redis"), "--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", PASSWORD]
        self.process = subprocess.Popen([*command, *kept_nowhere], stdout=subprocess.DEVNULL)
        wait_for(self._answers)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)
        if number in {signal.SIGKILL, signal.SIGTERM}:
            self.process.wait(30)

    def command(self, *words: str) -> bytes:
        """One command in Redis's protocol, and what comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as one:
            lines = [f"*{len(words)}", *(line for word in words for line in (f"${len(word)}", word))]
            auth = f"*2\r\n$4\r\nAUTH\r\n${len(PASSWORD)}\r\n{PASSWORD}\r\n"
            one.sendall(auth.encode() + "".join(f"{line}\r\n" for line in lines).encode())
            got = one.recv(1 << 16)
            return got.partition(b"+OK\r\n")[2] or one.recv(1 << 16)

    def _answers(self) -> bool:
        try:
            return b"PONG" in self.command("PING")
        except OSError:
            return False


def wait_for(true: Callable[[], Any], timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    one = Redis(tmp_path)
    yield one
    if one.process.poll() is None:
        one.signal(signal.SIGCONT)
        one.signal(signal.SIGKILL)


def limiter(url: str, told: list[tuple[str, dict[str, Any]]] | None = None, **fields: Any) -> tuple[Limiter, Metrics]:
    metrics = Metrics()

    def audit(event: str, **what: Any) -> None:
        if told is not None and "store" in event:
            told.append((event, what))

    return Limiter(Limits(shared_store=SecretStr(url), **fields), metrics, audit), metrics


def value(metrics: Metrics, name: str) -> float:
    found = metrics.registry.get_sample_value(name)
    assert found is not None
    return found


def test_redis_counts_as_memory_does(redis: Redis) -> None:
    windows = RedisWindows(redis.url, 1.0)
    wide, narrow = Charge("wide", 100, 10), Charge("narrow", 35, 10)
    answers = [windows.acquire([wide, narrow]) for _ in range(5)]
    assert [one.admitted for one in answers] == [True] * 3 + [False] * 2
    assert (answers[0].place, answers[0].left) == (1, 25)
    assert answers[-1].place == 1
    assert 59 < answers[-1].after_s <= 61
    assert windows.peek([wide]).left == 60, "a refusal charges none of them"
    windows.record([Charge("narrow", 35, 10)])
    assert not windows.peek([Charge("narrow", 45, 10)]).admitted
    assert b"LIMITS" not in redis.command("KEYS", "*")
    windows.close()


def test_a_window_in_redis_moves_and_expires(redis: Redis) -> None:
    windows = RedisWindows(redis.url, 1.0)
    charge = Charge("a", 30, 10)
    assert windows.acquire([charge]).admitted
    now = int(time.time())
    redis.command("HSET", "rx580lab:limits:a", str(now - 59), "10")
    redis.command("HSET", "rx580lab:limits:a", str(now - 70), "1000")
    assert windows.acquire([charge]).admitted, "what is over a minute old does not count"
    refused = windows.acquire([charge])
    assert not refused.admitted
    assert 0 < refused.after_s <= 2, "the oldest leaves first"
    time.sleep(refused.after_s)
    assert windows.acquire([charge]).admitted
    ttl = int(redis.command("TTL", "rx580lab:limits:a").strip(b":\r\n"))
    assert 0 < ttl <= 61
    windows.close()


def test_threads_share_one_count_exactly(redis: Redis) -> None:
    windows = RedisWindows(redis.url, 5.0)
    counts: list[int] = []

    def ask() -> None:
        counts.append(sum(windows.acquire([Charge("a", 50, 1)]).admitted for _ in range(20)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sum(counts) == 50
    windows.close()


def test_a_store_that_dies_leaves_half_and_comes_back_by_itself(redis: Redis) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    one, metrics = limiter(redis.url, told)
    user, other = call("infer", "aaaaaaaa", Role.USER), call("infer", "bbbbbbbb", Role.USER)
    assert admitted(one, user, 600) == 600
    assert value(metrics, "rx580_ratelimit_store_up") == 1
    redis.signal(signal.SIGKILL)
    assert admitted(one, other, 700) == 500, "half of the limit, and never none"
    assert admitted(one, user, 500) == 200, "what was used before counts: 400 are left, and half of them are given"
    assert value(metrics, "rx580_ratelimit_store_up") == 0
    assert value(metrics, "rx580_ratelimit_store_losses_total") == 1
    assert [event for event, _ in told] == ["limits store lost"]
    redis.begin()
    wait_for(lambda: value(metrics, "rx580_ratelimit_store_up") == 1)
    assert [event for event, _ in told] == ["limits store lost", "limits store back"]
    assert admitted(one, other, 100) == 0, "its counts are gone, but not this process's"
    assert PASSWORD not in json.dumps(told)
    one.close()


def test_a_frozen_store_costs_one_timeout(redis: Redis) -> None:
    one, metrics = limiter(redis.url, store_timeout_s=0.1)
    user = call("infer", "aaaaaaaa", Role.USER)
    assert admitted(one, user, 5) == 5
    redis.signal(signal.SIGSTOP)
    began = time.monotonic()
    assert admitted(one, user, 1) == 1
    assert time.monotonic() - began < 2
    began = time.monotonic()
    assert admitted(one, user, 300) == 300
    assert time.monotonic() - began < 2, "300 timeouts would be 30 s"
    assert value(metrics, "rx580_ratelimit_store_up") == 0
    redis.signal(signal.SIGCONT)
    wait_for(lambda: value(metrics, "rx580_ratelimit_store_up") == 1)
    one.close()


def test_a_store_that_is_not_there_at_the_start_is_a_lost_one(redis: Redis) -> None:
    redis.signal(signal.SIGKILL)
    told: list[tuple[str, dict[str, Any]]] = []
    one, _ = limiter(redis.url, told)
    assert admitted(one, call("infer", "aaaaaaaa", Role.USER), 1_100) == 500
    assert told == [("limits store lost", {"why": "ConnectionError"})]
    one.close()


@pytest.mark.parametrize("fault", ["wrong type", "read only", "wrong password"])
def test_a_store_that_errs_is_a_lost_one(redis: Redis, fault: str) -> None:
    url = redis.url.replace(PASSWORD, "another") if fault == "wrong password" else redis.url
    one, metrics = limiter(url)
    what = call("infer", "aaaaaaaa", Role.USER)
    if fault == "wrong type":
        redis.command("SET", "rx580lab:limits:key aaaaaaaa user", "text")
    elif fault == "read only":
        redis.command("REPLICAOF", "127.0.0.1", "9")
    assert admitted(one, what, 20) == 20
    assert value(metrics, "rx580_ratelimit_store_losses_total") >= 1
    one.close()


def test_the_url_of_the_store_is_never_told(redis: Redis) -> None:
    limits = Limits(shared_store=SecretStr(redis.url))
    assert PASSWORD not in f"{limits!r} {limits} {limits.model_dump_json()}"
    windows = RedisWindows(redis.url, 0.2)
    redis.signal(signal.SIGKILL)
    with pytest.raises(StoreLost) as caught:
        windows.peek([Charge("a", 1, 1)])
    assert str(caught.value) == "ConnectionError"
    with pytest.raises(ServeError) as refused:
        RedisWindows(f"http://:{PASSWORD}@127.0.0.1/", 1.0)
    assert PASSWORD not in str(refused.value)


def test_two_servers_share_one_limit_and_outlive_the_store(models: Path, tmp_path: Path, redis: Redis) -> None:
    variables = {"RX580LAB_SERVE_LOAD": "false", "RX580LAB_SERVE_LIMITS__SHARED_STORE": redis.url,
                 "RX580LAB_SERVE_LIMITS__READONLY": "30", "RX580LAB_SERVE_LIMITS__PUBLIC": "10",
                 "RX580LAB_SERVE_LIMITS__STORE_TIMEOUT_S": "1"}  # fmt: skip
    first = start(models, tmp_path, variables={**variables, "RX580LAB_SERVE_AUDIT_FILE": str(tmp_path / "audit.jsonl")})
    (tmp_path / "second").mkdir()
    second = start(models, tmp_path / "second", "--keys", str(tmp_path / "keys.jsonl"), variables={
        **variables, "RX580LAB_SERVE_PEPPER_FILE": str(tmp_path / "pepper"),
        "RX580LAB_SERVE_AUDIT_FILE": str(tmp_path / "second" / "audit.jsonl")})  # fmt: skip
    key = {"X-API-Key": first.keys["readonly"]}
    statuses = [one.send("GET", "/models", headers=key)[0] for _ in range(17) for one in (first, second)]
    assert statuses == [200] * 30 + [429] * 4, "one key, counted in both"
    wrong = {"X-API-Key": f"rx580_00000000_{'x' * 43}"}
    statuses = [one.send("GET", "/models", headers=wrong)[0] for _ in range(6) for one in (first, second)]
    assert statuses == [401] * 10 + [429] * 2, "one address, counted in both"
    assert first.get("/health")[0] == second.get("/health")[0] == 200
    os.kill(redis.process.pid, signal.SIGKILL)
    redis.process.wait(30)
    statuses = [first.get("/models")[0] for _ in range(4)]
    assert statuses == [401] * 2 + [429] * 2, "5 of 10 were used here, and half of the others are given"
    assert {first.get("/health")[0] for _ in range(20)} == {200}
    redis.begin()
    assert first.stop() == second.stop() == 0
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert sum(line["event"] == "limits store lost" for line in lines) == 1
    assert PASSWORD not in "".join([*first.log, *second.log, json.dumps(lines)])
