"""One attempt at a point: start its process, follow its events, end everything that it started."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from rx580lab.experiment.request import POINT_VARIABLE
from rx580lab.results.records import PointStatus

__all__ = ["LOG_FILE", "AttemptResult", "Stop", "child_environment", "run_attempt"]

LOG_FILE = "process.log"
_POLL_S = 0.2
_END_S = 10.0
_LOG_TAIL = 400


@dataclass(frozen=True)
class AttemptResult:
    """How an attempt ended. ``status`` ok means that the notebook ran to its end, and nothing more."""

    status: PointStatus
    error_type: str | None = None
    error: str | None = None


class Stop:
    """Whether the run was asked to end, by SIGINT or SIGTERM. ``signal_name`` says which; None while it goes on."""

    def __init__(self) -> None:
        self.signal_name: str | None = None

    def requested(self) -> bool:
        """True from the first signal on."""
        return self.signal_name is not None

    @contextmanager
    def on_signals(self) -> Iterator[Stop]:
        """Catch SIGINT and SIGTERM while the run goes on; only the main thread of a process can."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return

        def note(number: int, frame: FrameType | None) -> None:
            del frame
            self.signal_name = signal.Signals(number).name

        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                # None: the handler was not installed from Python, and cannot be put back from it.
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def child_environment(*, request_file: Path, device: str | None, threads: int | None, affinity: bool) -> dict[str, str]:
    """The environment of a timed point: the caller's, with what steers OpenCL and thread pools set for it alone."""
    environment = {**os.environ, POINT_VARIABLE: str(request_file), "PYTHONUNBUFFERED": "1"}
    if device is not None:
        environment["RX580LAB_DEVICE"] = device
    if affinity:
        # Unpinned PoCL threads migrate between cores, which halves the speed of some runs and not of others.
        environment["POCL_AFFINITY"] = "1"
    if threads is not None:
        for name in ("POCL_MAX_PTHREAD_COUNT", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
            environment[name] = str(threads)
    return environment


def run_attempt(
    request_file: Path,
    environment: Mapping[str, str],
    *,
    wall_s: float,
    stop: Stop,
    on_event: Callable[[dict[str, Any]], None],
) -> AttemptResult:
    """Run the point of ``request_file`` in a process group of its own, at most ``wall_s`` seconds.

    ``on_event`` gets the child's events as they come. Nothing that the attempt started is alive on return.
    """
    attempt = _Attempt(request_file, environment)
    try:
        return attempt.follow(time.monotonic() + wall_s, wall_s, stop, on_event)
    finally:
        attempt.end()


class _Attempt:
    """A running child: its event pipe, and what is known of its kernel."""

    def __init__(self, request_file: Path, environment: Mapping[str, str]) -> None:
        self.kernel: tuple[int, float] | None = None
        self.result: AttemptResult | None = None
        self.log = request_file.parent / LOG_FILE
        self.events, write_end = os.pipe()
        command = [sys.executable, "-P", "-m", "rx580lab.experiment.point_process", str(request_file), str(write_end)]
        try:
            with self.log.open("wb") as log:
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,  # its end is how the child learns that this process is gone
                    stdout=log,
                    stderr=log,
                    env=dict(environment),
                    pass_fds=(write_end,),
                    process_group=0,
                )
        except BaseException:
            os.close(self.events)
            raise
        finally:
            os.close(write_end)

    def follow(
        self, deadline: float, wall_s: float, stop: Stop, on_event: Callable[[dict[str, Any]], None]
    ) -> AttemptResult:
        pending = b""
        while True:
            if stop.requested():
                return AttemptResult("killed", "Interrupted", f"ended by {stop.signal_name}")
            if time.monotonic() > deadline:
                return AttemptResult("timeout", "WallLimitExceeded", f"ran longer than wall_s, {wall_s:g} s")
            if not select.select([self.events], [], [], _POLL_S)[0]:
                continue
            data = os.read(self.events, 65536)
            if not data:
                return self.result or self.died()
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                self.take(json.loads(line), on_event)

    def take(self, event: dict[str, Any], on_event: Callable[[dict[str, Any]], None]) -> None:
        if event["event"] == "kernel":
            self.kernel = (int(event["pid"]), float(event["started"]))
        elif event["event"] == "end":
            self.result = AttemptResult(event["status"], event.get("error_type"), event.get("error"))
        else:
            on_event(event)

    def died(self) -> AttemptResult:
        """The child closed its pipe without a last word."""
        try:
            code = self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            code = 0
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
        tail = self.log.read_text(encoding="utf-8", errors="replace").strip()[-_LOG_TAIL:]
        said = f"; it said: {tail}" if tail else ""
        return AttemptResult("failed", "ProcessDied", f"the point's process {how}{said}")

    def end(self) -> None:
        """Kill what is left: the child's group, its kernel (a session of its own) and all their descendants."""
        victims = self.survivors()
        for victim in victims:
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()
        psutil.wait_procs(victims, timeout=_END_S)
        os.close(self.events)

    def survivors(self) -> list[psutil.Process]:
        roots: list[psutil.Process] = []
        if self.process.poll() is None:
            roots.append(psutil.Process(self.process.pid))
        if self.kernel is not None:
            pid, started = self.kernel
            try:
                kernel = psutil.Process(pid)
                # The start time tells the kernel from a stranger that got its pid since.
                if kernel.create_time() == started:
                    roots.append(kernel)
            except psutil.NoSuchProcess:
                pass
        found = {process.pid: process for process in roots}
        for root in roots:
            try:
                found |= {process.pid: process for process in root.children(recursive=True)}
            except psutil.NoSuchProcess:
                continue
        return list(found.values())
