"""The process: waitress, tuned to bear slow and many clients, and a drain that loses no request.

waitress' loop runs in the main thread and hands whole requests to threads. A signal only sets a flag; the loop itself
goes through the stages of the drain, so that they need no thread, no lock and no parent process.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from rx580lab.serve.app import create_app
from rx580lab.serve.channel import Channel
from rx580lab.serve.greeting import greet
from rx580lab.serve.service import EXTENSION, Service
from rx580lab.serve.settings import Settings
from rx580lab.serve.sockets import bind, room_for, url_of
from rx580lab.serve.wire import Fault

__all__ = ["serve"]

_LOG = logging.getLogger("rx580lab.serve")
# Larger than any answer: a thread never waits for a client to read.
_ANY_ANSWER = 1 << 50
_IN_MEMORY = 1 << 20
_HEADER_BYTES = 16 << 10
_RECEIVE_BYTES = 64 << 10
# For what is refused last to go out.
_FAREWELL_S = 1.0
# For models to let go of the device.
_CLOSE_S = 10.0
_SECOND_SIGNAL = 130


@dataclass(frozen=True)
class WaitingRoom:
    """What a connection is held to: ``Settings.waiting``, and the bytes of a body."""

    body_bytes: int
    receive_s: float
    answer_s: float
    idle_s: float
    bytes_per_s: float


class _Listener(TcpWSGIServer):
    """One listening socket with its connections. ``closing``: each connection ends with its next answer."""

    channel_class = Channel
    active_channels: Any

    def __init__(self, serving: Service, app: Any, one: socket.socket, shared: dict[str, Any]) -> None:
        settings = serving.settings
        self.waiting_room = WaitingRoom(
            settings.caps.body_bytes,
            settings.waiting.receive_s,
            settings.waiting.answer_s,
            settings.waiting.idle_s,
            settings.waiting.bytes_per_s,
        )
        self.closing = False
        self._metrics = serving.metrics
        self._shed_at = 0.0
        super().__init__(app, _sock=one, bind_socket=False, sockinfo=_sockinfo(one), **shared)

    def count_refusal(self, status: int) -> None:
        """Counts an answer that the application did not give."""
        self._metrics.requests.labels("other", "unknown", status).inc()

    def readable(self) -> bool:
        """Whether to accept; makes room first where there is none."""
        if len(self._map) >= self.adj.connection_limit:  # type: ignore[attr-defined]
            self._shed(time.monotonic())
        return super().readable()

    def maintenance(self, _now: float) -> None:
        """Looks at each connection, about once a second."""
        now = time.monotonic()
        cut = Counter(channel.judge(now) for channel in list(self.active_channels.values()))
        for why, n in sorted((why, n) for why, n in cut.items() if why):
            _LOG.warning("cut %d connections that %s", n, why)

    def _shed(self, now: float) -> None:
        # Those that have been at their request, or idle, for longest give way to those who come.
        if now - self._shed_at < 0.2:
            return
        self._shed_at = now
        old = [one for one in self.active_channels.values() if one.sheddable and now - one.since > 1]
        old.sort(key=lambda one: float(one.since))
        for channel in old[: max(8, len(old) // 2)]:
            channel.will_close = True


def _sockinfo(one: socket.socket) -> Any:
    return (one.family, one.type, one.proto, one.getsockname())


class Process:
    """The loop, from listening to the end. ``stop`` may be called by a signal."""

    def __init__(self, app: Flask, sockets: Sequence[socket.socket]) -> None:
        self._serving: Service = app.extensions[EXTENSION]
        settings = self._serving.settings
        adjustments = Adjustments(
            sockets=[],
            connection_limit=room_for(settings.connections),
            asyncore_use_poll=True,
            cleanup_interval=1,
            max_request_header_size=_HEADER_BYTES,
            # Beyond what our own parser allows, framing included: it decides.
            max_request_body_size=2 * settings.caps.body_bytes + _IN_MEMORY,
            inbuf_overflow=_IN_MEMORY,
            outbuf_overflow=_IN_MEMORY,
            outbuf_high_watermark=_ANY_ANSWER,
            recv_bytes=_RECEIVE_BYTES,
            channel_request_lookahead=1,
            log_socket_errors=False,
            # The application trusts as many proxies as the settings say, and only then.
            clear_untrusted_proxy_headers=False,
            ident=None,
        )
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._map: dict[int, Any] = {}
        self._threads = ThreadedTaskDispatcher()
        self._threads.set_thread_count(settings.n_threads)
        shared = {"map": self._map, "dispatcher": self._threads, "adj": adjustments}
        self._listeners = [_Listener(self._serving, app, one, shared) for one in sockets]
        self._asked: float | None = None

    @property
    def connections(self) -> int:
        """Open now."""
        return sum(len(listener.active_channels) for listener in self._listeners)

    @property
    def asked(self) -> bool:
        """Whether it has been told to stop."""
        return self._asked is not None

    def stop(self) -> None:
        """Begins the drain; may be called by a signal's handler, or by any thread."""
        self._asked = self._asked or time.monotonic()
        self._listeners[0].pull_trigger()

    def run(self) -> int:
        """Serves until ``stop``, drains, and closes everything. Returns the exit status: 1 if requests were cut."""
        self._loop_until(lambda: self._asked is not None, 1.0)
        waiting = self._serving.settings.waiting
        self._serving.lifecycle.drain()
        for listener in self._listeners:
            listener.closing = True
        _LOG.warning("draining: no longer ready; inference is refused in %g s", waiting.notice_s)
        self._loop_until(lambda: False, 0.05, waiting.notice_s)
        self._serving.lifecycle.refuse()
        idle = self._loop_until(lambda: not self._busy(), 0.05, waiting.drain_s)
        left = 0 if idle else sum(channel.busy for channel in self._channels())
        self._say_farewell()
        self._close()
        if left:
            _LOG.error("cut %d requests that were still in hand %g s after the signal to stop", left, waiting.drain_s)
        return 1 if left else 0

    def _loop_until(self, done: Any, step_s: float, within_s: float = float("inf")) -> bool:
        end = time.monotonic() + within_s
        while not (finished := done()) and (left_s := end - time.monotonic()) > 0:
            wasyncore.loop(timeout=min(step_s, left_s), use_poll=True, map=self._map, count=1)
        return bool(finished)

    def _channels(self) -> list[Any]:
        return [channel for listener in self._listeners for channel in list(listener.active_channels.values())]

    def _busy(self) -> bool:
        return any(channel.busy for channel in self._channels())

    def _say_farewell(self) -> None:
        # What was on its way in is told that it comes too late, rather than cut.
        for channel in self._channels():
            if channel.request is not None and channel.sheddable:
                channel.refuse(Fault(503, "the server is stopping"))
        self._loop_until(lambda: not self._busy(), 0.02, _FAREWELL_S)

    def _close(self) -> None:
        # Threads that are still at work find their connections gone; that is no news.
        logging.getLogger("waitress").setLevel(logging.CRITICAL + 1)
        for listener in self._listeners:
            listener.accepting = False
        self._threads.shutdown(timeout=1)
        wasyncore.close_all(self._map)


