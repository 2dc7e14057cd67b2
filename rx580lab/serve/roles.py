"""Who may do what: four roles in a row, each of which may do all that the ones before it may."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Role"]


class Role(IntEnum):
    """``PUBLIC`` needs no key. The value is the order, never stored: files and the wire hold the lower-case name."""

    PUBLIC = 0
    READONLY = 1
    USER = 2
    ADMIN = 3

    @property
    def label(self) -> str:
        """The name as files and documents hold it."""
        return self.name.lower()
