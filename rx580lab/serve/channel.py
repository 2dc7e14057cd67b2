"""One connection: how long it may take, how it is refused, and how it ends. waitress' channel, hardened.

A client that sends or reads slowly holds a connection, never a thread: requests are handed to a thread when they are
whole, and answers are taken off it at once, into a file if they are large. ``judge`` is called about once a second.
"""

from __future__ import annotations

import socket
import time
import uuid
from functools import partial
from typing import Any

import orjson
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from rx580lab.serve.headers import ALWAYS
from rx580lab.serve.refusal import CODES, body_of
from rx580lab.serve.wire import Fault, Request

__all__ = ["Channel"]

# A refused client may still be sending. What it sends is thrown away for a while, since closing at once would reset
# the connection and take our answer from it.
_LINGER_S = 2.0
_DISCARD_BYTES = 256 << 10
# A client that does not read gets no second answer once so many bytes of others wait for it.
_UNREAD_BYTES = 1 << 20
# Before a rate means anything.
_GRACE_S = 5.0
_REASONS = {400: "Bad Request", 408: "Request Timeout", 413: "Content Too Large", 500: "Internal Server Error",
            501: "Not Implemented", 503: "Service Unavailable", 505: "HTTP Version Not Supported",
            431: "Request Header Fields Too Large"}  # fmt: skip
_MESSAGES = {
    400: "expected a request as RFC 9112 has it, got one that cannot be read",
    431: "expected less in the request's headers",
    500: "the server failed; its log tells more",
    501: "expected no transfer coding but chunked",
}


class _Answer(WSGITask):
    """An answer of the application; the last one of its connection while the server drains."""

    def service(self) -> None:
        channel: Any = self.channel
        if channel.server.closing or channel.total_outbufs_len > _UNREAD_BYTES:
            self.set_close_on_finish()
        super().service()


class _ErrorAnswer(ErrorTask):
    """The refusal of a request that never reaches the application, in the shape of all the others."""

    response_headers: Any

    def execute(self) -> None:
        fault: Any = self.request.error  # type: ignore[attr-defined]
        channel: Any = self.channel
        status = fault.code if fault.code in CODES else 500
        message = fault.body if isinstance(fault, Fault) else _MESSAGES.get(status, _MESSAGES[500])
        identity = uuid.uuid4().hex[:16]
        body = orjson.dumps(body_of(status, message, identity))
        self.status = f"{status} {_REASONS[status]}"
        self.response_headers += [*ALWAYS.items(), ("Content-Type", "application/json"), ("X-Request-ID", identity)]
        if status == 503:
            self.response_headers.append(("Retry-After", "1"))
        self.set_close_on_finish()
        self.content_length = len(body)
        channel.unread = True
        channel.server.count_refusal(status)
        self.write(body)


class Channel(HTTPChannel):
    """``unread``: the client may still be sending when the last answer has gone out."""

    task_class = _Answer
    error_task_class = _ErrorAnswer
    requests: Any
    server: Any
    socket: Any

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Any, map: Any = None) -> None:  # noqa: A002
        self.parser_class: Any = partial(Request, cap=server.waiting_room.body_bytes)
        self.unread = False
        self.moved = self.since = self._answered = time.monotonic()
        self._received = self._sent = 0
        self._lingering: float | None = None
        self._discarded = 0
        self._unsent: tuple[float, int] | None = None
        super().__init__(server, sock, addr, adj, map=map)

    @property
    def busy(self) -> bool:
        """Whether a request is in hand: whole, and not yet answered to the last byte."""
        return bool(self.requests or (self.total_outbufs_len and self._lingering is None))

    @property
    def sheddable(self) -> bool:
        """Whether closing it would lose no request that came whole."""
        return not (self.requests or self.total_outbufs_len)

    def recv(self, buffer_size: int) -> bytes:
        """Counts what comes."""
        data: bytes = super().recv(buffer_size)
        if data:
            self.moved = time.monotonic()
            if self.request is None:
                self.since, self._received = self.moved, 0
            self._received += len(data)
        return data

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Counts what goes."""
        n: int = super().send(data, do_close)
        if n:
            self.moved = self._answered = time.monotonic()
            self._sent += n
        return n

    def handle_read(self) -> None:
        """Reads on, or throws away what a refused client still sends."""
        if self._lingering is None:
            super().handle_read()
            return
        try:
            data = self.recv(_DISCARD_BYTES)
        except OSError:
            self.handle_close()
            return
        self._discarded += len(data)
        if self._discarded > self.server.waiting_room.body_bytes:
            self.will_close = True

    def handle_write(self) -> None:
        """Sends on. After a refusal, ends our side only and leaves the client's open for a while."""
        if self.will_close or self.requests or not (self.unread and self.close_when_flushed):
            super().handle_write()
            return
        self._flush_exception(self._flush_some)  # type: ignore[attr-defined]
        if self.connected and not self.total_outbufs_len and not self.will_close:
            self.close_when_flushed = False
            self._lingering = time.monotonic()
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.will_close = True

    def refuse(self, fault: Fault) -> None:
        """Answers a request that has not come whole; in the loop's thread, while none is being served."""
        request = self.request or self.parser_class(self.adj)
        request.error, request.completed, request.expect_continue = fault, True, False
        with self.requests_lock:  # type: ignore[attr-defined]
            self.request = None
            self.requests.append(request)
        self.server.add_task(self)

    def judge(self, now: float) -> str | None:
        """Ends the connection if it has had its time; why, for the log: None if it goes on."""
        limits = self.server.waiting_room
        if self._lingering is not None:
            if now - self._lingering > _LINGER_S:
                self.will_close = True
            return None
        if self.requests:
            # The time of a request that comes behind one in service does not count: we do not read it.
            self.since, self._received, self._unsent = now, 0, None
            return None
        if self.total_outbufs_len:
            return self._judge_reader(now)
        self._unsent = None
        if self.request is None:
            # Whoever sends nothing but ends of lines is idle too.
            if now - self.moved > limits.idle_s or now - self._answered > limits.receive_s + limits.idle_s:
                self.will_close = True
            return None
        took = now - self.since
        slow = took > _GRACE_S and self._received < limits.bytes_per_s * took
        if took > limits.receive_s or now - self.moved > limits.idle_s or slow:
            self.refuse(Fault(408, f"expected the whole request within {limits.receive_s:g} s, at a steady pace"))
            return "sent too slowly"
        return None

    def _judge_reader(self, now: float) -> str | None:
        limits = self.server.waiting_room
        if self._unsent is None:
            self._unsent = (now, self._sent)
        began, sent = self._unsent
        took = now - began
        slow = took > _GRACE_S and self._sent - sent < limits.bytes_per_s * took
        if now - self.moved > limits.idle_s or took > limits.answer_s or slow:
            self.will_close = True
            return "read too slowly"
        return None
