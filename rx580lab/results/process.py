"""Whether the process that wrote a manifest is still at work. A pid alone is not enough: pids are reused."""

from __future__ import annotations

import os
import socket

import psutil

__all__ = ["host_name", "is_alive", "own_start", "process_start"]

# Linux gives start times as ticks since a boot time in whole seconds, which clock adjustments may move by one.
_START_TOLERANCE_S = 2.0


def host_name() -> str:
    """This machine's name, as manifests carry it."""
    return socket.gethostname()


def process_start(pid: int) -> float | None:
    """When process ``pid`` of this machine started (seconds since the epoch), or None if it is gone or a zombie."""
    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        return process.create_time()
    except psutil.NoSuchProcess:
        return None


def own_start() -> float:
    """When this process started, seconds since the epoch."""
    return psutil.Process(os.getpid()).create_time()


def is_alive(pid: int, started: float, host: str) -> bool | None:
    """Whether that very process lives. None: it ran on another machine, which cannot be asked from here."""
    if host != host_name():
        return None
    found = process_start(pid)
    return found is not None and abs(found - started) <= _START_TOLERANCE_S
