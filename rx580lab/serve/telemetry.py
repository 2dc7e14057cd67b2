"""What the device and its card say at a scrape: memory, temperature, power, clocks. What is not told is not exported.

The kernel's files are read by a thread of its own: a card that sleeps, or a driver that hangs, holds up no scrape.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import rx580lab
from rx580lab.device import Device, sensors
from rx580lab.results.records import Sensors

__all__ = ["DeviceCollector"]

# Field of Sensors -> name, what it is, factor to Prometheus's base unit.
_READINGS: Mapping[str, tuple[str, str, float]] = {
    "temperature_c": ("rx580_card_temperature_celsius", "Temperature of the card", 1.0),
    "power_w": ("rx580_card_power_watts", "Power that the card draws", 1.0),
    "shader_clock_mhz": ("rx580_card_shader_clock_hertz", "Clock of the compute units", 1e6),
    "memory_clock_mhz": ("rx580_card_memory_clock_hertz", "Clock of the card's memory", 1e6),
    "vram_used_bytes": ("rx580_card_vram_used_bytes", "Memory of the card that all its users hold", 1.0),
    "gpu_busy_percent": ("rx580_card_busy_ratio", "Share of the time that the card is at work", 0.01),
}


class DeviceCollector(Collector):
    """For a registry.

    Args:
        sys: where sysfs is mounted. proc: where procfs is.
        fresh_s: a younger reading is given again. patience_s: how long a scrape waits for a reading.
        stale_s: an older reading is no longer given: a value that stands still would look like a quiet card.
    """

    def __init__(
        self,
        sys: Path = Path("/sys"),
        proc: Path = Path("/proc"),
        *,
        fresh_s: float = 1.0,
        patience_s: float = 0.02,
        stale_s: float = 30.0,
    ) -> None:
        self.device: Device | None = None
        self._sys, self._proc = sys, proc
        self._fresh_s, self._patience_s, self._stale_s = fresh_s, patience_s, stale_s
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None
        self._read: tuple[float, Sensors] | None = None

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering reads no card."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """One family for each thing that is known now."""
        device = self.device
        facts = device.fingerprint if device is not None else {}
        build = GaugeMetricFamily("rx580_build_info", "Always 1", labels=("version", "device", "driver"))
        name = f"{device.selector}: {device.name}" if device is not None else ""
        build.add_metric((rx580lab.__version__, name, str(facts.get("driver") or "")), 1)
        yield build
        if device is None:
            return
        yield _gauge("rx580_device_memory_used_bytes", "Device memory that this server's arrays hold",
                     device.bytes_in_use)  # fmt: skip
        if device.limits.memory_bytes is not None:
            yield _gauge("rx580_device_memory_limit_bytes", "Device memory in all", device.limits.memory_bytes)
        # A processor has no card: its files need not be read.
        if device.device_class != "cpu" and (read := self._reading(device)) is not None:
            for field, (metric, what, factor) in _READINGS.items():
                if (value := getattr(read, field)) is not None:
                    yield _gauge(metric, what, value * factor)

    def _reading(self, device: Device) -> Sensors | None:
        with self._lock:
            if self._read is not None and time.monotonic() - self._read[0] < self._fresh_s:
                return self._read[1]
            if self._reader is None or not self._reader.is_alive():
                self._reader = threading.Thread(target=self._ask, args=(device,), name="sensors", daemon=True)
                self._reader.start()
            reader = self._reader
        reader.join(self._patience_s)
        read = self._read
        return read[1] if read is not None and time.monotonic() - read[0] < self._stale_s else None

    def _ask(self, device: Device) -> None:
        read = sensors(device, sys=self._sys, proc=self._proc)
        self._read = time.monotonic(), read


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)
