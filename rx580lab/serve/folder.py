"""What lies in the folder of models, and what may be served of it: nothing hidden, nothing outside, no odd names."""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rx580lab.errors import ServeError
from rx580lab.serve.refusal import Refusal

__all__ = ["MODEL", "NAME", "VERSION", "Found", "Uploads", "check_folder", "labels_of", "scan"]

NAME = re.compile(r"(?!\.)[A-Za-z0-9_.-]{1,64}")
VERSION = re.compile(r"\d{1,9}")
MODEL = "model.onnx"
LABELS = "labels.txt"
LARGEST_LABELS_BYTES = 4 << 20


@dataclass(frozen=True)
class Found:
    """A version in a folder; whether it may be served is told when it is loaded."""

    name: str
    version: str
    path: Path


def check_folder(root: Path) -> None:
    """ServeError where there is no folder: a name that is mistyped must not become a server of nothing."""
    if not root.is_dir():
        raise ServeError("models", f"expected a folder of NAME/VERSION/{MODEL}, got {root}, which is none")


def scan(root: Path) -> list[Found]:
    """All versions of all models: ``root/<name>/<version>/model.onnx``."""
    found = []
    for path in sorted(root.glob(f"*/*/{MODEL}")):
        name, version = path.parts[-3:-1]
        if NAME.fullmatch(name) and VERSION.fullmatch(version):
            found.append(Found(name, version, path))
    return found


def labels_of(path: Path, root: Path) -> tuple[str, ...]:
    """Lines of ``labels.txt`` beside a model; none where there is none, or it lies elsewhere or is no text."""
    beside = path.with_name(LABELS)
    try:
        if (
            not beside.is_file()
            or not beside.resolve().is_relative_to(root.resolve())
            or beside.stat().st_size > LARGEST_LABELS_BYTES
        ):
            return ()
        return tuple(beside.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return ()


class Uploads:
    """Files that came with load requests, in a private folder that ends with the server."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._number = 0

    def write(self, name: str, files: Mapping[str, bytes]) -> Path:
        """A folder with ``<name>/<version>/<file>`` for keys ``<version>/<file>``.

        Refusal 400 for any other key, and without a model file.
        """
        if not NAME.fullmatch(name):
            raise Refusal(400, "models", "expected a name of letters, digits, _, . and -, which does not begin with .")
        for key in files:
            version, _, file = key.partition("/")
            if not VERSION.fullmatch(version) or not NAME.fullmatch(file):
                raise Refusal(400, name, f"expected files as <version>/{MODEL}, got {key[:80]!r}")
        if not any(key.endswith(f"/{MODEL}") for key in files):
            raise Refusal(400, name, f"expected a file <version>/{MODEL} among those that came along")
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="rx580lab-models-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._number += 1
        root = self._folder / str(self._number)
        for key, data in files.items():
            path = root / name / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return root
