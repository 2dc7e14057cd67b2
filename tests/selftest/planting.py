"""Faults planted by hand into a copy of the kernels, to see that the checks see them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from rx580lab.compile import kernels_dir

__all__ = ["Fault", "plant"]


@dataclass(frozen=True)
class Fault:
    """A textual change of one kernel file and who must notice it, with what reason.

    Attributes:
        old, new: every occurrence of ``old`` is replaced, and ``old`` must occur.
        op: the op to test. templates: those that must fail, and no others. reason: a part of what each must say.
    """

    name: str
    file: str
    old: str
    new: str
    op: str
    templates: frozenset[str]
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.file})"


def plant(fault: Fault, folder: Path) -> Path:
    """A copy of ``kernels/`` in ``folder`` with the fault in it."""
    root = folder / "kernels"
    shutil.copytree(kernels_dir(), root)
    path = root / fault.file
    text = path.read_text(encoding="utf-8")
    assert fault.old in text, f"{fault}: its text is gone from the kernel, plant it anew: {fault.old!r}"
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    return root
