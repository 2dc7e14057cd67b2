"""Changes of a file of keys: add, rotate, revoke. Each is whole or not made, even if the process is killed.

One writer at a time holds the lock, reads, and replaces the file (``private_files``). Lines that are no key stay as
they are: whoever damaged them may still want them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from rx580lab.errors import ServeError
from rx580lab.serve.keys import FORMAT, KeyRecord, make_key, parse
from rx580lab.serve.pepper import mark_of
from rx580lab.serve.private_files import FileMissing, locked, read_private, write_private
from rx580lab.serve.roles import Role

__all__ = ["add", "find", "revoke", "rotate"]


def add(path: Path, record: KeyRecord) -> None:
    """Stores one more key, in a fresh file if there is none. ServeError if it cannot or if the file holds no keys."""
    with locked(path):
        try:
            content, _ = read_private(path)
        except FileMissing:
            content = b""
        held = parse(content)
        if held.corrupt and not held.records:
            raise ServeError(str(path), f"expected a file of keys, got {held.n_lines} lines of something else")
        if any(one.id == record.id for one in held.records):
            raise ServeError(str(path), f"expected an id that is free, got {record.id}; try again")
        write_private(path, _with_end_of_line(content) + _line(record))


def revoke(path: Path, key_id: str) -> tuple[KeyRecord, KeyRecord]:
    """Ends a key at once: as it was, and as it is. ServeError as ``find``."""
    with locked(path):
        content, _ = read_private(path)
        before = find(path, parse(content).records, key_id)
        after = before.model_copy(update={"disabled": True})
        write_private(path, _replaced(content, after))
    return before, after


def rotate(
    path: Path, pepper: bytes, key_id: str, *, grace: timedelta | None = None, expires: datetime | None = None
) -> tuple[str, KeyRecord, KeyRecord]:
    """A key with the role, models and label of another, which ends now, or after ``grace``: key, record, the other's.

    ``expires``: None gives it as long as the other was made for. ServeError as ``find``, and for a key that is not in
    force: that would open again what was closed.
    """
    now = datetime.now(UTC)
    with locked(path):
        content, _ = read_private(path)
        old = find(path, parse(content).records, key_id)
        if old.state(now) != "active":
            raise ServeError(
                str(path), f"expected a key in force that was not rotated yet, got {old.id}: {old.state(now)}"
            )
        if old.pepper not in ("", mark_of(pepper)):
            raise ServeError(str(path), f"expected the pepper of {old.id}, got another; --pepper-file names it")
        if expires is None and old.expires is not None:
            expires = now + (old.expires - old.created)
        models = old.models
        key, record = make_key(pepper, Role[old.role.upper()], label=old.label, expires=expires, models=models)
        end = now if grace is None else now + grace
        end = end if old.expires is None else min(end, old.expires)
        ended = old.model_copy(update={"expires": end, "disabled": grace is None, "replaced_by": record.id})
        write_private(path, _with_end_of_line(_replaced(content, ended)) + _line(record))
    return key, record, ended


def find(path: Path, records: tuple[KeyRecord, ...], key_id: str) -> KeyRecord:
    """The key of that id, or the only one whose id begins so. ServeError, which echoes nothing that may be a secret."""
    whole = FORMAT.fullmatch(key_id)
    if whole:
        key_id = whole[1]
    found = [record for record in records if record.id == key_id] or [
        record for record in records if key_id and record.id.startswith(key_id)
    ]
    if len(found) == 1:
        return found[0]
    shown = key_id if key_id.isascii() and key_id.isalnum() and len(key_id) <= 8 else "something else"
    if not found:
        raise ServeError(
            str(path), f"expected the id of a key in this file, got {shown}; rx580lab keys list shows them"
        )
    ids = ", ".join(sorted(record.id for record in found)[:8])
    raise ServeError(str(path), f"expected the id of one key, got {shown}, with which {len(found)} begin: {ids}")


def _line(record: KeyRecord) -> bytes:
    return record.model_dump_json().encode() + b"\n"


def _with_end_of_line(content: bytes) -> bytes:
    return content if not content or content.endswith(b"\n") else content + b"\n"


def _replaced(content: bytes, record: KeyRecord) -> bytes:
    """The same lines, that of the record's id replaced."""
    lines = content.split(b"\n")
    for place, line in enumerate(lines):
        held = parse(line).records
        if held and held[0].id == record.id:
            lines[place] = _line(record).rstrip(b"\n")
    return b"\n".join(lines)
