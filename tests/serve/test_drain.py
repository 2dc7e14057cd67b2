"""The end: ready goes false, what is in hand is finished, and nothing else is begun."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rx580lab.serve.lifecycle import Lifecycle, abandoned
from rx580lab.serve.refusal import Refusal
from tests.serve.raw import Reply, connect, eventually, reply, serving
from tests.serve.running import Running

BODY = json.dumps({"inputs": {"image": np.zeros((1, 1, 28, 28)).tolist()}}).encode()
# The first request of a batch waits so long for company: a request that takes its time and no CPU.
SLOW = {"batching__max_delay_ms": 1000, "waiting__idle_s": 30}


def predict(server: Running, *headers: str) -> bytes:
    lines = ["POST /models/fashion-mnist/predict HTTP/1.1", "Host: x", f"X-API-Key: {server.keys['user']}",
             f"Content-Length: {len(BODY)}", *headers]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + BODY


class InFlight:
    """Requests that are being served, each on a connection of its own."""

    def __init__(self, server: Running, n: int) -> None:
        self.replies: list[Reply | Exception] = []
        self._threads = [threading.Thread(target=self._one, args=(server,)) for _ in range(n)]
        for one in self._threads:
            one.start()

    def _one(self, server: Running) -> None:
        try:
            with connect(server, 30) as stream:
                stream.sendall(predict(server))
                self.replies.append(reply(stream))
        except (OSError, AssertionError) as error:
            self.replies.append(error)

    def wait(self) -> list[Any]:
        for one in self._threads:
            one.join(40)
        return [one.status if isinstance(one, Reply) else one for one in self.replies]


def in_flight(server: Running) -> float:
    text = str(server.get("/metrics", role="readonly")[1])
    line = next(line for line in text.splitlines() if line.startswith("http_requests_in_flight "))
    return float(line.split()[1]) - 1  # the question itself


@pytest.fixture(scope="module")
def one_model(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    shutil.copytree(models / "fashion-mnist" / "1", folder / "fashion-mnist" / "1")
    return folder


@pytest.fixture
def slow(one_model: Path, tmp_path: Path) -> Iterator[Running]:
    with serving(one_model, tmp_path, **SLOW, waiting__notice_s=1.5) as running:
        yield running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ready_goes_false_first_then_what_is_in_hand_is_finished(slow: Running, number: signal.Signals) -> None:
    first = InFlight(slow, 6)
    assert eventually(lambda: in_flight(slow) == 6)
    slow.process.send_signal(number)
    asked = time.monotonic()
    assert eventually(lambda: slow.get("/ready")[0] == 503, 1)
    assert slow.get("/ready")[1]["draining"] is True
    assert slow.get("/v2/health/ready")[0] == 503
    # Who has not looked yet is still served.
    status, _, headers = slow.send("POST", "/models/fashion-mnist/predict", BODY, role="user",
                                   headers={"Content-Type": "application/json"})  # fmt: skip
    assert (status, headers["Connection"]) == (200, "close")
    late = InFlight(slow, 3)
    time.sleep(max(0.0, asked + 1.6 - time.monotonic()))
    assert slow.process.poll() is None
    status, body, headers = slow.send("POST", "/models/fashion-mnist/predict", BODY, role="user")
    assert (status, body["error"]) == (503, "the server is stopping")
    assert headers["Connection"] == "close"
    assert int(headers["Retry-After"]) >= 1
    assert slow.get("/health")[0] == 200
    assert first.wait() == [200] * 6
    assert late.wait() == [200] * 3
    assert slow.process.wait(30) == 0
    assert not [line for line in slow.log if "Traceback" in line]


def test_an_idle_server_ends_soon_and_whoever_was_still_sending_is_told(one_model: Path, tmp_path: Path) -> None:
    with serving(one_model, tmp_path, waiting__notice_s=0.2, waiting__idle_s=60) as running:
        idle = connect(running)
        half = connect(running)
        half.sendall(predict(running)[:-100])
        time.sleep(0.2)
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < 8
        assert reply(half).status == 503
        assert idle.recv(1) == b""
        idle.close()
        half.close()
        assert not [line for line in running.log if "Traceback" in line]


def test_a_second_signal_ends_it_at_once(slow: Running) -> None:
    cut = InFlight(slow, 2)
    assert eventually(lambda: in_flight(slow) == 2)
    slow.process.send_signal(signal.SIGTERM)
    assert eventually(lambda: slow.get("/ready")[0] == 503, 1)
    began = time.monotonic()
    slow.process.send_signal(signal.SIGTERM)
    assert slow.process.wait(10) == 130
    assert time.monotonic() - began < 1
    assert all(isinstance(one, Exception) for one in cut.wait())
    assert eventually(lambda: any("second signal" in line for line in slow.log))
    assert not [line for line in slow.log if "Traceback" in line]


def test_a_drain_that_takes_too_long_cuts_and_says_how_many(one_model: Path, tmp_path: Path) -> None:
    with serving(one_model, tmp_path, **SLOW, waiting__notice_s=0, waiting__drain_s=0.2) as running:
        cut = InFlight(running, 3)
        assert eventually(lambda: in_flight(running) == 3)
        assert running.stop() == 1
        assert eventually(lambda: any("cut 3 requests" in line for line in running.log))
        assert len(cut.wait()) == 3
        assert not [line for line in running.log if "Traceback" in line]


def test_a_signal_while_models_load_ends_it_with_0(models: Path, tmp_path: Path) -> None:
    from tests.serve.running import start

    running = start(models, tmp_path, variables={"RX580LAB_SERVE_WAITING__NOTICE_S": "0"})
    assert running.stop() == 0
    assert not [line for line in running.log if "Traceback" in line]


def test_with_all_places_taken_health_answers_and_one_more_is_refused(one_model: Path, tmp_path: Path) -> None:
    few = {**SLOW, "threads": 16, "batching__max_rows": 8}
    with serving(one_model, tmp_path, **few) as running:
        held = InFlight(running, 7)  # one less than a batch, which would be launched at once
        assert eventually(lambda: in_flight(running) == 7)
        took = []
        for _ in range(20):
            began = time.monotonic()
            assert running.get("/health")[0] == 200
            took.append(time.monotonic() - began)
        assert max(took) < 0.5
        assert held.wait() == [200] * 7
        refused = InFlight(running, 60)
        statuses = refused.wait()
        assert set(statuses) == {200, 503}
        one = next(one for one in refused.replies if isinstance(one, Reply) and one.status == 503)
        assert "places" in one.json["error"]
        assert int(one.headers["retry-after"]) >= 1
        text = str(running.get("/metrics", role="readonly")[1])
        assert 'rx580_inference_rejected_total{model="fashion-mnist",reason="server full"}' in text
        # All places are free again.
        assert InFlight(running, 7).wait() == [200] * 7


def test_a_place_is_given_back_whatever_happens() -> None:
    lifecycle = Lifecycle(1)
    for _ in range(3):
        with pytest.raises(KeyError), lifecycle.slot():
            raise KeyError
    with lifecycle.slot(), pytest.raises(Refusal, match="places"), lifecycle.slot():
        raise AssertionError
    lifecycle.refuse()
    with pytest.raises(Refusal, match="stopping"), lifecycle.slot():
        raise AssertionError
    assert lifecycle.slot().taken == 0


def test_a_client_that_has_gone_is_noticed() -> None:
    assert abandoned({})() is False
    assert abandoned({"waitress.client_disconnected": lambda: True})() is True


def test_it_ends_as_the_first_process_of_a_container_does(one_model: Path, tmp_path: Path) -> None:
    # In a PID namespace of its own the kernel ignores signals that the first process does not handle.
    from tests.serve.running import make_keys

    make_keys(tmp_path)
    command = ["unshare", "--fork", "--pid", "--kill-child", "--", sys.executable, "-m", "rx580lab.cli", "serve",
               "--models", str(one_model), "--insecure-no-auth", "--device", "pocl", "--port", "0", "--set",
               "waiting.notice_s=0"]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process.stderr:
        first = process.stderr.readline()
        assert "serves on" in first
        child = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
        os.kill(child, signal.SIGTERM)
        rest = process.stderr.read()
    assert process.wait(30) == 0
    assert "Traceback" not in rest
