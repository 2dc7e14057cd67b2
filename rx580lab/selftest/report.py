"""What a selftest found, ready for a table or for JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["OpLine", "SelftestReport", "Soak"]


@dataclass(frozen=True)
class OpLine:
    """One template of one op.

    Attributes:
        ok: False when it is wrong. A template that cannot run on this device is ok with ``n_cases`` 0 and its reason.
        reason: why it failed, with the case; or why it did not run; None when it passed.
        worst_share: the largest error of all cases as a share of its tolerance; None where none was measured.
        left_out: "case: why" for each case that this template or device cannot take.
    """

    op: str
    template: str
    n_cases: int
    ok: bool
    reason: str | None
    worst_share: float | None
    left_out: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Soak:
    """Repeats on the warm device, each compared bit for bit with the first. ``n_repeats`` counts comparisons."""

    seconds: float
    n_repeats: int
    n_cases: int
    ok: bool
    first_difference: str | None

    def __str__(self) -> str:
        verdict = "all identical" if self.ok else self.first_difference or "nothing passed that could be repeated"
        return f"{self.n_repeats} repeats of {self.n_cases} cases in {self.seconds:.0f} s: {verdict}"


@dataclass(frozen=True)
class SelftestReport:
    """Everything a selftest found. ``device`` is the selector, ``fingerprint`` the driver it was true for."""

    ok: bool
    lines: list[OpLine]
    device: str
    fingerprint: dict[str, Any]
    seconds: float
    soak: Soak | None = None
    faults: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, dicts, strings and numbers."""
        return asdict(self)
