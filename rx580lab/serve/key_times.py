"""Times of keys: ISO 8601 with a zone, or how long from now. What is neither is refused, never taken for endless."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

__all__ = ["duration", "expiry", "moment"]

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_DURATION = re.compile(r"([1-9]\d{0,5})([dhm])", re.ASCII)
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def moment(text: str) -> datetime:
    """A time such as 2027-01-31T12:00Z or 2027-01-31T12:00:00+02:00. ValueError for anything else."""
    if not _MOMENT.fullmatch(text):
        raise ValueError("expected a time with its zone, such as 2027-01-31T12:00Z")
    return datetime.fromisoformat(text)


def duration(text: str) -> timedelta:
    """30d, 12h or 90m. ValueError for anything else."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("expected a duration such as 30d, 12h or 90m")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def expiry(text: str, now: datetime | None = None) -> datetime:
    """When a key ends that is made now: a duration from now, or a moment, which must lie ahead. ValueError else."""
    now = now or datetime.now(UTC)
    try:
        end = now + duration(text) if _DURATION.fullmatch(text) else moment(text)
    except OverflowError as error:
        raise ValueError("expected a time before the year 10000") from error
    except ValueError as error:
        raise ValueError("expected a duration such as 30d or 12h, or a time such as 2027-01-31T12:00Z") from error
    if end <= now:
        raise ValueError("expected a time ahead, got one that has passed")
    return end
