"""``rx.widgets.server()``: start and stop a server, make keys, watch its rate and latency, load and unload models."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from pathlib import Path

import ipywidgets
from markupsafe import Markup

from rx580lab.errors import LabError, ServeError
from rx580lab.experiment.server_keys import revoke_key
from rx580lab.experiment.server_process import ServerProcess
from rx580lab.report.quantities import quantity
from rx580lab.widgets import html
from rx580lab.widgets.device_choice import device_choice
from rx580lab.widgets.server_figures import Quantile, Reading, figures, read
from rx580lab.widgets.server_sections import PANEL_LABEL, KeysSection, ModelsSection, in_background, said

__all__ = ["server"]

_EVERY_S = 1.0
# Rates and quantiles are of this long: shorter and they jump, longer and they lag.
_WINDOW_S = 10.0
_DRAIN_S = 60.0
_WITH_KEYS, _OPEN = "with keys", "open to this machine"


def server(
    models: str | Path | None = None,
    *,
    device: str | None = None,
    keys: str | Path | None = None,
    running: ServerProcess | None = None,
) -> ipywidgets.VBox:
    """A panel that runs ``rx580lab serve`` on loopback and watches it.

    **Start** starts it in a process of its own, which ends with the notebook's kernel at the latest; **Stop** lets it
    finish what is in hand. Below are rate, latency, queue and batches of the last ten seconds, as ``/metrics`` counts
    them, the models with **Load** and **Unload**, and the keys: **Create key** shows a key once.

    Args:
        models: a folder of ``NAME/VERSION/model.onnx``, as ``rx580lab.models.export`` writes it.
        device: a device's name; None takes the best one here.
        keys: a file of keys to serve with, made where there is none; None keeps keys for as long as the server runs.
        running: a server that runs already, to be watched and stopped from here.
    """
    return _ServerPanel(models, device, keys, running).box


class _ServerPanel:
    def __init__(
        self, models: str | Path | None, device: str | None, keys: str | Path | None, running: ServerProcess | None
    ) -> None:
        self._server = running
        self._own_key_id: str | None = None
        self._lock = threading.RLock()
        self._readings: deque[Reading] = deque()
        wide = {"style": {"description_width": "8em"}, "layout": ipywidgets.Layout(width="40em", max_width="100%")}
        self._folder = ipywidgets.Text(
            value=str(models or ""), description="Models folder", placeholder="holds NAME/VERSION/model.onnx",
            tooltip="The folder of models: NAME/VERSION/model.onnx", **wide,
        )  # fmt: skip
        self._device = device_choice(device)
        self._device.style, self._device.layout = wide["style"], wide["layout"]
        self._port = ipywidgets.BoundedIntText(
            value=0, min=0, max=65_535, description="Port", tooltip="The port to bind; 0 takes any free one", **wide
        )
        self._access = ipywidgets.Dropdown(
            options=[_WITH_KEYS, _OPEN], description="Access", tooltip="Who may call: holders of keys, or everybody "
            "on this machine", **wide,
        )  # fmt: skip
        self._file = ipywidgets.Text(
            value=str(keys or ""), description="Keys file", placeholder="none: keys end with the server",
            tooltip="A file of keys that outlives the server; empty for keys that end with it", **wide,
        )  # fmt: skip
        self._start = ipywidgets.Button(description="Start", button_style="primary", tooltip="Start the server")
        self._stop = ipywidgets.Button(
            description="Stop", disabled=True, tooltip="Finish what is in hand, then end the server"
        )
        self._live = ipywidgets.ToggleButton(
            value=True, description="Live", tooltip="Read the server's figures every second"
        )
        self._state = ipywidgets.HTML()
        self._link = ipywidgets.HTML()
        self._figures = ipywidgets.HTML()
        self._models = ModelsSection(lambda: self._server)
        self._keys = KeysSection(lambda: self._server)
        self.box = self._laid_out()
        self._start.on_click(lambda _: self.start())
        self._stop.on_click(lambda _: self.stop())
        if running is None:
            self._state.value = html.state("Ready", "Start runs the server in a process of its own")
        else:
            self._began(running)

    def _laid_out(self) -> ipywidgets.VBox:
        buttons = ipywidgets.HBox([self._start, self._stop, self._live]).add_class("rx-buttons")
        box = ipywidgets.VBox(
            [
                html.PanelFrame(), html.title("Server"), self._folder, self._device, self._port, self._access,
                self._file, buttons, self._state, self._link, self._figures, self._models.box, self._keys.box,
            ]
        )  # fmt: skip
        return box.add_class("rx-panel").add_class("rx-server")

    def start(self) -> None:
        """Check what is set and start; the panel says what is wrong."""
        with self._lock:
            if self._server is not None or self._start.disabled:
                return
            try:
                folder = _checked(str(self._folder.value).strip())
            except ServeError as error:
                self._state.value = html.state("Refused", error.message, "bad")
                return
            self._start.disabled = True
            self._state.value = html.state("Starting", "a process of its own", "busy")
        in_background(lambda: self._launch(folder), "server-start")

    def _launch(self, folder: Path) -> None:
        keyed = self._access.value == _WITH_KEYS
        file = str(self._file.value).strip()
        try:
            started = ServerProcess.start(
                folder,
                device=str(self._device.value).strip() or None,
                port=int(self._port.value),
                # The panel asks with a key of its own, as anybody does.
                roles=("admin",) if keyed else (),
                keys_file=Path(file).expanduser() if keyed and file else None,
                label=PANEL_LABEL,
                expires="30d",
            )
        except LabError as error:
            self._state.value = html.state("Failed", error.message, "bad")
            self._start.disabled = False
            return
        with self._lock:
            self._server = started
            self._own_key_id = started.keys["admin"].split("_")[1] if keyed else None
        self._began(started)

    def _began(self, started: ServerProcess) -> None:
        self._readings.clear()
        self._start.disabled, self._stop.disabled = True, False
        self._state.value = html.state("Loading", f"it listens on {started.url}; models are being loaded", "busy")
        self._link.value = Markup(
            '<p class="rx-note"><a href="{0}/docs" target="_blank" rel="noreferrer">Open its documentation</a> '
            "<code>{0}</code></p>"
        ).format(started.url)
        self._models.enable(True)
        self._keys.enable(started)
        in_background(lambda: self._follow(started), "server-watch")

    def stop(self) -> None:
        """Drain it; the panel says when it has ended."""
        running = self._server
        if running is not None and not self._stop.disabled:
            self._stop.disabled = True
            in_background(lambda: self._drain(running), "server-stop")

    def _drain(self, running: ServerProcess) -> None:
        running.drain()
        end = time.monotonic() + _DRAIN_S
        while running.alive and time.monotonic() < end:
            self._state.value = html.state("Stopping", f"not ready any more; {_in_hand(running)}", "busy")
            time.sleep(0.2)
        self._gone(running)

    def _gone(self, running: ServerProcess) -> None:
        """It has ended, or has to now: told once, by whoever sees it first."""
        with self._lock:
            if self._server is not running:
                return
            self._server = None
        asked = self._stop.disabled
        own_id = self._own_key_id
        code = running.stop(0.1)
        self._models.enable(False)
        self._keys.enable(None)
        self._link.value = self._figures.value = ""
        if asked and code == 0:
            self._state.value = html.state("Stopped", "everything in hand was finished", "good")
        elif not asked and code == 0:
            self._state.value = html.state("Ended", "it was stopped from elsewhere; everything in hand was finished")
        elif asked:
            self._state.value = html.state("Killed", f"it did not end within {_DRAIN_S:.0f} s", "bad")
        else:
            self._state.value = html.state("Ended", f"by itself, with exit status {code}: {running.last_words}", "bad")
        self._start.disabled, self._stop.disabled = False, True
        if own_id is not None and running.keys_file is not None and not running.owns_keys:
            self._revoke_own(own_id, running.keys_file)

    def _revoke_own(self, key_id: str, file: Path) -> None:
        """The panel's key has done its work; in a file that stays it must not stay valid."""
        try:
            revoke_key(key_id, file)
        except LabError as error:
            self._state.value += html.paragraph(f"The panel's own key was not revoked: {error.message}")

    def _follow(self, running: ServerProcess) -> None:
        # A panel that was closed has no comm any more: its server has nobody to stop it, so it stops now.
        while self._server is running:
            if self.box.comm is None:
                running.stop()
                return
            if not running.alive:
                self._gone(running)
                return
            try:
                self._look(running)
            except LabError as error:
                if not self._stop.disabled:
                    self._state.value = html.state("Not answering", error.message, "bad")
            time.sleep(_EVERY_S)

    def _look(self, running: ServerProcess) -> None:
        ready = running.call("/ready", timeout_s=5.0).status == 200
        if not self._stop.disabled:
            text = f"at {running.url}" if ready else f"it listens on {running.url}; not every model is loaded"
            self._state.value = html.state("Serving" if ready else "Loading", text, "good" if ready else "busy")
        self._models.refresh(running)
        if not self._live.value:
            return
        answer = running.call("/metrics", role="admin", timeout_s=5.0)
        if answer.status != 200:
            self._figures.value = html.state("No figures", said(answer), "bad")
            return
        newest = read(str(answer.body), time.monotonic())
        self._readings.append(newest)
        while len(self._readings) > 2 and newest.at_s - self._readings[1].at_s >= _WINDOW_S:
            self._readings.popleft()
        if self._server is running:
            self._figures.value = _figures_table(self._readings[0], newest)


