"""Keys of a server as ``rx580lab keys`` makes, lists and revokes them: the command, for notebooks and panels."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rx580lab.errors import ServeError

__all__ = ["list_keys", "make_key", "revoke_key"]

_TIMEOUT_S = 60.0


def make_key(
    role: str, keys_file: Path, pepper_file: Path | None = None, *, label: str = "", expires: str | None = None
) -> str:
    """A fresh key, told this once.

    Args:
        role: "readonly", "user" or "admin".
        keys_file: where its hash is kept; made where there is none.
        pepper_file: what it is hashed with; None takes the one in the folder of state.
        label: whose it is, or what for.
        expires: "30d", "12h", or a time with its zone; None: never.

    Raises ServeError where the command refuses.
    """
    options = ["--role", role, "--keys", str(keys_file)]
    options += ["--pepper-file", str(pepper_file)] if pepper_file is not None else []
    options += ["--label", label] if label else []
    options += ["--expires", expires] if expires else []
    return _keys("create", *options).strip()


def list_keys(keys_file: Path) -> list[dict[str, Any]]:
    """What is stored of each key, but its hash: ``id``, ``role``, ``state``, ``label``, ``created``, ``expires``."""
    found: list[dict[str, Any]] = json.loads(_keys("list", "--json", "--keys", str(keys_file)))
    return found


def revoke_key(key_id: str, keys_file: Path) -> None:
    """Ends a key. A server that runs closes to it within a second or two."""
    _keys("revoke", key_id, "--keys", str(keys_file))


def _keys(*arguments: str) -> str:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "rx580lab.cli", "keys", *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ServeError("keys", f"expected the command to end within {_TIMEOUT_S:.0f} s, got no end") from None
    if done.returncode:
        raise ServeError("keys", last_words(done.stderr.splitlines()) or f"exit status {done.returncode}")
    return done.stdout


def last_words(log: Sequence[str]) -> str:
    """The last lines in one, short enough to show."""
    lines = [line.strip() for line in log[-8:] if line.strip()]
    return " ".join(lines)[-800:].removeprefix("rx580lab: ")
