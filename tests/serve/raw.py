"""Plain sockets for tests: what no well-behaved client sends, and servers that are started for one test's settings."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rx580lab.serve.settings import Limits
from tests.serve.running import Running, start

ROOMY = {
    "RX580LAB_SERVE_LIMITS__PUBLIC": "10000000",
    "RX580LAB_SERVE_LIMITS__USER": "10000000",
    "RX580LAB_SERVE_LIMITS__ROUTES": json.dumps(dict.fromkeys(Limits().routes, 10_000_000)),
    "RX580LAB_SERVE_LIMITS__ADAPTIVE": "false",
}


@dataclass(frozen=True)
class Reply:
    """``headers``: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def serving(models: Path, folder: Path, *options: str, **variables: object) -> Iterator[Running]:
    """A server with limits that no test reaches; ``waiting__idle_s=2`` sets ``waiting.idle_s``."""
    own = {f"RX580LAB_SERVE_{name.upper()}": str(value) for name, value in variables.items()}
    own = {**ROOMY, "RX580LAB_SERVE_AUDIT_FILE": str(folder / "audit.jsonl"), **own}
    running = start(models, folder, *options, variables=own)
    try:
        running.wait_ready()
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait(30)


def connect(server: Running, timeout_s: float = 20.0) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port or 0), timeout_s)


def reply(stream: socket.socket) -> Reply:
    """The next answer on a connection; its whole body."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = stream.recv(65536)
        assert more, f"the connection ended after {data!r}"
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = int(first.split()[1])
    length = int(headers.get("content-length", 0)) if status >= 200 else 0
    while len(body) < length:
        more = stream.recv(65536)
        assert more, "the connection ended within the body"
        body += more
    return Reply(status, headers, body[:length])


def exchange(server: Running, request: bytes, timeout_s: float = 20.0) -> Reply:
    with connect(server, timeout_s) as stream:
        stream.sendall(request)
        return reply(stream)


def closed(stream: socket.socket) -> bool:
    """Whether the server ends the connection within its timeout; what it sends until then is thrown away."""
    try:
        while stream.recv(65536):
            continue
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def eventually(condition: Any, within_s: float = 20.0) -> bool:
    end = time.monotonic() + within_s
    while not (met := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return bool(met)
