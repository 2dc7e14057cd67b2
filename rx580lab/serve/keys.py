"""Keys: their format, the file that holds their hashes, and the check.

A key reads ``rx580_<id, 8 letters and digits>_<secret, 43 letters, digits, - and _>``; the prefix lets scanners of
secrets find it. The file holds one key a line as JSON, mode 0600, never the secret: HMAC-SHA256 of it under the pepper,
which lies elsewhere. A secret of 256 random bits needs no slow hash, which would be a lever for denial of service.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from rx580lab.errors import ServeError
from rx580lab.serve.roles import Role

__all__ = ["FORMAT", "KeyRecord", "Keys", "make_key"]

FORMAT = re.compile(r"rx580_([A-Za-z0-9]{8})_([A-Za-z0-9_-]{43})")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class KeyRecord(BaseModel):
    """What is stored of one key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    hash: str
    role: str
    created: datetime
    expires: datetime | None = None
    disabled: bool = False
    label: str = ""
    models: tuple[str, ...] | None = None


def make_key(
    pepper: bytes,
    role: Role,
    *,
    label: str = "",
    expires: datetime | None = None,
    models: tuple[str, ...] | None = None,
) -> tuple[str, KeyRecord]:
    """A fresh key, to be shown once, and what is stored of it."""
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    record = KeyRecord(
        id=key_id, hash=_hash(pepper, secret), role=role.label, created=datetime.now(UTC), expires=expires,
        label=label, models=models,
    )  # fmt: skip
    return f"rx580_{key_id}_{secret}", record


class Keys:
    """The keys of one file, read again when it changes."""

    def __init__(self, path: Path, pepper: bytes) -> None:
        self.path = path
        self._pepper = pepper
        self._dummy = _hash(pepper, "")
        self._records = {record.id: record for record in _read(path)}

    def verify(self, presented: str) -> KeyRecord | None:
        """The record of a key that is right, in force and not disabled; None for any other, in the same time."""
        match = FORMAT.fullmatch(presented)
        key_id, secret = match.groups() if match else ("", "")
        record = self._records.get(key_id)
        stored = record.hash if record else self._dummy
        right = hmac.compare_digest(_hash(self._pepper, secret), stored)
        if record is None or not right or record.disabled:
            return None
        if record.expires is not None and record.expires <= datetime.now(UTC):
            return None
        return record


def _hash(pepper: bytes, secret: str) -> str:
    return hmac.new(pepper, secret.encode(), hashlib.sha256).hexdigest()


def _read(path: Path) -> list[KeyRecord]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ServeError(str(path), f"expected a file of keys, got: {error}; rx580lab keys create makes one") from error
    return [KeyRecord.model_validate_json(line) for line in lines if line.strip()]
