"""Clocks, temperature and power from the Linux kernel's files, where a card has them; a reason where not.

Source: the kernel's amdgpu documentation (hwmon interfaces, pp_dpm_*, gpu_busy_percent, mem_info_vram_used). Read
against fake trees in the tests; it has not met a real card yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rx580lab.results.folder import utc_now
from rx580lab.results.records import Sensors

if TYPE_CHECKING:
    from rx580lab.device import Device

__all__ = ["find_card", "sensors", "shader_clock_reader"]

SYS = Path("/sys")
PROC = Path("/proc")
_AMD_VENDOR = "0x1002"
_DISPLAY_CLASS = "0x03"
# The active level carries a star: "2: 1340Mhz *".
_ACTIVE_LEVEL = re.compile(r"^\s*\d+:\s*(\d+(?:\.\d+)?)\s*mhz\s*\*", re.IGNORECASE | re.MULTILINE)
_CARD_FIELDS = (
    "shader_clock_mhz",
    "memory_clock_mhz",
    "temperature_c",
    "power_w",
    "vram_used_bytes",
    "gpu_busy_percent",
)


def find_card(device: Device | None, sys: Path = SYS) -> tuple[Path | None, str | None]:
    """The folder of the card's PCI function in sysfs, or None and the reason.

    Matched by the PCI address that the driver tells. A driver that tells none is given the only AMD card of the
    machine; of several, none, since the wrong card's temperature is worse than no temperature.
    """
    if device is None or device.device_class == "cpu":
        return None, "the work runs on the CPU, which has no card's sensors"
    devices = sys / "bus" / "pci" / "devices"
    address = device.fingerprint.get("pci_address")
    if address:
        card = devices / str(address)
        return (card, None) if card.is_dir() else (None, f"sysfs has no PCI device {address}")
    cards = [
        path
        for path in sorted(devices.glob("*"))
        if _text(path / "vendor") == _AMD_VENDOR and (_text(path / "class") or "").startswith(_DISPLAY_CLASS)
    ]
    if len(cards) == 1:
        return cards[0], None
    return None, f"the driver tells no PCI address, and the machine has {len(cards)} AMD cards"


def sensors(device: Device | None, *, sys: Path = SYS, proc: Path = PROC) -> Sensors:
    """What the card and the CPU say at this moment. ``sys`` and ``proc`` are where those file systems are mounted."""
    missing: dict[str, str] = {}
    found: dict[str, float | int | None] = dict.fromkeys(_CARD_FIELDS)
    card, why_not = find_card(device, sys)
    if card is None:
        missing.update(dict.fromkeys(_CARD_FIELDS, why_not or "no card"))
    else:
        found.update(_card_readings(card))
        missing.update({name: f"{card.name} has no readable {name}" for name in _CARD_FIELDS if found[name] is None})
    cpu_clock = _cpu_clock_mhz(sys, proc)
    if cpu_clock is None:
        missing["cpu_clock_mhz"] = "neither cpufreq nor /proc/cpuinfo tells a clock"
    load = _number(proc / "loadavg")
    if load is None:
        missing["load_1min"] = "/proc/loadavg cannot be read"
    return Sensors.model_validate(
        {"at": utc_now(), **found, "cpu_clock_mhz": cpu_clock, "load_1min": load, "missing": missing}
    )


def shader_clock_reader(device: Device | None, sys: Path = SYS) -> Callable[[], float | None] | None:
    """A function that reads the card's shader clock in MHz, for the stopwatch; None where there is none to read."""
    card, _ = find_card(device, sys)
    if card is None or _shader_clock_mhz(card) is None:
        return None
    return lambda: _shader_clock_mhz(card)


def _card_readings(card: Path) -> dict[str, float | int | None]:
    monitor = _monitor(card)
    vram = _number(card / "mem_info_vram_used")
    power_uw = _number(monitor / "power1_average", monitor / "power1_input") if monitor else None
    millidegrees = _number(monitor / "temp1_input") if monitor else None
    memory_hz = _number(monitor / "freq2_input") if monitor else None
    return {
        "shader_clock_mhz": _shader_clock_mhz(card),
        "memory_clock_mhz": _scaled(memory_hz, 1e6) or _active_level(card / "pp_dpm_mclk"),
        "temperature_c": _scaled(millidegrees, 1e3),
        "power_w": _scaled(power_uw, 1e6),
        "vram_used_bytes": None if vram is None else int(vram),
        "gpu_busy_percent": _number(card / "gpu_busy_percent"),
    }


def _shader_clock_mhz(card: Path) -> float | None:
    # freq1 is measured, the DPM level is what was asked for; a throttled card shows the difference.
    monitor = _monitor(card)
    hertz = _number(monitor / "freq1_input") if monitor else None
    return _scaled(hertz, 1e6) or _active_level(card / "pp_dpm_sclk")


def _monitor(card: Path) -> Path | None:
    for path in sorted((card / "hwmon").glob("hwmon*")):
        if _text(path / "name") == "amdgpu":
            return path
    return None


def _active_level(path: Path) -> float | None:
    found = _ACTIVE_LEVEL.search(_text(path) or "")
    return float(found.group(1)) if found else None


def _cpu_clock_mhz(sys: Path, proc: Path) -> float | None:
    """The mean over the cores, MHz."""
    policies = (sys / "devices" / "system" / "cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq")
    kilohertz = [value for value in (_number(path) for path in policies) if value is not None]
    if kilohertz:
        return sum(kilohertz) / len(kilohertz) / 1e3
    listed = re.findall(r"^cpu MHz\s*:\s*([\d.]+)", _text(proc / "cpuinfo") or "", re.MULTILINE)
    return sum(map(float, listed)) / len(listed) if listed else None


def _scaled(value: float | None, divisor: float) -> float | None:
    return None if value is None else value / divisor


def _number(*paths: Path) -> float | None:
    """The first number in the first of ``paths`` that holds one."""
    for path in paths:
        words = (_text(path) or "").split()
        try:
            return float(words[0])
        except (IndexError, ValueError):
            continue
    return None


def _text(path: Path) -> str | None:
    # amdgpu answers EBUSY or EIO for a card that sleeps: then the reading is missing, which is no error.
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
