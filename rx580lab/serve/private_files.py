"""Files that only their owner may read: read with that checked, and written so that no moment leaves half of one."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rx580lab.errors import ServeError

__all__ = [
    "FileExposed",
    "FileMissing",
    "FileUnreadable",
    "Signature",
    "locked",
    "read_private",
    "signature",
    "write_private",
]

Signature = tuple[int, int, int, int, int]
_LARGEST = 16 << 20
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class FileMissing(ServeError):
    """There is no such file."""


class FileExposed(ServeError):
    """Others than the owner may read or write the file; the message holds the cure."""


class FileUnreadable(ServeError):
    """The file is there, but is none that can be read."""


def signature(path: Path) -> Signature | None:
    """What changes whenever the file does; None if it cannot be looked at."""
    try:
        return _signature(path.stat())
    except OSError:
        return None


def _signature(found: os.stat_result) -> Signature:
    # ctime_ns changes with the mode too, and with a content that was given an old mtime.
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode)


def read_private(path: Path) -> tuple[bytes, Signature]:
    """Content and signature. FileMissing, FileExposed, FileUnreadable."""
    try:
        # O_NONBLOCK: a named pipe would hold us up for ever.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise FileMissing(str(path), "expected a file, got none") from error
    except OSError as error:
        raise FileUnreadable(str(path), f"expected a file that can be read, got: {error.strerror}") from error
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise FileUnreadable(str(path), "expected a plain file, got a folder, a pipe or a device")
        if found.st_mode & _OTHERS:
            mode = f"{stat.S_IMODE(found.st_mode):04o}"
            raise FileExposed(str(path), f"expected a file that only its owner may read, got mode {mode}; chmod 600 it")
        if found.st_size > _LARGEST:
            raise FileUnreadable(str(path), f"expected at most {_LARGEST} bytes, got {found.st_size}")
        with os.fdopen(handle, "rb", closefd=False) as stream:
            return stream.read(_LARGEST), _signature(found)
    except OSError as error:
        raise FileUnreadable(str(path), f"expected a file that can be read, got: {error.strerror}") from error
    finally:
        os.close(handle)


def write_private(path: Path, content: bytes) -> None:
    """Replaces the file as a whole, mode 0600, and on the disk before it returns. Call it within ``locked``.

    A process that is killed in between leaves the old file, and a ``.NAME.partial`` that the next call removes.
    ServeError where it cannot be written.
    """
    path = path.resolve()  # a link stays one
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ServeError(str(path), f"expected a file that can be written, got: {error.strerror}") from error


@contextmanager
def locked(path: Path, timeout_s: float = 10.0) -> Iterator[None]:
    """Keeps other writers of ``path`` out, by a file ``.NAME.lock`` beside it; makes its folder, mode 0700.

    The kernel gives the lock back when its holder is killed. ServeError after ``timeout_s``, or if it cannot be made.
    """
    path = path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ServeError(str(path), f"expected a folder that can be written, got: {error.strerror}") from error
    try:
        _wait_for(handle, path, time.monotonic() + timeout_s)
        yield
    finally:
        os.close(handle)


def _wait_for(handle: int, path: Path, end: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise ServeError(str(path), f"expected a lock, got: {error.strerror}") from error
        if time.monotonic() >= end:
            raise ServeError(str(path), "another process is writing this file and does not end; try again")
        time.sleep(0.01)
