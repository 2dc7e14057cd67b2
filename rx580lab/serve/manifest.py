"""``SHA256SUMS`` in the folder of models: what may be loaded, byte for byte, as ``sha256sum`` writes it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from rx580lab.errors import ServeError

__all__ = ["FILE", "Manifest"]

FILE = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64}) [ *](?:\./)?(\S.*)")


class Manifest:
    """The list as it is now. ServeError where it is missing or a line is wrong."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sums: dict[str, str] = {}
        try:
            lines = (root / FILE).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ServeError(FILE, f"expected a file that can be read: {type(error).__name__}") from error
        for number, line in enumerate(lines, 1):
            found = _LINE.fullmatch(line)
            if found is None:
                raise ServeError(FILE, f"line {number}: expected a sha256 sum and a path, as sha256sum writes them")
            self._sums[found[2]] = found[1]

    def check(self, folder: Path) -> None:
        """Every file of a folder, hidden ones apart, is listed and is what the list says. ServeError names the first
        that is not.
        """
        for path in sorted(folder.rglob("*")):
            if not path.is_dir() and not path.name.startswith("."):
                self.check_file(path)

    def check_file(self, path: Path) -> None:
        """As ``check``, for one file."""
        inside = path.relative_to(self._root).as_posix()
        expected = self._sums.get(inside)
        if expected is None:
            raise ServeError(FILE, f"expected {inside} to be listed, got no line for it")
        try:
            with path.open("rb") as stream:
                got = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ServeError(FILE, f"expected {inside} to be read: {type(error).__name__}") from error
        if got != expected:
            raise ServeError(FILE, f"expected {inside} of sha256 {expected[:12]}, got {got[:12]}")
