"""Files that are whole or absent: written beside their place, then moved onto it; compressed bytes that repeat."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import secrets
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from rx580lab.errors import ResultError

__all__ = ["atomic_write", "gzip_csv", "read_gzip_csv", "sha256_of"]


def atomic_write(path: Path, data: bytes | str, *, mode: int | None = None, lasting: bool = True) -> None:
    """Write ``data`` (text as UTF-8) to ``path``, whose folder is made: readers see the old file or the new, whole.

    The bytes of a ``lasting`` file reach the disk before the rename, so that a power cut leaves one of the two; what
    can be made again, and is checked when it is read, need not wait for that. ``mode``: permission bits; None leaves
    them to the process's umask. Concurrent writers each use a temporary file of their own; the last rename wins.
    Raises OSError as the file system gives it.
    """
    content = data.encode("utf-8") if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with beside.open("xb") as stream:
            stream.write(content)
            if lasting:
                stream.flush()
                os.fsync(stream.fileno())
        if mode is not None:
            beside.chmod(mode)
        beside.replace(path)
    finally:
        # Gone after a rename; still there after a failed write.
        beside.unlink(missing_ok=True)


def sha256_of(data: bytes) -> str:
    """The SHA-256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def gzip_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV table, compressed; equal tables give equal bytes, since neither time nor name is stored in the header."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream:
        stream.write(text.getvalue().encode("utf-8"))
    return packed.getvalue()


def read_gzip_csv(data: bytes, header: Sequence[str], where: str) -> list[list[str]]:
    """The rows of a table that ``gzip_csv`` made. Raises ResultError at ``where`` for damage or another header."""
    try:
        text = gzip.decompress(data).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ResultError(where, f"the compressed table is damaged ({error}); measure the point again") from error
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if not rows or rows[0] != list(header):
        raise ResultError(
            where, f"expected the columns {','.join(header)}, got {','.join(rows[0]) if rows else 'none'}"
        )
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise ResultError(where, f"expected {len(header)} columns in line {number}, got {len(row)}")
    return rows[1:]
