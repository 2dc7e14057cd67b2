"""The control that names a device, and the device list as a child process tells it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import ipywidgets

from rx580lab.device import DeviceInfo, list_devices
from rx580lab.errors import LabError, ProbeFailed

__all__ = ["described_devices", "device_choice"]

_LIST_TIMEOUT_S = 300.0


def device_choice(device: str | None, on_known: Callable[[DeviceInfo], None] | None = None) -> ipywidgets.Combobox:
    """A text field with the names that are here to choose from; they are filled in when they are known.

    ``on_known`` is then told the best device, from another thread.
    """
    field = ipywidgets.Combobox(
        value=device or "",
        description="Device",
        placeholder="the best one here",
        tooltip='Name of the device, such as "pocl" or "RX 580"; empty takes the best one here',
        ensure_option=False,
    )

    def fill() -> None:
        # A broken implementation makes listing fail; the name can still be typed, and the run says what is wrong.
        with suppress(LabError):
            here = [info for info in list_devices(probe=False) if info.name is not None]
            field.options = tuple(info.selector for info in here)
            if on_known is not None and here:
                on_known(here[0])

    threading.Thread(target=fill, daemon=True, name="rx580lab-device-names").start()
    return field


def described_devices() -> list[dict[str, Any]]:
    """What ``rx580lab devices --json`` says, best first; asked in a process of its own each time, so that a card that
    came or went is noticed and a driver that crashes takes nothing with it.

    Raises ProbeFailed with the reason when it tells nothing.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "rx580lab.cli", "devices", "--json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIST_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProbeFailed("devices", f"the drivers did not answer within {_LIST_TIMEOUT_S:.0f} s") from None
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)
    except ValueError:
        said = " ".join(done.stderr.split())[-600:] or f"exit status {done.returncode}"
        raise ProbeFailed("devices", said.removeprefix("rx580lab: ")) from None
    return found
