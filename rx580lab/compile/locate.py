"""Where the kernels are, and a kernel's full source text: macros first, includes expanded, lines kept."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from rx580lab.errors import BuildError

__all__ = ["expanded_source", "kernel_files", "kernel_source", "kernels_dir"]

Macro = int | float | str

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"[ \t]*$')
_PACKAGE = Path(__file__).resolve().parent.parent
# A kernel's path -> the files that its text is made of as they were, and the text; it is made again if one changes.
_TEXTS: dict[Path, tuple[Mapping[Path, tuple[int, ...]], str]] = {}
_MACRO_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def kernels_dir() -> Path:
    """The folder with the ``.cl`` files: ``RX580LAB_KERNELS``, a checkout's ``kernels/``, or the installed wheel's."""
    asked = os.environ.get("RX580LAB_KERNELS")
    places = [Path(asked)] if asked else [_PACKAGE / "_kernels", _PACKAGE.parent / "kernels"]
    for place in places:
        if (place / "include").is_dir():
            return place
    raise BuildError(
        "compile", f"expected a folder with kernels and include/, got none at {', '.join(map(str, places))}"
    )


def kernel_files() -> list[Path]:
    """All ``.cl`` and ``.h`` files, sorted: what a hash of the kernels covers."""
    root = kernels_dir()
    return sorted([*root.glob("*.cl"), *(root / "include").glob("*.h")])


def kernel_source(name: str, macros: Mapping[str, Macro] | None = None) -> str:
    """The text of ``kernels/<name>.cl`` as the compiler gets it.

    Macros become ``#define`` lines, ``#include "x.h"`` is replaced by ``kernels/include/x.h`` (once per text), and
    ``#line`` marks keep every message at the kernel's own file and line. So the text alone says what is built, and no
    driver has to understand an include path.
    """
    root = kernels_dir()
    path = root / f"{name}.cl"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in root.glob("*.cl")))
        raise BuildError("compile", f"expected one of the kernels {known}, got {name!r}")
    defines = [_define(name, key, value) for key, value in (macros or {}).items()]
    return "\n".join([*defines, _text(path, root / "include")]) + "\n"


def _text(path: Path, include: Path) -> str:
    """A kernel's text with its includes; read again only after a file of it has changed."""
    stamps, text = _TEXTS.get(path, ({}, ""))
    if stamps and all(_stamp(one) == stamp for one, stamp in stamps.items()):
        return text
    seen: set[Path] = set()
    before = _stamp(path)
    text = _expanded(path.read_text(encoding="utf-8"), path.name, 1, include, seen)
    _TEXTS[path] = ({path: before, **{one: _stamp(one) for one in seen}}, text)
    return text


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when somebody writes a file; empty for one that is gone."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def expanded_source(text: str, name: str, macros: Mapping[str, Macro] | None = None, first_line: int = 1) -> str:
    """A text of one's own as the compiler gets it, treated as ``kernel_source`` treats a file of ``kernels/``.

    Messages call it ``name`` and number its lines from ``first_line``.
    """
    defines = [_define(name, key, value) for key, value in (macros or {}).items()]
    return "\n".join([*defines, _expanded(text, name, first_line, kernels_dir() / "include", set())]) + "\n"


def _define(kernel: str, key: str, value: Macro) -> str:
    text = str(int(value)) if isinstance(value, bool) else str(value)
    if not _MACRO_NAME.match(key) or "\n" in text:
        raise BuildError("compile", f"[{kernel}] expected a macro name and a one-line value, got {key!r}={value!r}")
    return f"#define {key} {text}"


def _expanded(text: str, name: str, first_line: int, include: Path, seen: set[Path]) -> str:
    lines = [f'#line {first_line} "{name}"']
    for number, line in enumerate(text.splitlines(), start=first_line):
        found = _INCLUDE.match(line)
        if not found:
            lines.append(line)
            continue
        header = include / found.group(1)
        if not header.is_file():
            raise BuildError("compile", f'{name}:{number}: expected a file of kernels/include, got "{found.group(1)}"')
        if header not in seen:
            seen.add(header)
            lines.append(_expanded(header.read_text(encoding="utf-8"), header.name, 1, include, seen))
        lines.append(f'#line {number + 1} "{name}"')
    return "\n".join(lines)
