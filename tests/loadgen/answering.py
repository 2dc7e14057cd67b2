"""A small server for the load generator's tests: it answers in its own time, and notes what it got."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Answering:
    """``reply``: from the number of the request on its connection to the raw answer; b"" hangs up.

    ``seen``: all requests as they came, heads and bodies.
    """

    reply: Callable[[int], bytes] = lambda _n: OK
    seen: list[bytes] = field(default_factory=list)
    connections: int = 0
    url: str = ""


@contextmanager
def answering(reply: Callable[[int], bytes] = lambda _n: OK) -> Iterator[Answering]:
    """On a free port of loopback, until the block ends."""
    found = Answering(reply)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            found.connections += 1
            number = 0
            while head := _head(self.rfile):
                length = next((int(line[15:]) for line in head.split(b"\r\n") if line[:15] == b"Content-Length:"), 0)
                found.seen.append(head + self.rfile.read(length))
                answer = found.reply(number)
                number += 1
                if not answer:
                    return
                self.wfile.write(answer)
                if b"Connection: close" in answer:
                    return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 128
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            return None  # clients that hang up are part of the tests

    with Server(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield found
        server.shutdown()


def _head(stream: object) -> bytes:
    lines = []
    while line := stream.readline():  # type: ignore[attr-defined]
        lines.append(line)
        if line == b"\r\n":
            break
    return b"".join(lines)


def frozen(at_s: float, for_s: float) -> Callable[[int], bytes]:
    """Answers at once, but not between ``at_s`` and ``at_s + for_s`` after the first request."""
    began: list[float] = []

    def reply(_n: int) -> bytes:
        now = time.monotonic()
        began[:] = began or [now]
        if 0 <= (into := now - began[0] - at_s) < for_s:
            time.sleep(for_s - into)
        return OK

    return reply
