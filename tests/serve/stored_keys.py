"""A file of keys for tests, and a clock that is told when time passes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rx580lab.serve import key_file
from rx580lab.serve.keys import KeyRecord, make_key
from rx580lab.serve.roles import Role

PEPPER = bytes(range(32))


class Clock:
    """In place of ``time``, for what asks ``monotonic``: a second passes when it is told to."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def monotonic(self) -> float:
        return 1000.0 + self.passed_s

    def time(self) -> float:
        return time.time() + self.passed_s


def stored(path: Path, role: Role = Role.USER, **options: Any) -> tuple[str, KeyRecord]:
    key, record = make_key(PEPPER, role, **options)
    key_file.add(path, record)
    return key, record
