"""PoCL links each kernel by running ``ld``; without it the whole process aborts.

Where ``ld`` is missing and the ``ziglang`` package is installed, a small script named ``ld`` that calls zig's LLD
takes its place, first on PATH of this process only.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from pathlib import Path

from rx580lab.device.cache import cache_dir
from rx580lab.results.files import atomic_write

__all__ = ["CURE", "linker_identity", "use_zig_linker", "zig_available", "zig_path"]

CURE = (
    "PoCL links every kernel with `ld`, which it did not find or could not use. Either install it "
    "(Debian, Ubuntu: apt install binutils libgcc-12-dev libc6-dev; Fedora: dnf install gcc), "
    "or let zig link: pip install ziglang==0.13.0"
)

# LLD resolves PoCL's builtins by itself; these libraries come with a compiler that such a machine lacks.
_DROPPED = ("-lgcc", "-lgcc_s", "-lc", "-lm", "--as-needed", "--no-as-needed")

_SCRIPT = """#!/bin/sh
# Written by rx580lab: PoCL runs `ld`, this machine has none, so zig's LLD links. Safe to delete.
for argument do
    shift
    case "$argument" in
        {dropped}) ;;
        *) set -- "$@" "$argument" ;;
    esac
done
exec {python} -m ziglang ld.lld "$@"
"""


def zig_available() -> bool:
    """Whether the ziglang package is installed beside us."""
    return importlib.util.find_spec("ziglang") is not None


def zig_path() -> str:
    """Writes the ``ld`` script (once) and returns a PATH that finds it first."""
    folder = _folder()
    script = folder / "ld"
    text = _SCRIPT.format(dropped="|".join(_DROPPED), python=shlex.quote(sys.executable))
    if not script.is_file() or script.read_text(encoding="utf-8") != text or not os.access(script, os.X_OK):
        atomic_write(script, text, mode=0o755, lasting=False)
    return os.pathsep.join([str(folder), *_path_without(folder)])


def use_zig_linker() -> None:
    """Makes zig the linker of this process and its children."""
    os.environ["PATH"] = zig_path()


def linker_identity() -> str:
    """Which ``ld`` PATH gives, and its age: part of a probe's key, so that a linker that goes away is noticed."""
    found = shutil.which("ld", path=os.pathsep.join(_path_without(_folder())))
    if found is None:
        return "no ld" + (", ziglang" if zig_available() else "")
    return f"{found} {Path(found).stat().st_mtime_ns}"


def _folder() -> Path:
    return cache_dir("linker")


def _path_without(folder: Path) -> list[str]:
    return [part for part in os.environ.get("PATH", "").split(os.pathsep) if part and part != str(folder)]
