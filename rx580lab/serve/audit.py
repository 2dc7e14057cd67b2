"""The audit log: who asked for what and how it ended, one JSON line each, never a credential.

A request hands its event to a queue and goes on; a thread of its own writes. The queue is bounded: what finds no room
is counted, in a metric and in a line of its own, and holds up nobody. Answers 429 are not logged one by one: whoever
gets them may ask for thousands a second, so the limiter tells once a minute whose limit was hit.
"""

from __future__ import annotations

import atexit
import os
import queue
import re
import stat
import sys
import threading
import time
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import orjson
import structlog

from rx580lab.errors import ServeError

__all__ = ["STEPS", "Audit", "bounded", "redacted"]

REDACTED = "[redacted]"
# Keys of ours, whole or not; the secret part alone; what follows "Bearer"; passwords in URLs.
_KEYS = re.compile(
    r"rx580_\S*|(?<![\w-])[\w-]{43}(?![\w-])|(?i:(?<=bearer ))\S+|(?<=://)[^/@\s]*:[^/@\s]*(?=@)", re.ASCII
)
_NAMES = re.compile(r"authori[sz]ation|api_?key|secret|password|token|pepper|cookie", re.IGNORECASE)
_LONGEST = 256
_GATHER_S = 0.02

Event = MutableMapping[str, Any]


class _Count(Protocol):
    def inc(self, amount: float = 1) -> None:
        """One more."""


def redacted(_logger: Any, _method: str, event: Event) -> Event:
    """A step of structlog, the second line of defence: no field holds what looks like a credential."""
    for name, value in event.items():
        if _tells(name):
            event[name] = REDACTED
        elif isinstance(value, str):
            # The pattern costs more than all the rest of a line, so plain text is not held against it.
            if len(value) >= 43 or " " in value or "rx580_" in value or "://" in value:
                event[name] = _KEYS.sub(REDACTED, value)
        elif not isinstance(value, bool | float) and not (isinstance(value, int) and abs(value) < 1 << 63):
            event[name] = _KEYS.sub(REDACTED, str(value))
    return event


@lru_cache(256)
def _tells(name: str) -> bool:
    return _NAMES.search(name) is not None


def bounded(_logger: Any, _method: str, event: Event) -> Event:
    r"""A step of structlog: text of 256 characters at most, with what does not print written as ``\u0000`` is."""
    for name, value in event.items():
        if isinstance(value, str):
            if len(value) > _LONGEST:
                value = f"{value[:_LONGEST]}..."
                event[name] = value
            if not value.isprintable():
                event[name] = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in value)
    return event


def _timed(_logger: Any, _method: str, event: Event) -> Event:
    """The time first, as ISO 8601 in UTC."""
    at = datetime.fromtimestamp(event.pop("at"), UTC).isoformat(timespec="milliseconds")
    return {"time": at, "event": event.pop("event"), **event}


def _rendered(_logger: Any, _method: str, event: Event) -> bytes:
    return orjson.dumps(dict(event), option=orjson.OPT_APPEND_NEWLINE)


STEPS = (bounded, redacted, _timed, _rendered)


class Audit:
    """``path``: appended to, mode 0600, opened again when it was renamed or removed; None for standard error.

    ``dropped``: counts lines that found no room in the queue or on the disk. ServeError if the file cannot be opened.
    """

    def __init__(self, path: Path | None, dropped: _Count | None = None, capacity: int = 10_000) -> None:
        self._file = _File(path)
        self._dropped = dropped
        self._lost = 0
        self._capacity = capacity
        self._lines: list[bytes] = []
        # Of C, so that a put costs next to nothing; the bound is kept by looking at the size before.
        self._waiting: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._log = structlog.wrap_logger(_Lines(self._lines.append), processors=STEPS, wrapper_class=_Bound)
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="audit", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def event(self, event: str, **fields: Any) -> None:
        """One line. ``event`` is what happened, in one word or two; None fields are left out."""
        if self._waiting.qsize() >= self._capacity:
            self._lose(1)
            return
        fields["event"], fields["at"] = event, time.time()
        self._waiting.put(fields)

    def close(self) -> None:
        """Writes what waits and ends the thread. Events that come after are lost."""
        if not self._closed:
            self._closed = True
            atexit.unregister(self.close)
            self._waiting.put(None)
            self._thread.join(5)
            self._file.close()

    def _lose(self, lines: int) -> None:
        self._lost += lines
        if self._dropped is not None:
            self._dropped.inc(lines)

    def _work(self) -> None:
        going = True
        while going:
            going = self._render(self._waiting.get())
            if going:
                time.sleep(_GATHER_S)  # what comes meanwhile costs one write, and wakes no thread for each line
            for _ in range(self._waiting.qsize()):
                going = self._render(self._waiting.get()) and going
            if self._lost:
                self._lost, lost = 0, self._lost
                self._render({"event": "audit lines lost", "at": time.time(), "lines": lost})
            if self._lines and not self._file.write(b"".join(self._lines)):
                self._lose(len(self._lines))
            self._lines.clear()

    def _render(self, fields: Event | None) -> bool:
        if fields is None:
            return False
        try:
            self._log.info(**{name: value for name, value in fields.items() if value is not None})
        except (TypeError, ValueError, RecursionError):
            self._lose(1)  # a field that cannot be written as JSON must not end the log
        return True


class _Bound(structlog.BoundLoggerBase):
    """``info`` alone."""

    def info(self, event: str, **fields: Any) -> Any:
        """Through the steps, to the lines that wait."""
        return self._proxy_to_logger("info", event, **fields)


class _Lines:
    def __init__(self, info: Callable[[bytes], None]) -> None:
        self.info = info


class _File:
    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._told = False
        self._descriptor = self._open()

    def write(self, data: bytes) -> bool:
        """Whether all of it was written."""
        try:
            if self._moved():
                os.close(self._descriptor)
                self._descriptor = -1
            if self._descriptor < 0:
                self._descriptor = self._open()
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
        except (OSError, ServeError) as error:
            if not self._told:
                sys.stderr.write(f"[audit] expected a file to write to, got: {error}\n")
            self._told = True
            return False
        self._told = False
        return True

    def close(self) -> None:
        if self._path is not None and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        if self._path is None:
            return sys.__stderr__.fileno() if sys.__stderr__ is not None else 2
        try:
            # Not O_TRUNC, and another process may append as well; a new file is its owner's alone.
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.fchmod(descriptor, 0o600)
        except OSError as error:
            raise ServeError("audit_file", f"expected a file to append to, got: {error}") from error
        return descriptor

    def _moved(self) -> bool:
        """Whether the path leads to another file by now, as after a rotation."""
        if self._path is None or self._descriptor < 0:
            return False
        mine = os.fstat(self._descriptor)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        return (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino)
