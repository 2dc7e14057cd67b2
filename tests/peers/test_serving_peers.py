"""Rival servers: what they are asked and answer, that they are right, and why they are not there where they are not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from rx580lab import peers
from rx580lab.errors import InputError, PeerUnavailable
from rx580lab.experiment.serving_asks import PAYLOADS, RightOutputs, decoded, rows_of, serving_request
from rx580lab.experiment.serving_bench import mlp_oracle
from rx580lab.experiment.serving_contestants import family_cpu_s
from rx580lab.experiment.serving_models import write_mlp
from rx580lab.loadgen import Answer, Closed, run_here
from rx580lab.peers.serving import SERVING, environment, unavailable
from tests.requirements import require


@pytest.fixture(autouse=True)
def _environments() -> Iterator[None]:
    environment.cache_clear()
    yield
    environment.cache_clear()


def rows(n: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.random.default_rng(n).random((n, 6), dtype=np.float32)


def test_names_are_those_of_modules_and_others_are_refused() -> None:
    for name in SERVING:
        assert peers.serving_peer(name).REQUIREMENT.startswith(f"{name}==")
    with pytest.raises(InputError, match="litserve, mlserver"):
        peers.serving_peer("flask")


@pytest.mark.parametrize("name", SERVING)
def test_what_is_asked_holds_the_same_values(name: str) -> None:
    x = rows(3)
    asked = json.loads(peers.serving_peer(name).ask(x).body)
    found = asked["input"] if name == "litserve" else asked["inputs"][0]["data"]
    np.testing.assert_array_equal(np.asarray(found, np.float32).reshape(x.shape), x)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_our_own_requests_hold_the_same_values(payload: str) -> None:
    x = rows(rows_of(payload))
    request = serving_request("rx580lab", payload, x, key="K")
    assert request.headers["X-API-Key"] == "K"
    if payload.startswith("json"):
        assert json.loads(request.body)["inputs"][0]["shape"] == list(x.shape)
    else:
        assert request.body.endswith(x.tobytes())
        head = json.loads(request.body[: int(request.headers["Inference-Header-Content-Length"])])
        assert head["inputs"][0]["parameters"] == {"binary_data_size": x.nbytes}


def test_answers_are_read_and_wrong_ones_told() -> None:
    x = rows(2)
    body = json.dumps({"outputs": [{"name": "y", "shape": [2, 6], "data": x.ravel().tolist()}]}).encode()
    head = json.dumps({"outputs": [{"name": "y", "shape": [2, 6]}]}).encode()
    binary = Answer(200, {"inference-header-content-length": str(len(head))}, head + x.tobytes())
    for answer in (Answer(200, {}, body), binary):
        np.testing.assert_array_equal(decoded("rx580lab", answer), x)
        assert RightOutputs("rx580lab", [x.astype(np.float64)], 1e-6)(0, answer) is None
        assert "differs by" in str(RightOutputs("rx580lab", [x + np.float64(1)], 1e-6)(0, answer))
        assert "shape" in str(RightOutputs("rx580lab", [x[:1].astype(np.float64)], 1e-6)(0, answer))
    assert "cannot be read" in str(RightOutputs("rx580lab", [x.astype(np.float64)], 1e-6)(0, Answer(200, {}, b"{}")))


def test_an_environment_that_cannot_be_made_is_told_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RX580LAB_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/usr/bin/false")
    for name in SERVING:
        why = unavailable(peers.serving_peer(name))
        assert "pip" in str(why)
        assert peers.serving_peer(name).REQUIREMENT in str(why)
    with pytest.raises(PeerUnavailable, match="pip"):
        environment("nothing==1")


def test_processor_time_is_that_of_the_whole_family() -> None:
    code = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', {!r}]); time.sleep(60)"
    busy = (
        "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass\n"
        "print(flush=True)\ntime.sleep(60)"
    )
    with psutil.Popen([sys.executable, "-c", code.format(busy)], stdout=-1) as parent:
        parent.stdout.readline()
        found = family_cpu_s(parent.pid)
        for child in parent.children():
            child.kill()
        parent.kill()
    assert found > 0.4


@pytest.mark.parametrize("name", SERVING)
def test_it_serves_the_same_model_rightly_and_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    peer = peers.serving_peer(name)
    require(name)
    path = write_mlp(tmp_path, widths=(6, 8, 3))
    x = rows(3)
    right = RightOutputs(name, [mlp_oracle(path)(x)], 1e-5)
    with peer.start(path, "pocl") as server:
        family = psutil.Process(server.pid).children(recursive=True)
        asks = [serving_request(name, "json-1", x)]
        found = run_here(server.url, Closed(4, seconds=30, requests=12), asks, check=right)
        assert (found.statuses, found.n_checked, found.wrong) == ({200: 12}, 12, [])
    assert server.process.poll() is not None
    assert [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