def serve(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT, then drains; the exit status. ServeError where it cannot start.

    A second signal ends the process at once with status 130. Main thread only, as signals are.
    """
    running: list[Process] = []

    def on_signal(_number: int, _frame: Any) -> None:
        if not running:
            raise SystemExit(0)
        if running[0].asked:
            os.write(2, b"rx580lab: a second signal: ends at once, and cuts what is in hand\n")
            os._exit(_SECOND_SIGNAL)
        running[0].stop()

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    with ExitStack() as unused:
        sockets = bind(settings.host, settings.port)
        for one in sockets:
            unused.callback(one.close)
        app = create_app(settings)
        unused.pop_all()
    serving: Service = app.extensions[EXTENSION]
    process = Process(app, sockets)
    running.append(process)
    serving.metrics.watch_connections(lambda: process.connections)
    greet(serving, url_of(settings.host, sockets))
    status = process.run()
    if not _closed(serving) or status:
        # Threads are at work in the driver: tearing the interpreter down under them may crash.
        sys.stderr.flush()
        os._exit(status)
    return status


def _closed(serving: Service) -> bool:
    def close() -> None:
        close_repository = getattr(serving.repository, "close", None)
        if close_repository is not None:
            close_repository()
        if serving.audit is not None:
            serving.audit.close()

    closing = threading.Thread(target=close, name="close", daemon=True)
    closing.start()
    closing.join(_CLOSE_S)
    return not closing.is_alive()
