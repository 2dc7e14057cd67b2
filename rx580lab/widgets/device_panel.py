"""``rx.widgets.devices()``: what is here, why something is not usable, limits, and the card's readings, live."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import ipywidgets
from markupsafe import Markup

from rx580lab.device import sensors
from rx580lab.errors import LabError
from rx580lab.report.quantities import quantity
from rx580lab.results.records import Sensors
from rx580lab.widgets import html
from rx580lab.widgets.device_choice import described_devices

if TYPE_CHECKING:
    from rx580lab.device import Device

__all__ = ["devices"]

_LIVE_S = 1.0
# Field of Sensors -> what people call it, its unit, digits after the point.
_READINGS = (
    ("shader_clock_mhz", "shader clock", "MHz", 0),
    ("memory_clock_mhz", "memory clock", "MHz", 0),
    ("temperature_c", "temperature", "°C", 0),
    ("power_w", "power", "W", 1),
    ("vram_used_bytes", "VRAM in use", "bytes", 0),
    ("gpu_busy_percent", "busy", "%", 0),
    ("cpu_clock_mhz", "CPU clock", "MHz", 0),
    ("load_1min", "load, 1 min", "", 2),
)


@dataclass(frozen=True)
class _Seen:
    """As much of a Device as the sensors ask for; nothing is opened in the notebook's own process to read them."""

    device_class: str
    fingerprint: dict[str, Any]


def devices() -> ipywidgets.VBox:
    """A panel of the OpenCL devices here.

    Each device with its state in words (and the reason where it is not usable), its memory, its limits and driver;
    below, clock, temperature, power and VRAM where there is a card, and "missing" with the reason where not.
    **Refresh** probes all devices again, in a child process: a driver that crashes cannot end the notebook. **Live**
    reads the sensors every second for as long as it is on.
    """
    return _DevicePanel().box


class _DevicePanel:
    def __init__(self) -> None:
        self._found: list[dict[str, Any]] = []
        self._stop_live = threading.Event()
        self._refresh = ipywidgets.Button(description="Refresh", tooltip="Probe all devices again", icon="refresh")
        self._live = ipywidgets.ToggleButton(
            value=False, description="Live", tooltip="Read clocks, temperature and power every second"
        )
        self._state = ipywidgets.HTML()
        self._table = ipywidgets.HTML()
        self._readings = ipywidgets.HTML()
        buttons = ipywidgets.HBox([self._refresh, self._live])
        buttons.add_class("rx-buttons")
        self.box = ipywidgets.VBox(
            [html.PanelFrame(), html.title("Devices"), buttons, self._state, self._table, self._readings]
        )
        self.box.add_class("rx-panel").add_class("rx-devices")
        self._refresh.on_click(lambda _: self.refresh())
        self._live.observe(self._toggled, "value")
        self.refresh()

    def refresh(self) -> None:
        """Ask again, without waiting for the answer."""
        self._refresh.disabled = True
        self._state.value = html.state("Looking", "each device is probed in a child process", "busy")
        threading.Thread(target=self._look, daemon=True, name="rx580lab-devices").start()

    def _look(self) -> None:
        try:
            self._found = described_devices()
        except LabError as error:
            self._found = []
            self._table.value = self._readings.value = ""
            self._state.value = html.state("Failed", error.message, "bad")
        else:
            n_usable = sum(bool(info["usable"]) for info in self._found)
            self._state.value = _summary(self._found, n_usable)
            self._table.value = _device_table(self._found)
            self._read()
        finally:
            self._refresh.disabled = False

    def _read(self) -> None:
        usable = [info for info in self._found if info["usable"]]
        # All that compute on the CPU have the same readings: the first one speaks for them.
        on_cpu = next((info for info in usable if info["device_class"] == "cpu"), None)
        shown = [info for info in usable if info["device_class"] != "cpu" or info is on_cpu]
        self._readings.value = Markup("").join(_readings(info) for info in shown)

    def _toggled(self, change: dict[str, Any]) -> None:
        self._stop_live.set()
        if change["new"]:
            self._stop_live = threading.Event()
            threading.Thread(target=self._follow, args=(self._stop_live,), daemon=True, name="rx580lab-live").start()

    def _follow(self, stop: threading.Event) -> None:
        # A panel that was closed has no comm any more: nobody looks, so nobody reads.
        while not stop.is_set() and self.box.comm is not None:
            self._read()
            stop.wait(_LIVE_S)


def _summary(found: list[dict[str, Any]], n_usable: int) -> str:
    if not found:
        return html.state("None", "no OpenCL platform is installed; pip install 'pyopencl[pocl]' brings one", "bad")
    text = f"{n_usable} of {len(found)} devices usable"
    if not any(info["polaris"] for info in found):
        text += "; no Polaris card (RX 470 to RX 590) among them, so figures will be of another device"
    return html.state("Found", text, "good" if n_usable else "bad")


def _device_table(found: list[dict[str, Any]]) -> str:
    rows = []
    for info in found:
        state = "usable" if info["usable"] else f"not usable: {info['reason']}"
        name = info["name"] if not info.get("board") else f"{info['board']} ({info['name']})"
        rows.append(
            [
                info["selector"],
                name or "missing: the platform has no device",
                f"{info['device_class']}, {info['isa']}",
                state,
                _limits(info),
                info.get("driver") or "missing: the driver tells none",
            ]
        )
    return html.table(
        "OpenCL devices, best first", ["name to give", "device", "kind", "state", "limits", "driver"], rows
    )


def _limits(info: dict[str, Any]) -> str:
    if "memory_bytes" not in info:
        return "missing: there is no device to ask"
    clock = info.get("max_clock_mhz")
    parts = [
        f"{quantity(info['memory_bytes'], 'bytes')} memory",
        f"{quantity(info['allocation_bytes'], 'bytes')} in one allocation",
        f"{quantity(info['lds_bytes'], 'bytes')} LDS",
        f"{info['work_group']} work-items a group",
        f"{info['compute_units']} compute units",
        f"up to {clock} MHz" if clock else "highest clock missing: the driver tells none",
    ]
    return ", ".join(parts)


def _readings(info: dict[str, Any]) -> str:
    seen = _Seen(str(info["device_class"]), {"pci_address": info.get("pci_address")})
    read = sensors(cast("Device", seen))
    rows = [
        [name, _reading(read, field, unit, digits, info)]
        for field, name, unit, digits in _READINGS
        if getattr(read, field) is not None
    ]
    for reason, names in _gaps(read).items():
        rows.append([", ".join(names), f"missing: {reason}"])
    return html.table(f"Readings of {info['selector']} at {read.at[11:19]} UTC", ["what", "now"], rows)


def _reading(read: Sensors, field: str, unit: str, digits: int, info: dict[str, Any]) -> str:
    value = getattr(read, field)
    if unit == "bytes":
        return f"{quantity(value, 'bytes')} of {quantity(info['memory_bytes'], 'bytes')}"
    return f"{value:.{digits}f} {unit}".strip()


def _gaps(read: Sensors) -> dict[str, list[str]]:
    """Reason -> the readings that are missing for it."""
    found: dict[str, list[str]] = {}
    for field, name, _, _ in _READINGS:
        if getattr(read, field) is None:
            found.setdefault(read.missing.get(field, "not told"), []).append(name)
    return found