def _checked(folder: str) -> Path:
    """The folder of models. ServeError in plain words where it is none."""
    if not folder:
        raise ServeError("server", "expected a folder of models, got none; rx580lab.models.export writes one")
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise ServeError("server", f"expected a folder of models, got {folder}, which is no folder")
    if next(path.glob("*/*/model.onnx"), None) is None:
        raise ServeError("server", f"expected NAME/VERSION/model.onnx in {folder}, got nothing of that kind")
    return path


def _in_hand(running: ServerProcess) -> str:
    try:
        answer = running.call("/metrics", role="admin", timeout_s=2.0)
    except LabError:
        return "it takes no more requests"
    count = read(str(answer.body), 0.0).total("http_requests_in_flight") if answer.status == 200 else None
    if count is None:
        return "it finishes what is in hand"
    return f"{max(int(count) - 1, 0)} requests in hand are finished first"  # one is this question


def _figures_table(older: Reading, newer: Reading) -> str:
    now = figures(older, newer)
    rows = [
        ["inferences", f"{now.rate:.1f} a second"],
        ["of them refused or failed", f"{now.refused:.1f} a second"],
        ["latency, p50", _latency(now.p50)],
        ["latency, p99", _latency(now.p99)],
        ["wait for the launch, mean", "none yet" if now.wait_s is None else f"{now.wait_s * 1e3:.2f} ms"],
        ["rows in a launch, mean", "none yet" if now.rows is None else f"{now.rows:.1f}"],
        ["waiting now", "not told" if now.depth is None else f"{now.depth:.0f} of {now.capacity or 0:.0f}"],
        ["requests in hand now", "not told" if now.in_flight is None else f"{max(now.in_flight - 1, 0):.0f}"],
    ]
    for name, words, unit, factor in _GAUGES:
        if (value := newer.total(name)) is not None:
            rows.append([words, quantity(value, unit) if unit == "bytes" else f"{value * factor:.0f} {unit}"])
    seconds = round(now.seconds)
    return html.table(f"The last {seconds} s" if seconds else "So far", ["what", "how much"], rows)


# Metric -> words, unit, factor to it. A card's rows are there only where a card tells.
_GAUGES = (
    ("rx580_device_memory_used_bytes", "device memory in use", "bytes", 1.0),
    ("process_resident_memory_bytes", "memory of the process", "bytes", 1.0),
    ("rx580_card_temperature_celsius", "card's temperature", "°C", 1.0),
    ("rx580_card_power_watts", "card's power", "W", 1.0),
    ("rx580_card_busy_ratio", "card busy", "%", 100.0),
    ("rx580_card_shader_clock_hertz", "shader clock", "MHz", 1e-6),
)


def _latency(found: Quantile | None) -> str:
    """The estimate, and the bucket that is all the histogram really knows."""
    if found is None:
        return "none yet"
    if math.isinf(found.high):
        return f"above {found.low * 1e3:g} ms"
    return f"about {found.estimate * 1e3:.2g} ms (between {found.low * 1e3:g} and {found.high * 1e3:g})"
