"""The process on the wire: requests that no application sees, their answers, and what they cost."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rx580lab.errors import ServeError
from rx580lab.serve.headers import ALWAYS
from rx580lab.serve.sockets import bind, room_for, url_of
from tests.serve.raw import closed, connect, cpu_s, exchange, reply, resident_bytes, serving
from tests.serve.running import Running

CAP = 1 << 20
HOST = b"Host: x\r\n"


@pytest.fixture(scope="module")
def bare_walls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server without models, with a small cap on bodies."""
    folder = tmp_path_factory.mktemp("walls")
    (folder / "models").mkdir()
    sizes = {"caps__body_bytes": CAP, "caps__decompressed_bytes": 2 * CAP, "waiting__idle_s": 3}
    with serving(folder / "models", folder, **sizes) as running:
        yield running


def post(body: bytes, *headers: bytes, path: bytes = b"/models/m/predict") -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"".join(one + b"\r\n" for one in headers) + b"\r\n" + body


def chunked(*chunks: bytes) -> bytes:
    text = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in chunks)
    return post(text + b"0\r\n\r\n", b"Transfer-Encoding: chunked")


MALFORMED = {
    "no request line": (b"hello\r\n\r\n", 400),
    "lower-case method": (b"get /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "header without a colon": (b"GET /health HTTP/1.1\r\nHost: x\r\nsecret\r\n\r\n", 400),
    "bare line feed": (b"GET /health HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n", 400),
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    "another version": (b"GET /health HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    "a version of no digits": (b"GET /health HTTP/x\r\nHost: x\r\n\r\n", 400),
    "headers too large": (b"GET /health HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 17_000 + b"\r\n\r\n", 431),
    "path too long": (b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
    "negative length": (post(b"", b"Content-Length: -1"), 400),
    "two lengths": (post(b"", b"Content-Length: 1", b"Content-Length: 2"), 400),
    "length and chunks": (post(b"0\r\n\r\n", b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
    "chunks in 1.0": (b"POST /models/m/predict HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "another coding": (post(b"", b"Transfer-Encoding: gzip, chunked"), 501),
    "a size that is none": (post(b"xyz\r\n", b"Transfer-Encoding: chunked"), 400),
    "a chunk without an end": (post(b"3\r\nabcdef\r\n", b"Transfer-Encoding: chunked"), 400),
    "an endless extension": (post(b"3;" + b"a" * 300, b"Transfer-Encoding: chunked"), 400),
    "endless trailers": (post(b"0\r\n" + b"a: b\r\n" * 1000, b"Transfer-Encoding: chunked"), 400),
    "body larger than allowed": (post(b"", b"Content-Length: %d" % (CAP + 1)), 413),
    "chunk larger than allowed": (post(b"%x\r\n" % (CAP + 1), b"Transfer-Encoding: chunked"), 413),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_refused_at_once_and_in_our_shape(bare_walls: Running, name: str) -> None:
    request, status = MALFORMED[name]
    with connect(bare_walls) as stream:
        stream.sendall(request)
        found = reply(stream)
        assert found.status == status
        assert sorted(found.json) == ["code", "error", "request_id", "status"]
        assert found.json["status"] == status
        assert found.headers["x-request-id"] == found.json["request_id"]
        assert {key.lower(): found.headers.get(key.lower()) for key in ALWAYS} == {
            key.lower(): value for key, value in ALWAYS.items()
        }
        assert "server" not in found.headers
        assert b"secret" not in found.body
        assert found.headers["connection"] == "close"
        assert closed(stream)
    assert bare_walls.get("/health")[0] == 200


def test_bodies_up_to_the_cap_pass_and_no_byte_more(bare_walls: Running) -> None:
    # 401: the application has seen it.
    assert exchange(bare_walls, post(b"a" * CAP, b"Content-Length: %d" % CAP)).status == 401
    assert exchange(bare_walls, chunked(*[b"a" * 4096] * (CAP // 4096))).status == 401
    assert exchange(bare_walls, chunked(*[b"a" * 4096] * (CAP // 4096), b"a")).status == 413
    assert exchange(bare_walls, chunked(*[b"a"] * 1000)).status == 401


def test_a_client_that_sends_on_still_reads_the_refusal(bare_walls: Running) -> None:
    with connect(bare_walls) as stream:
        stream.sendall(post(b"", b"Content-Length: %d" % (CAP + CAP // 2)))
        stream.sendall(b"a" * (CAP // 2))
        assert reply(stream).status == 413
        assert closed(stream)


def test_whoever_sends_without_end_is_cut_off(bare_walls: Running) -> None:
    with connect(bare_walls) as stream:
        stream.sendall(post(b"", b"Content-Length: 1000000000000"))
        sent = 0
        try:
            while sent < 64 * CAP:
                sent += stream.send(b"a" * 65536)
        except (ConnectionError, TimeoutError):
            pass
        assert sent < 64 * CAP


def test_chunks_cost_no_more_than_their_bytes(bare_walls: Running) -> None:
    floods = {
        "small chunks": b"1\r\na\r\n" * (CAP // 6),
        "one endless line": b"1;" + b"a" * CAP,
        "trailers": b"0\r\n" + b"a: b\r\n" * (CAP // 6),
        "empty lines": b"\r\n" * (CAP // 2),
    }
    pid = bare_walls.process.pid
    exchange(bare_walls, post(b"0", b"Transfer-Encoding: gzip"))
    before, memory = cpu_s(pid), resident_bytes(pid)
    for text in floods.values():
        with connect(bare_walls) as stream:
            try:
                stream.sendall(post(text, b"Transfer-Encoding: chunked"))
            except ConnectionError:
                continue
            assert reply(stream).status == 400
    assert cpu_s(pid) - before < 0.1 * len(floods)
    assert resident_bytes(pid) - memory < 4 * CAP


def test_expect_100_continue_is_told_to_go_on_only_if_it_may(bare_walls: Running) -> None:
    with connect(bare_walls) as stream:
        stream.sendall(post(b"", b"Expect: 100-continue", b"Content-Length: 2"))
        assert reply(stream).status == 100
        stream.sendall(b"{}")
        assert reply(stream).status == 401
    with connect(bare_walls) as stream:
        stream.sendall(post(b"", b"Expect: 100-continue", b"Content-Length: %d" % (CAP + 1)))
        assert reply(stream).status == 413


def test_pipelined_requests_are_answered_in_order(bare_walls: Running) -> None:
    one = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    two = b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with connect(bare_walls) as stream:
        stream.sendall(one * 3 + two)
        data = b""
        while more := stream.recv(65536):
            data += more
    assert re.findall(rb"HTTP/1.1 (\d+)", data) == [b"200"] * 3 + [b"404"]


def test_what_is_refused_before_the_application_is_counted(bare_walls: Running) -> None:
    exchange(bare_walls, MALFORMED["another version"][0])
    text = bare_walls.get("/metrics", role="readonly")[1]
    assert 'http_requests_total{code="505",method="other",route="unknown"}' in text


def test_a_taken_port_is_one_line_and_status_1(bare_walls: Running, tmp_path: Path) -> None:
    port = str(urlsplit(bare_walls.url).port)
    command = [sys.executable, "-m", "rx580lab.cli", "serve", "--models", str(tmp_path), "--insecure-no-auth",
               "--device", "pocl", "--port", port]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"expected a free port, got {port}" in done.stderr


def test_localhost_is_one_port_on_each_loopback_address() -> None:
    sockets = bind("localhost", 0)
    try:
        assert len({one.getsockname()[1] for one in sockets}) == 1
        assert url_of("localhost", sockets) == f"http://localhost:{sockets[0].getsockname()[1]}"
        assert url_of("::1", sockets).startswith("http://[::1]:")
    finally:
        for one in sockets:
            one.close()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.1", "a b"])
def test_an_address_that_is_none_of_ours(host: str) -> None:
    with pytest.raises(ServeError, match="expected"):
        bind(host, 0)


def test_the_limit_on_open_files_is_raised_or_fewer_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: asked.append(limits))
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, 20_000))
    assert room_for(2000) == 2000
    assert asked == [(6256, 20_000)]
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, 1_000))
    assert room_for(2000) == 744
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (200, 200))
    with pytest.raises(ServeError, match="ulimit"):
        room_for(2000)


def test_where_all_connections_are_taken_the_oldest_give_way(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with serving(tmp_path / "models", tmp_path, connections=32, waiting__idle_s=60) as running:
        held = [connect(running) for _ in range(60)]
        try:
            assert all(running.get("/health", timeout_s=15)[0] == 200 for _ in range(3))
        finally:
            for one in held:
                one.close()
