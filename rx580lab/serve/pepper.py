"""The secret that stored keys are hashed with. It lies apart from them, so that a stolen file of keys is of no use."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from rx580lab.errors import ServeError

__all__ = ["make_pepper", "read_pepper"]

_BYTES = 32


def read_pepper(path: Path) -> bytes:
    """ServeError where it cannot be read or is none."""
    try:
        pepper = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise ServeError(str(path), f"expected the pepper of the keys, got: {error}; --pepper-file names it") from error
    if len(pepper) < _BYTES:
        raise ServeError(str(path), f"expected a pepper of {_BYTES} bytes, got {len(pepper)}")
    return pepper


def make_pepper(path: Path) -> bytes:
    """The pepper at ``path``; made at the first call, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_pepper(path)
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(secrets.token_hex(_BYTES) + "\n")
    return read_pepper(path)
