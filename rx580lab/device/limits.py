"""Limits of a device: the driver's own, or tighter ones that emulate a smaller card."""

from __future__ import annotations

from dataclasses import dataclass, fields

from rx580lab.errors import InputError

__all__ = ["LIMITS", "Limits", "parse_limits"]

GIB = 1 << 30


@dataclass(frozen=True)
class Limits:
    """What a device allows; ``None`` leaves the driver's own limit in force.

    Attributes:
        memory_bytes: all live arrays together, in bytes.
        allocation_bytes: the largest single array, in bytes.
        lds_bytes: local memory (LDS) of one work-group, in bytes.
        work_group: the largest number of work-items in one work-group.
    """

    memory_bytes: int | None = None
    allocation_bytes: int | None = None
    lds_bytes: int | None = None
    work_group: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value <= 0):
                raise InputError("limits", f"expected {field.name} to be a positive integer or None, got {value!r}")

    def tightened(self, other: Limits) -> Limits:
        """The stricter of both, field by field."""

        def stricter(name: str) -> int | None:
            values = [v for v in (getattr(self, name), getattr(other, name)) if v is not None]
            return min(values, default=None)

        return Limits(**{field.name: stricter(field.name) for field in fields(self)})

    def as_dict(self) -> dict[str, int | None]:
        """Field name -> bytes or work-items; None where nothing is set."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


# RX 580, 8 GB. Work-group and LDS are the tighter of what its drivers report (256/1024 and 32/64 KiB); the largest
# allocation is the one that AMD-APP reports on this card.
LIMITS: dict[str, Limits] = {
    "rx580": Limits(memory_bytes=8 * GIB, allocation_bytes=4_244_635_648, lds_bytes=32 << 10, work_group=256),
}


def parse_limits(limits: Limits | str | None) -> Limits:
    """``Limits`` as they are, a preset by its name (``"rx580"``), or no limits for ``None`` and ``""``."""
    if limits is None or limits == "":
        return Limits()
    if isinstance(limits, Limits):
        return limits
    if limits.lower() not in LIMITS:
        raise InputError("limits", f"expected one of {', '.join(sorted(LIMITS))}, got {limits!r}")
    return LIMITS[limits.lower()]
