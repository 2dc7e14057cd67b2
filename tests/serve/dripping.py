"""``python -m tests.serve.dripping HOST PORT HEADERS BODIES PERIOD_S``: many clients, each sending a little at a time.

Prints how many are connected, once they all are, and goes on until its standard input ends.
"""

from __future__ import annotations

import resource
import select
import socket
import sys
import time
from contextlib import suppress

HEADERS = b"GET /health HTTP/1.1\r\nHost: x\r\n"
BODY = b"POST /models/m/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"


def main(host: str, port: int, headers: int, bodies: int, period_s: float) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (headers + bodies + 64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    held = []
    for place in range(headers + bodies):
        one = socket.create_connection((host, port), 20)
        slow_header = place < headers
        one.sendall(HEADERS if slow_header else BODY)
        one.setblocking(False)
        held.append((one, b"X-A: b\r\n" if slow_header else b"aaaa"))
    sys.stdout.write(f"{len(held)}\n")
    sys.stdout.flush()
    while not select.select([sys.stdin], [], [], 0)[0]:
        for one, text in held:
            with suppress(OSError):
                one.send(text)
        time.sleep(period_s)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
