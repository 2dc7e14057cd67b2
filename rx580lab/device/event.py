"""Events: when the device queued, began and ended a kernel, in nanoseconds of the device's clock."""

from __future__ import annotations

from typing import Any

import pyopencl as cl

from rx580lab.errors import LaunchFailed

__all__ = ["Event"]


class Event:
    """One enqueued kernel or copy. Times need ``Device.event_clock``; reading one waits for the end."""

    __slots__ = ("_event",)

    def __init__(self, event: Any) -> None:
        self._event = event

    def wait(self) -> Event:
        """Blocks until the work is done; LaunchFailed if the device gave up on it."""
        try:
            self._event.wait()
        except cl.Error as error:
            raise LaunchFailed("device", f"the work did not end well: {error}") from error
        return self

    def _stamp(self, name: str) -> int:
        self.wait()
        try:
            return int(getattr(self._event.profile, name))
        except cl.Error as error:
            raise LaunchFailed("device", f"no timestamp {name!r}: {error}; see Device.event_clock_reason") from error

    @property
    def queued_ns(self) -> int:
        """When the host queued it, ns."""
        return self._stamp("queued")

    @property
    def submit_ns(self) -> int:
        """When it went to the device, ns."""
        return self._stamp("submit")

    @property
    def start_ns(self) -> int:
        """When it began, ns."""
        return self._stamp("start")

    @property
    def end_ns(self) -> int:
        """When it ended, ns."""
        return self._stamp("end")

    @property
    def duration_ns(self) -> int:
        """From begin to end, ns."""
        return self.end_ns - self.start_ns
