"""Keys: their format, what is stored of one, and the check of a presented one against a file that may change.

A key reads ``rx580_<id, 8 letters and digits>_<secret, 43 letters, digits, - and _>``; the prefix lets scanners of
secrets find it. What is stored is never the secret, but HMAC-SHA256 of it under the pepper, which lies elsewhere. A
secret of 256 random bits needs no slow hash, which would be a lever for denial of service.
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from rx580lab.errors import ServeError
from rx580lab.serve.key_times import moment
from rx580lab.serve.pepper import mark_of
from rx580lab.serve.private_files import FileExposed, FileMissing, FileUnreadable, read_private, signature
from rx580lab.serve.roles import Role

__all__ = ["FORMAT", "KEY_ROLES", "Checked", "Contents", "KeyRecord", "Keys", "cure", "make_key", "parse", "read_keys"]

FORMAT = re.compile(r"rx580_([A-Za-z0-9]{8})_([A-Za-z0-9_-]{43})")
KEY_ROLES = tuple(role for role in Role if role is not Role.PUBLIC)
LABEL_LENGTH = 100
_LENGTH = 58
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_MODEL = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,64}")
# Between two looks at the file; one that could not be read is tried again as often.
_LOOK_S = 1.0


class KeyRecord(BaseModel):
    """What is stored of one key: one line of the file.

    ``models``: names that it is held to; None for all, none for ``()``. ``replaced_by``: the id of the key that a
    rotation put in its place. ``pepper``: the mark of the pepper that it was hashed with. What bounds a key has no
    default, so that a line that lost such a field is no key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str = Field(pattern=r"^[A-Za-z0-9]{8}$")
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    role: str
    created: datetime
    expires: datetime | None
    disabled: bool
    models: tuple[str, ...] | None
    label: str = Field("", max_length=LABEL_LENGTH)
    replaced_by: str | None = Field(None, pattern=r"^[A-Za-z0-9]{8}$")
    pepper: str = Field("", pattern=r"^([0-9a-f]{8})?$")

    @field_validator("role")
    @classmethod
    def _known_role(cls, value: str) -> str:
        if value not in {role.label for role in KEY_ROLES}:
            raise ValueError("expected readonly, user or admin")
        return value

    @field_validator("created", "expires", mode="before")
    @classmethod
    def _moment(cls, value: Any) -> Any:
        return moment(value) if isinstance(value, str) else value

    @field_validator("created", "expires")
    @classmethod
    def _with_zone(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("expected a time with its zone")
        return value

    @field_validator("models")
    @classmethod
    def _model_names(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if any(not _MODEL.fullmatch(name) for name in value or ()):
            raise ValueError("expected names of letters, digits, '_', '-' and '.', 64 at most")
        return value

    @field_validator("label")
    @classmethod
    def _printable(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("expected a label without control characters")
        return value

    def state(self, now: datetime | None = None) -> str:
        """One of "active", "expired", "revoked"; "replaced" after a rotation, and "retiring" in its grace."""
        over = self.expires is not None and self.expires <= (now or datetime.now(UTC))
        if self.replaced_by is not None:
            return "replaced" if over or self.disabled else "retiring"
        if self.disabled:
            return "revoked"
        return "expired" if over else "active"

    @property
    def in_force(self) -> bool:
        """Whether the key opens anything now."""
        return self.state() in {"active", "retiring"}


def make_key(
    pepper: bytes,
    role: Role,
    *,
    label: str = "",
    expires: datetime | None = None,
    models: tuple[str, ...] | None = None,
) -> tuple[str, KeyRecord]:
    """A fresh key, to be shown once, and what is stored of it. pydantic's ValidationError for a label or a name."""
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    record = KeyRecord(
        id=key_id, hash=_digest(pepper, secret).hex(), role=role.label, created=datetime.now(UTC), expires=expires,
        disabled=False, label=label, models=models, pepper=mark_of(pepper),
    )  # fmt: skip
    return f"rx580_{key_id}_{secret}", record


@dataclass(frozen=True)
class Contents:
    """What a file of keys holds. ``corrupt``: numbers of the lines, from 1, that are no key."""

    records: tuple[KeyRecord, ...]
    corrupt: tuple[int, ...]
    n_lines: int


def parse(content: bytes) -> Contents:
    """One key a line; empty lines count as lines and as nothing else. Of two lines with one id neither is a key."""
    found: dict[str, list[tuple[int, KeyRecord]]] = {}
    corrupt: list[int] = []
    lines = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = KeyRecord.model_validate_json(line)
        except ValueError:
            corrupt.append(number)
        else:
            found.setdefault(record.id, []).append((number, record))
    for twice in [entries for entries in found.values() if len(entries) > 1]:
        corrupt.extend(number for number, _ in twice)
    records = tuple(entries[0][1] for entries in found.values() if len(entries) == 1)
    return Contents(records, tuple(sorted(corrupt)), sum(bool(line.strip()) for line in lines))


def read_keys(path: Path) -> Contents:
    """What the file holds now. FileMissing, FileExposed, FileUnreadable."""
    return parse(read_private(path)[0])


@dataclass(frozen=True)
class Checked:
    """``record``: of a key that holds; else ``why``, for the audit log, and ``key_id`` if the secret was right."""

    record: KeyRecord | None
    why: str = ""
    key_id: str | None = None


@dataclass(frozen=True)
class _Entry:
    record: KeyRecord
    digest: bytes
    expires_s: float


Report = Callable[..., None]


def _unreported(_event: str, **_fields: Any) -> None:
    pass


class Keys:
    """The keys of one file, looked at again at most once a second; threads may share it.

    A file that cannot be read at the start leaves it ``closed``: nothing opens until the file can be read. A file that
    cannot be read any more leaves the last good keys in force. Both are reported to ``report`` as audit events.

    ServeError at the start if there is no file, if others may read it, or if no key in it is in force: each with the
    cure.
    """

    def __init__(self, path: Path, pepper: bytes, report: Report = _unreported) -> None:
        self.path = path
        self._pepper = pepper
        self._report = report
        self._dummy = _digest(pepper, secrets.token_urlsafe(32))
        self._entries: dict[str, _Entry] = {}
        self._closed = True
        self.fault = ""
        self._looking = threading.Lock()
        self._seen = signature(path)
        self._next_look_s = time.monotonic() + _LOOK_S
        try:
            contents = self._read()
        except FileMissing as error:
            raise FileMissing(str(path), f"expected a file of keys, got none; {cure(path)}") from error
        except FileExposed:
            raise
        except FileUnreadable as error:
            self._fail(error.message)
            return
        if not contents.corrupt:
            self._refuse_without_a_key(contents.records)
        self._take(contents)

    @property
    def closed(self) -> bool:
        """Whether no key can be checked, because the file could not be read since the start."""
        self._look()
        return self._closed

    def verify(self, presented: str) -> KeyRecord | None:
        """The record of a key that holds, None for any other."""
        return self.check(presented).record

    def check(self, presented: str) -> Checked:
        """Whether a key is right, in force and not revoked. A wrong one takes as long, whether its id exists or not."""
        self._look()
        if len(presented) != _LENGTH:
            return Checked(None, "malformed")
        match = FORMAT.fullmatch(presented)
        key_id, secret = match.groups() if match else ("", "")
        entry = self._entries.get(key_id)
        right = hmac.compare_digest(_digest(self._pepper, secret), entry.digest if entry else self._dummy)
        if entry is None or not right:
            return Checked(None, "wrong" if match else "malformed")
        if entry.record.disabled:
            return Checked(None, entry.record.state(), key_id)
        if entry.expires_s <= time.time():
            return Checked(None, "expired", key_id)
        return Checked(entry.record)

    def _look(self) -> None:
        """Reads the file again if it has changed. One thread does, the others go on with what was read before."""
        if time.monotonic() < self._next_look_s or not self._looking.acquire(blocking=False):
            return
        try:
            self._next_look_s = time.monotonic() + _LOOK_S
            now = signature(self.path)
            if now == self._seen and not self.fault:
                return
            self._seen = now
            try:
                contents = self._read()
            except ServeError as error:
                self._fail(error.message)
            else:
                self._take(contents)
        finally:
            self._looking.release()

    def _read(self) -> Contents:
        content, self._seen = read_private(self.path)
        contents = parse(content)
        if contents.corrupt and not contents.records:
            raise FileUnreadable(str(self.path), f"expected keys, got {len(contents.corrupt)} lines that are none")
        return contents

    def _fail(self, why: str) -> None:
        known, self.fault = self.fault, why
        if why != known:
            self._report("key file unreadable", why=why, keys=len(self._entries), closed=self._closed)

    def _take(self, contents: Contents) -> None:
        self._entries = {
            one.id: _Entry(one, bytes.fromhex(one.hash), one.expires.timestamp() if one.expires else float("inf"))
            for one in contents.records
        }
        self._closed = False
        self.fault = ""
        if contents.corrupt:
            # Numbers only: a damaged line may hold anything.
            self._report("corrupt keys left out", lines=contents.corrupt[:20], count=len(contents.corrupt))
        self._report("key file read", keys=len(self._entries))

    def _refuse_without_a_key(self, records: Iterable[KeyRecord]) -> None:
        usable = [record for record in records if record.in_force]
        if not usable:
            raise ServeError(str(self.path), f"expected a key that is in force, got none; {cure(self.path)}")
        mark = mark_of(self._pepper)
        if all(record.pepper not in ("", mark) for record in usable):
            raise ServeError(
                str(self.path), "expected keys of this pepper, got keys of another; --pepper-file names theirs"
            )


def cure(path: Path) -> str:
    """What to do about a file without a key."""
    return f"make one by: rx580lab keys create --role user --keys {path}"


def _digest(pepper: bytes, secret: str) -> bytes:
    return hmac.digest(pepper, secret.encode(), "sha256")
