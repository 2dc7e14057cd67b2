"""The audit log: whole lines, no credentials, nobody waits for it, and files may be rotated away."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.errors import ServeError
from rx580lab.serve.audit import STEPS, Audit, redacted
from rx580lab.serve.metrics import Metrics
from tests.serve.running import Running, start

KEY = f"rx580_Abcdef12_{'s3cret_-' * 5}abc"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_is_json_with_the_time_first(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    audit.event("request", id="1", status=200, model=None, ms=1.5)
    audit.close()
    (line,) = lines(path)
    assert list(line) == ["time", "event", "id", "status", "ms"]
    assert line["time"].endswith("+00:00")
    assert line["event"] == "request"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_others_may_read_is_closed_to_them_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text('{"event":"before"}\n')
    path.chmod(0o644)
    audit = Audit(path)
    audit.event("after")
    audit.close()
    assert [line["event"] for line in lines(path)] == ["before", "after"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "value",
    [KEY, f"why: {KEY} is wrong", f"Bearer {KEY[6:]}", KEY.rpartition("rx580_Abcdef12_")[2], KEY[:30],
     f"/models?api_key={KEY}", "redis://:s3cret_-s3cret_-@127.0.0.1:6379/0", [KEY], {"a": KEY}, KEY.encode()],
)  # fmt: skip
def test_no_value_holds_a_credential(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    audit.event("request", why=value)
    audit.close()
    assert "s3cret" not in path.read_text()
    assert "[redacted]" in path.read_text()


@pytest.mark.parametrize("name", ["authorization", "x_api_key", "password", "token", "pepper", "cookie"])
def test_no_field_named_as_a_credential_is_written(name: str) -> None:
    assert redacted(None, "", {name: "anything"}) == {name: "[redacted]"}


def test_what_is_no_credential_stays() -> None:
    fields = {"route": "/models/<model:model>/predict", "key": "Abcdef12", "model": "a-name.of_64-" + "x" * 50,
              "why": "expected a key of role admin, got user", "url": "http://127.0.0.1:8000/health"}  # fmt: skip
    assert redacted(None, "", dict(fields)) == fields


@given(st.text(max_size=600))
@settings(max_examples=200, deadline=None)
def test_no_text_makes_a_second_line_or_a_long_one(text: str) -> None:
    event: Any = {"event": "request", "at": time.time(), "why": text, "path": f"\r\n{text}\x1b[2J\u2028"}
    for step in STEPS:
        event = step(None, "info", event)
    assert event.count(b"\n") == 1
    first = json.loads(event)
    assert all(one.isprintable() for one in first.values())
    assert len(first["why"]) <= 6 * 260


def test_a_lone_surrogate_and_a_strange_value_are_written(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    audit.event("request", why="\ud800", other=object(), huge=2**80, nan=float("nan"))
    audit.event("after")
    audit.close()
    first, after = lines(path)
    assert (first["why"], first["huge"], first["nan"]) == ("\\ud800", str(2**80), None)
    assert after["event"] == "after"


class _Count:
    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        self.value += amount


def test_a_full_queue_drops_and_counts_and_holds_up_nobody(tmp_path: Path) -> None:
    fifo = tmp_path / "slow"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    dropped = _Count()
    audit = Audit(fifo, dropped, capacity=1_000)
    began = time.monotonic()
    for number in range(50_000):  # a pipe takes 64 KiB, then its writer waits for a reader that does not come
        audit.event("request", number=number, why="x" * 100)
    took_s = time.monotonic() - began
    assert took_s < 5
    assert dropped.value > 40_000
    got: list[bytes] = []
    closing = threading.Thread(target=audit.close)
    closing.start()
    end = time.monotonic() + 20
    while closing.is_alive() and time.monotonic() < end:
        try:
            got.append(os.read(reader, 1 << 16))
        except BlockingIOError:
            time.sleep(0.01)
    closing.join()
    while data := os.read(reader, 1 << 16):
        got.append(data)
    os.close(reader)
    events = [json.loads(line) for line in b"".join(got).splitlines()]
    told = sum(one.get("lines", 0) for one in events if one["event"] == "audit lines lost")
    assert told == dropped.value
    assert sum(one["event"] == "request" for one in events) == 50_000 - dropped.value


def test_a_file_that_is_moved_away_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    audit.event("first")
    wait_for(lambda: path.stat().st_size > 0)
    path.rename(tmp_path / "audit.jsonl.1")
    audit.event("second")
    wait_for(lambda: path.exists() and path.stat().st_size > 0)
    audit.close()
    assert [line["event"] for line in lines(tmp_path / "audit.jsonl.1")] == ["first"]
    assert [line["event"] for line in lines(path)] == ["second"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_full_disk_loses_lines_and_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    dropped = _Count()
    audit = Audit(Path("/dev/full"), dropped)
    audit.event("request")
    audit.event("request")
    audit.close()
    assert dropped.value == 2
    assert "[audit]" in capfd.readouterr().err


def test_a_file_that_cannot_be_opened_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="audit_file"):
        Audit(tmp_path / "no" / "such" / "audit.jsonl")


def test_an_event_costs_the_request_little(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.jsonl", Metrics().audit_dropped)
    began = time.thread_time()
    for _ in range(5_000):
        audit.event("request", id="0123456789abcdef", method="GET", route="/models", status=200, key="abcdefgh")
    took_s = time.thread_time() - began
    audit.close()
    assert took_s / 5_000 < 20e-6


def wait_for(true: Any, timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_server_logs_who_did_what_and_no_key(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    running: Running = start(
        models, tmp_path, variables={"RX580LAB_SERVE_AUDIT_FILE": str(path), "RX580LAB_SERVE_LOAD": "false"}
    )
    wrong = f"rx580_00000000_{'w' * 43}"
    running.get("/models", role="readonly")
    running.send("GET", "/models", headers={"X-API-Key": wrong})
    running.send("GET", f"/models/{'w' * 43}", headers={"Authorization": f"Bearer {wrong}"})
    running.send("GET", f"/health?api_key={running.keys['admin']}")
    running.send("POST", "/v2/repository/models/fashion-mnist/unload", b"", role="readonly")
    for _ in range(3):
        running.get("/models/nowhere", role="user")
    assert running.stop() == 0
    text = path.read_text()
    for secret in (*running.keys.values(), wrong):
        assert secret[15:] not in text
    events = lines(path)
    who = running.keys["readonly"].split("_")[1]
    assert any(one["event"] == "request" and one["status"] == 200 and one["key"] == who for one in events)
    assert any(one["event"] == "authentication refused" for one in events)
    assert any(one.get("status") == 403 and one.get("key") == who for one in events)
    assert sum(one.get("status") == 404 for one in events) >= 3
    assert all(one["address"] == "127.0.0.1" for one in events if one["event"] == "request")
