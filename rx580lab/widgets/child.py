"""Work of a panel in a process of its own: events as they come, a time limit, cancelling, and a plain word at the end.

A kernel that never ends, a driver that crashes, a compiler that eats the memory: all of it happens there, and the
notebook's kernel lives on.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Literal

import psutil

__all__ = ["Child", "Ending"]

_POLL_S = 0.1
_OUTPUT_TAIL = 2000
# Events of this kind mean that the child waits for its turn: no time limit holds until the next event.
_WAITING = "waiting"

Events = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Ending:
    """How the child ended. ``code`` is its exit status, negative for a signal; ``output`` the end of its prints."""

    how: Literal["ended", "limit", "cancelled"]
    code: int
    output: str

    @property
    def died(self) -> str | None:
        """What went wrong, in words, for a child that ended by itself and badly; None if it ended well."""
        if self.how != "ended" or self.code == 0:
            return None
        if self.code < 0:
            return f"was ended by {signal.Signals(-self.code).name}"
        return f"ended with exit status {self.code}"


class Child:
    """``python -m module`` in a process group of its own, followed by a thread.

    Args:
        module: its ``main`` opens a ``Channel``.
        request: what the channel gets, JSON-able.
        on_event, on_end: called from the following thread.
        limit_s: how long a step may take, from one event to the next; waiting for its turn does not count. None: no
            limit.
        grace_s: how long a cancelled child may take to put its things in order, after SIGTERM.
        variables: set in its environment only.
    """

    def __init__(
        self,
        module: str,
        request: Mapping[str, Any],
        on_event: Events,
        on_end: Callable[[Ending], None],
        *,
        limit_s: float | None = None,
        grace_s: float = 0.0,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._on_event = on_event
        self._on_end = on_end
        self._limit_s = limit_s
        self._grace_s = grace_s
        self._cancelled = threading.Event()
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the following thread
        self._events, write_end = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(write_end)],
                stdin=subprocess.PIPE,  # its end is how the child learns that this process is gone
                stdout=self._output,
                stderr=self._output,
                env={**os.environ, **(variables or {})},
                pass_fds=(write_end,),
                process_group=0,
            )
        finally:
            os.close(write_end)
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        with suppress(BrokenPipeError):  # it died at once: its end says so
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        self._thread = threading.Thread(target=self._follow, daemon=True, name=module)
        self._thread.start()

    @property
    def pid(self) -> int:
        """The child's process id, which is also its group's."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it is still followed: its end has not been told yet."""
        return self._thread.is_alive()

    def cancel(self) -> None:
        """End it and all that it started; returns at once, ``on_end`` follows."""
        self._cancelled.set()

    def join(self, timeout_s: float) -> bool:
        """Wait until its end has been told; False if that took longer."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _follow(self) -> None:
        try:
            how = self._read_events()
            if how == "cancelled" and self._grace_s:
                self._ask_to_end()
        finally:
            self._end()
        self._output.seek(0)
        printed = self._output.read().decode("utf-8", "replace").strip()
        self._output.close()
        self._on_end(Ending(how, self._process.returncode, printed[-_OUTPUT_TAIL:]))

    def _read_events(self) -> Literal["ended", "limit", "cancelled"]:
        deadline = self._deadline()
        pending = b""
        while True:
            if self._cancelled.is_set():
                return "cancelled"
            if deadline is not None and time.monotonic() > deadline:
                return "limit"
            if not select.select([self._events], [], [], _POLL_S)[0]:
                continue
            data = os.read(self._events, 65536)
            if not data:
                return self._let_exit(deadline)
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                event = json.loads(line)
                deadline = None if event["kind"] == _WAITING else self._deadline()
                self._on_event(event)

    def _deadline(self) -> float | None:
        return None if self._limit_s is None else time.monotonic() + self._limit_s

    def _let_exit(self, deadline: float | None) -> Literal["ended", "limit"]:
        """It closed its pipe: it is about to exit, or hangs in a driver's clean-up."""
        try:
            self._process.wait(None if deadline is None else max(deadline - time.monotonic(), 1.0))
        except subprocess.TimeoutExpired:
            return "limit"
        return "ended"

    def _ask_to_end(self) -> None:
        self._process.terminate()
        deadline = time.monotonic() + self._grace_s
        while time.monotonic() < deadline and self._process.poll() is None:
            # Read on, so that it never waits for room in the pipe.
            if select.select([self._events], [], [], _POLL_S)[0] and not os.read(self._events, 65536):
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(max(deadline - time.monotonic(), _POLL_S))
                return

    def _end(self) -> None:
        """Kill what is left: the child, its group, and descendants that made groups of their own."""
        victims: list[psutil.Process] = []
        if self._process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                victims = psutil.Process(self._process.pid).children(recursive=True)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()
        psutil.wait_procs(victims, timeout=10)
        os.close(self._events)
