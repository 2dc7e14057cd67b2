"""One timed point at a time on this machine: two that share a device, or a small CPU, time each other.

An advisory lock on one file of the machine's temporary folder; the system releases it when its holder dies.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rx580lab.errors import ExperimentError

__all__ = ["LOCK_FILE", "TimingLock"]

LOCK_FILE = "rx580lab-timing.lock"
_POLL_S = 0.2


class TimingLock:
    """Held from ``acquire`` to ``release``. ``holder`` says, to those who wait, who has it."""

    def __init__(self, holder: str) -> None:
        self.holder = holder
        self.path = Path(tempfile.gettempdir()) / LOCK_FILE
        self._descriptor: int | None = None

    def acquire(self, on_wait: Callable[[str], None], stopped: Callable[[], bool]) -> bool:
        """Wait for the lock; ``on_wait`` is told once who has it. False if ``stopped()`` became true before."""
        descriptor = self._open()
        told = False
        while not stopped():
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    on_wait(os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "another run")
                    told = True
                time.sleep(_POLL_S)
                continue
            self._descriptor = descriptor
            self._sign(descriptor)
            return True
        os.close(descriptor)
        return False

    def release(self) -> None:
        """Let the next one time; harmless if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        # Another user's file may only be read, which is enough for flock. O_NOFOLLOW: the folder is everybody's.
        plain = os.O_CLOEXEC | os.O_NOFOLLOW
        for flags in (os.O_RDWR, os.O_RDONLY, os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDONLY):
            try:
                return os.open(self.path, flags | plain, 0o644)
            except (FileNotFoundError, PermissionError, FileExistsError):
                continue
            except OSError as error:
                raise ExperimentError(str(self.path), f"the timing lock cannot be opened: {error.strerror}") from error
        raise ExperimentError(str(self.path), "the timing lock cannot be opened; remove the file or set TMPDIR")

    def _sign(self, descriptor: int) -> None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{self.holder}\n".encode(), 0)
