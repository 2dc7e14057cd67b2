"""The secret that stored keys are hashed with. It lies apart from them, so that a stolen file of keys is of no use."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from pathlib import Path

from rx580lab.errors import ServeError
from rx580lab.serve.private_files import FileMissing, locked, read_private, write_private

__all__ = ["make_pepper", "mark_of", "read_pepper"]

_BYTES = 32
_PEPPER = re.compile(rb"([0-9a-f]{64})\n?")


def read_pepper(path: Path) -> bytes:
    """The 32 bytes. ServeError where it is missing, readable by others, or none."""
    try:
        content, _ = read_private(path)
    except FileMissing as error:
        raise FileMissing(
            str(path), "expected the pepper that keys were made with, got no file; --pepper-file names another place"
        ) from error
    match = _PEPPER.fullmatch(content)
    if match is None:
        raise ServeError(str(path), f"expected a pepper of {2 * _BYTES} hexadecimal digits, got something else")
    return bytes.fromhex(match[1].decode())


def make_pepper(path: Path) -> bytes:
    """The pepper at ``path``; made at the first call, readable by its owner only. ServeError as ``read_pepper``."""
    if not path.exists():
        with locked(path):
            if not path.exists():  # another process may have been quicker
                write_private(path, secrets.token_hex(_BYTES).encode() + b"\n")
    return read_pepper(path)


def mark_of(pepper: bytes) -> str:
    """Eight hex digits that tell one pepper from another and say nothing about either."""
    return hmac.digest(pepper, b"rx580lab: which pepper", hashlib.sha256).hex()[:8]
