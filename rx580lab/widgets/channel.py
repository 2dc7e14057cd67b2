"""The child's side of a panel's work: its request comes on standard input, its events leave by a pipe of their own.

Standard output and error stay free for what drivers and compilers print there.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any, TextIO

__all__ = ["Channel"]


class Channel:
    """Opened once by a child's ``main``; ``arguments[0]`` is the descriptor for events."""

    def __init__(self, arguments: list[str]) -> None:
        descriptor = int(arguments[0])
        # What the child starts must not hold the pipe open: the panel reads its end as the end of the work.
        os.set_inheritable(descriptor, False)
        self._stream: TextIO = os.fdopen(descriptor, "w", encoding="utf-8")
        self.request: dict[str, Any] = json.loads(sys.stdin.readline())
        threading.Thread(target=_end_with_panel, daemon=True).start()

    def send(self, kind: str, **fields: Any) -> None:
        """One event. Nobody listens any more once the panel has gone; that is noticed elsewhere."""
        try:
            self._stream.write(json.dumps({"kind": kind, **fields}) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            return


def _end_with_panel() -> None:
    """Standard input ends when the notebook's kernel is gone: then nobody waits for this work."""
    while sys.stdin.readline():
        continue
    os.kill(os.getpid(), signal.SIGTERM)
