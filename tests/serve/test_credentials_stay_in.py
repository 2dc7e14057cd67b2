"""No key leaves a server: not in its log, its audit log, its metrics, its answers; and keys outlive it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rx580lab.serve import key_file
from rx580lab.serve.keys import make_key, read_keys
from rx580lab.serve.pepper import read_pepper
from rx580lab.serve.roles import Role
from tests.serve.application import application
from tests.serve.conftest import UNLIMITED
from tests.serve.raw import eventually, exchange
from tests.serve.running import Running, start

WINDOW = 8


@pytest.fixture
def served(models: Path, tmp_path: Path) -> Iterator[Running]:
    """A server of this test's own, with query keys on and an audit file."""
    variables = {
        **UNLIMITED, "RX580LAB_SERVE_QUERY_KEYS": "true", "RX580LAB_SERVE_LOAD": "false",
        "RX580LAB_SERVE_AUDIT_FILE": str(tmp_path / "audit.jsonl"),
    }  # fmt: skip
    running = start(models, tmp_path, variables=variables)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait(30)


def wrong_keys(right: str) -> list[str]:
    unknown = make_key(bytes(32), Role.ADMIN)[0]
    return [
        unknown, right[:-1] + ("A" if right[-1] != "A" else "B"), unknown[:40], unknown + "tail", unknown.upper(),
        "my-own-password-of-the-mail-account", unknown.replace("rx580_", "sk-"), unknown * 30,
    ]  # fmt: skip


def ways(key: str) -> list[bytes]:
    """Requests with a key in every place that one gets into, right or not."""
    header, cut = f"X-API-Key: {key}", key[:64]
    lines = [
        ("GET /v2", header), ("GET /nothing", header), ("GET /metrics", header), (f"GET /models/{cut}", header),
        (f"GET /{key}", header), (f"GET /v2?a=1&api_key={key}", header), ("GET /v2", f"{header}\r\nX-API-Key: x{key}"),
        ("GET /v2", f"Authorization: Bearer {key}"), ("GET /v2", f"Authorization: Basic {key}"),
        ("GET /v2", f"Authorization: {key}"), (f"GET /v2?api_key={key}", "Accept: */*"),
        (f"GET /health?api_key={key}", "Accept: */*"), (f"GET /v2?token={key}", "Accept: */*"),
        (f"POST /v2/repository/index?api_key={key}", "Content-Length: 0"),
        (f"POST /v2/repository/models/{cut}/load", "Content-Length: 0"), (f"{key} /v2", "Accept: */*"),
        ("GET /v2", f"Cookie: api_key={key}"), ("GET /v2", f"Referer: http://127.0.0.1/docs?api_key={key}"),
        ("GET /v2", f"X-Request-ID: {key}"), ("GET /v2", f"{key}: 1"), ("GET /v2", f"Origin: http://{key}"),
    ]  # fmt: skip
    return [f"{first} HTTP/1.1\r\nHost: x\r\n{second}\r\nConnection: close\r\n\r\n".encode() for first, second in lines]


def parts(secret: str) -> set[str]:
    return {secret[place : place + WINDOW] for place in range(len(secret) - WINDOW + 1)}


def test_no_part_of_a_key_gets_out(served: Running, tmp_path: Path) -> None:
    answers: list[bytes] = []
    statuses: set[int] = set()
    wrong = wrong_keys(served.keys["user"])
    for key in [*served.keys.values(), *wrong]:
        for request in ways(key):
            answer = exchange(served, request)
            statuses.add(answer.status)
            answers.append(repr((answer.headers, answer.body)).encode())
    assert {200, 400, 401, 403, 404} <= statuses
    assert 500 not in statuses
    answers.append(exchange(served, b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-API-Key: %b\r\n\r\n" %
                            served.keys["readonly"].encode()).body)  # fmt: skip
    n_lines = len(answers) // 2
    assert eventually(lambda: len((tmp_path / "audit.jsonl").read_text().splitlines()) > n_lines)
    assert served.stop() == 0
    audit = (tmp_path / "audit.jsonl").read_bytes()
    out = b"\n".join([*answers, audit, "".join(served.log).encode()]).decode("latin-1")
    assert "authentication refused" in out
    assert "query key used" in out
    pepper = (tmp_path / "pepper").read_text().strip()
    secrets = [key[15:] for key in served.keys.values()]
    secrets += [key[15:58] if key.lower().startswith("rx580_") else key[:60] for key in wrong]
    secrets += [pepper, *(record.hash for record in read_keys(tmp_path / "keys.jsonl").records)]
    shown = [part for secret in secrets for part in parts(secret) if part in out]
    context = {out[max(0, out.index(part) - 120) : out.index(part) + 60] for part in shown[:50]}
    assert context == set()
    ids = {json.loads(line).get("key") for line in audit.splitlines()} - {None}
    assert ids <= {key[6:14] for key in served.keys.values()}, "only ids of keys whose secret was right"


def test_a_key_is_revoked_and_made_within_two_seconds(served: Running, tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    assert served.get("/v2", "user")[0] == 200
    key_file.revoke(file, served.keys["user"][6:14])
    began = time.monotonic()
    while served.get("/v2", "user")[0] == 200:
        time.sleep(0.02)
    assert time.monotonic() - began < 2
    fresh, _, _ = key_file.rotate(file, read_pepper(tmp_path / "pepper"), served.keys["readonly"][6:14])
    began = time.monotonic()
    while served.send("GET", "/v2", headers={"X-API-Key": fresh})[0] != 200:
        assert time.monotonic() - began < 2
        time.sleep(0.02)
    assert served.get("/v2", "readonly")[0] == 401


def test_a_kill_loses_no_key_and_no_model(served: Running, models: Path, tmp_path: Path) -> None:
    before = served.get("/models", "readonly")[1]["models"]
    served.process.send_signal(signal.SIGKILL)
    served.process.wait(30)
    again = start(models, tmp_path, fresh_keys=False, variables={**UNLIMITED, "RX580LAB_SERVE_LOAD": "false"})
    try:
        assert again.send("GET", "/models", headers={"X-API-Key": served.keys["user"]})[1]["models"] == before != []
    finally:
        again.stop()


def test_a_server_that_nobody_may_use_does_not_start(models: Path, tmp_path: Path) -> None:
    """By the command, with the cure on standard error and nothing on the port."""
    command = [sys.executable, "-m", "rx580lab.cli", "serve", "--models", str(models), "--port", "0"]
    for options in (["--keys", str(tmp_path / "none.jsonl")], ["--insecure-no-auth", "--host", "192.168.1.7"]):
        done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "keys create" in done.stderr or "loopback" in done.stderr
        assert "serves on" not in done.stderr


def test_a_check_costs_microseconds(tmp_path: Path) -> None:
    """About 12 us on a noisy core; the bound is that of a machine at work on other things."""
    extra: dict[str, dict[str, Any]] = {
        f"key {n}": {"role": Role.USER, "expires": datetime.now(UTC) + timedelta(days=1)} for n in range(20)
    }
    with application(tmp_path, extra) as made:
        keys = made.serving.keys
        assert keys is not None
        presented = made.keys["key 7"]

        def once_us() -> float:
            began = time.thread_time_ns()
            for _ in range(500):
                assert keys.check(presented).record is not None
            return (time.thread_time_ns() - began) / 500e3

        assert min(once_us() for _ in range(10)) < 60
