"""HTTP/1.1 over one connection that stays open, with as little work as it takes.

A load generator shares the machine with the server that it measures: a client library costs more of the processor than
the servers do. Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from rx580lab.errors import InputError

__all__ = ["Answer", "Connection", "Request", "Target"]

_LARGEST_HEAD = 1 << 16


@dataclass(frozen=True)
class Request:
    """``path`` with its query. Host and Content-Length are added."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def wire(self, host: str) -> bytes:
        """The bytes that are sent. InputError for what would not stay one request."""
        headers = {"Host": host, **self.headers}
        if self.body or self.method not in {"GET", "HEAD"}:
            headers["Content-Length"] = str(len(self.body))
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        if not self.path.startswith("/") or " " in self.path or any("\r" in one or "\n" in one for one in lines):
            raise InputError("loadgen", f"expected a path and headers of one line each, got {self.path[:100]!r}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass(frozen=True)
class Answer:
    """``headers``: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Target:
    """Where requests go."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str, *, own_host: bool = False) -> Target:
        """Of ``http://host:port``. InputError for another machine, unless the caller says that it is theirs."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path not in {"", "/"}:
            raise InputError("loadgen", f"expected http://host:port, got {url[:100]!r}")
        if not own_host and not _loopback(parts.hostname):
            raise InputError(
                "loadgen", f"expected a loopback address, got {parts.hostname}; pass own_host=True for a host of yours"
            )
        return cls(parts.hostname, parts.port or 80)

    @property
    def name(self) -> str:
        """As the Host header says it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Connection(asyncio.Protocol):
    """One request at a time; opens again by itself after the server closed it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._transport: asyncio.Transport | None = None
        self._data = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None
        self._head: tuple[int, dict[str, str], int] | None = None

    async def exchange(self, data: bytes) -> Answer:
        """The answer. OSError where the connection ends before it is whole, or holds no HTTP."""
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            self._transport, _ = await loop.create_connection(lambda: self, self._target.host, self._target.port)
        self._data.clear()
        self._head = None
        self._waiting = loop.create_future()
        self._transport.write(data)
        try:
            return await self._waiting
        finally:
            if not self._waiting.done() or self._waiting.cancelled():
                self.close()
            self._waiting = None

    def close(self) -> None:
        """What is under way is given up."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def data_received(self, data: bytes) -> None:
        """Asyncio calls it."""
        self._data += data
        if self._waiting is None or self._waiting.done():
            return
        try:
            answer = self._answer()
        except ValueError:
            self._fail("expected an answer of HTTP, got something else")
            return
        if answer is not None:
            if answer.headers.get("connection", "").lower() == "close":
                self.close()
            self._waiting.set_result(answer)

    def connection_lost(self, _error: Exception | None) -> None:
        """Asyncio calls it."""
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            if self._head is not None and not {"content-length", "transfer-encoding"} & self._head[1].keys():
                status, headers, start = self._head
                self._waiting.set_result(Answer(status, headers, bytes(self._data[start:])))
            else:
                self._fail("the connection ended before the answer")

    def _fail(self, why: str) -> None:
        if self._waiting is not None:
            self._waiting.set_exception(ConnectionError(why))
        self.close()

    def _answer(self) -> Answer | None:
        if self._head is None:
            self._head = self._read_head()
            if self._head is None:
                return None
        status, headers, start = self._head
        if status in {204, 304}:
            return Answer(status, headers, b"")
        if "content-length" in headers:
            end = start + int(headers["content-length"])
            return Answer(status, headers, bytes(self._data[start:end])) if len(self._data) >= end else None
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = _dechunked(self._data, start)
            return None if body is None else Answer(status, headers, body)
        return None  # until the connection ends

    def _read_head(self) -> tuple[int, dict[str, str], int] | None:
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            if len(self._data) > _LARGEST_HEAD:
                raise ValueError("a head without an end")
            return None
        first, *lines = self._data[:end].decode("latin-1").split("\r\n")
        version, status, *_ = first.split(" ", 2)
        if not version.startswith("HTTP/1."):
            raise ValueError(version)
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return int(status), headers, end + 4


def _dechunked(data: bytearray, place: int) -> bytes | None:
    parts: list[bytes] = []
    while True:
        end = data.find(b"\r\n", place)
        if end < 0:
            return None
        size = int(bytes(data[place:end]).split(b";")[0], 16)
        place = end + 2
        if len(data) < place + size + 2:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(bytes(data[place : place + size]))
        place += size + 2
