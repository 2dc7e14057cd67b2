"""Clients that send, read or come slowly hold a connection for a while, and nothing else."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.serve.raw import closed, connect, cpu_s, eventually, reply, resident_bytes, serving
from tests.serve.running import Running


@pytest.fixture
def no_models(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@contextmanager
def dripping(server: Running, headers: int, bodies: int, period_s: float) -> Iterator[None]:
    parts = urlsplit(server.url)
    numbers = (parts.port, headers, bodies, period_s)
    command = [sys.executable, "-m", "tests.serve.dripping", str(parts.hostname), *map(str, numbers)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline().strip() == str(headers + bodies)
            yield
        finally:
            child.kill()


def test_health_answers_every_probe_beside_1500_slow_clients(no_models: Path, tmp_path: Path) -> None:
    with serving(no_models, tmp_path, waiting__idle_s=30, waiting__bytes_per_s=0) as running:
        pid = running.process.pid
        before, memory = cpu_s(pid), resident_bytes(pid)
        with dripping(running, 750, 750, 2.0):
            began = time.monotonic()
            for _ in range(40):
                assert running.get("/health", timeout_s=5)[0] == 200
                time.sleep(0.15)
            took_s = time.monotonic() - began
            text = str(running.get("/metrics", role="readonly")[1])
            held = next(line for line in text.splitlines() if line.startswith("http_connections "))
            assert float(held.split()[1]) >= 1500
        assert took_s < 20
        assert resident_bytes(pid) - memory < 100 << 20
        assert cpu_s(pid) - before < took_s


def test_a_client_that_drips_is_cut_when_its_time_is_over(no_models: Path, tmp_path: Path) -> None:
    with serving(no_models, tmp_path, waiting__receive_s=2, waiting__idle_s=10) as running:
        for start in (
            b"GET /health HTTP/1.1\r\nHost: x\r\nA: ",
            b"POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n",
        ):
            with connect(running) as stream:
                began = time.monotonic()
                stream.sendall(start)
                stream.settimeout(0.3)
                answered = None
                while answered is None and time.monotonic() - began < 10:
                    stream.sendall(b"a")
                    try:
                        answered = reply(stream)
                    except TimeoutError:
                        continue
                assert answered is not None
                assert answered.status == 408
                assert answered.json["code"] == "timeout"
                assert 2 <= time.monotonic() - began < 5
                stream.settimeout(10)
                assert closed(stream)
        assert eventually(lambda: any("sent too slowly" in line for line in running.log))


def test_a_slow_pace_is_cut_before_the_time_is_over(no_models: Path, tmp_path: Path) -> None:
    with serving(no_models, tmp_path, waiting__receive_s=60, waiting__idle_s=60) as running, connect(running) as stream:
        began = time.monotonic()
        stream.sendall(b"GET /health HTTP/1.1\r\n")
        assert reply(stream).status == 408
        assert time.monotonic() - began < 9


def test_idle_connections_end_without_a_word(no_models: Path, tmp_path: Path) -> None:
    with serving(no_models, tmp_path, waiting__idle_s=1) as running:
        with connect(running) as stream:
            assert stream.recv(1) == b""
        with connect(running) as stream:
            stream.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert reply(stream).status == 200
            assert stream.recv(1) == b""


def test_clients_that_do_not_read_hold_no_thread_and_are_cut(no_models: Path, tmp_path: Path) -> None:
    small = {"threads": 10, "batching__max_rows": 2}
    with serving(no_models, tmp_path, waiting__idle_s=3, waiting__receive_s=3, **small) as running:
        page = str(running.get("/docs")[1])
        path = page.partition('<script src="')[2].partition('"')[0].encode()
        held = []
        for _ in range(40):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.settimeout(20)
            parts = urlsplit(running.url)
            one.connect((parts.hostname, parts.port))
            one.sendall((b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n") * 3)
            held.append(one)
        began = time.monotonic()
        for _ in range(10):
            assert running.get("/health", timeout_s=1)[0] == 200
        assert time.monotonic() - began < 2
        assert eventually(lambda: any("read too slowly" in line for line in running.log))
        for one in held:
            # What had gone out before can be read; then the connection ends, short of the whole.
            assert closed(one)
            one.close()


def test_whoever_reads_steadily_gets_a_large_answer_whole(no_models: Path, tmp_path: Path) -> None:
    with serving(no_models, tmp_path, waiting__idle_s=1, waiting__receive_s=1) as running, connect(running) as stream:
        page = str(running.get("/docs")[1])
        path = page.partition('<script src="')[2].partition('"')[0].encode()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        stream.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = b""
        while more := stream.recv(32768):
            data += more
            time.sleep(0.03)
        head, _, body = data.partition(b"\r\n\r\n")
        assert b"200 OK" in head
        assert f"Content-Length: {len(body)}".encode() in head
        assert len(body) > 1 << 20
