"""Where rx580lab keeps what it can make again: probes, built kernels, the linker script."""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path

import platformdirs

__all__ = ["cache_dir", "data_dir"]


def cache_dir(name: str) -> Path:
    """A folder in the user's cache; ``RX580LAB_CACHE`` moves it. Read-only homes get one that ends with the process."""
    root = os.environ.get("RX580LAB_CACHE") or platformdirs.user_cache_dir("rx580lab", appauthor=False)
    folder = Path(root) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(_process_folder().name) / name
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@lru_cache(maxsize=1)
def _process_folder() -> tempfile.TemporaryDirectory[str]:
    # Private to this user and process: a predictable name under /tmp could be planted by somebody else.
    return tempfile.TemporaryDirectory(prefix="rx580lab-", ignore_cleanup_errors=True)


def data_dir() -> Path:
    """The user's data folder (tuned entries); ``RX580LAB_DATA`` moves it. Not created here."""
    root = os.environ.get("RX580LAB_DATA") or platformdirs.user_data_dir("rx580lab", appauthor=False)
    return Path(root)
