"""Who gives ops the memory in which they keep what only their own launches need."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

import numpy as np

from rx580lab.device.array import Array

__all__ = ["ScratchSource", "scratch_from", "scratch_source"]

# (shape, dtype, keep) -> an array, perhaps one whose memory is chosen later.
ScratchSource: TypeAlias = Callable[[tuple[int, ...], np.dtype[Any], Hashable | None], Array]

_SOURCE: ContextVar[ScratchSource | None] = ContextVar("scratch_source", default=None)


@contextmanager
def scratch_from(source: ScratchSource | None) -> Iterator[None]:
    """``Device.scratch`` of this thread asks ``source`` meanwhile; None: it allocates, as ever."""
    before = _SOURCE.set(source)
    try:
        yield
    finally:
        _SOURCE.reset(before)


def scratch_source() -> ScratchSource | None:
    """What ``scratch_from`` set."""
    return _SOURCE.get()
