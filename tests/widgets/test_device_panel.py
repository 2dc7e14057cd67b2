from __future__ import annotations

import threading
from pathlib import Path

import pytest

import rx580lab as rx
from rx580lab.results.records import Sensors
from rx580lab.widgets import device_panel
from tests.widgets.operate import control, text, wait, wait_for


def shown(panel: object) -> str:
    wait(lambda: not control(panel, "Refresh").disabled, panel)
    return text(panel)


def test_each_device_with_its_state_limits_and_gaps() -> None:
    said = shown(rx.widgets.devices())
    assert "devices usable" in said
    assert "pocl/" in said
    assert "LDS" in said
    assert "work-items a group" in said
    assert "CPU clock" in said
    assert "missing: the work runs on the CPU, which has no card's sensors" in said


def test_a_driver_that_fails_is_said_and_a_refresh_finds_it_mended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    vendor = tmp_path / "broken.icd"
    vendor.write_text(str(tmp_path / "libnothing.so"))
    monkeypatch.setenv("OCL_ICD_VENDORS", str(vendor))
    panel = rx.widgets.devices()
    assert "None : no OpenCL platform is installed" in shown(panel)
    monkeypatch.delenv("OCL_ICD_VENDORS")
    control(panel, "Refresh").click()
    assert "Found" in shown(panel)


def test_a_listing_that_dies_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'the driver fell over' >&2\nkill -SEGV $$\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    said = shown(rx.widgets.devices())
    assert "Failed : the driver fell over" in said


def test_live_reads_a_card_again_and_again_until_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    card = {
        "selector": "amd/ellesmere", "name": "Ellesmere", "board": "RX 580", "device_class": "gpu", "isa": "gfx803",
        "usable": True, "reason": "", "polaris": True, "memory_bytes": 8 << 30, "allocation_bytes": 4 << 30,
        "lds_bytes": 32 << 10, "work_group": 256, "compute_units": 36, "max_clock_mhz": 1340, "driver": "3004.6",
        "pci_address": "0000:01:00.0",
    }  # fmt: skip
    asked: list[str] = []

    def sensors(device: object) -> Sensors:
        asked.append(device.fingerprint["pci_address"])  # type: ignore[attr-defined]
        return Sensors(
            at="2026-11-24T10:00:00.000000Z", shader_clock_mhz=1300 + len(asked), temperature_c=71.0, power_w=140.5,
            vram_used_bytes=2 << 30, load_1min=0.5, missing={"memory_clock_mhz": "no such file"},
        )  # fmt: skip

    monkeypatch.setattr(device_panel, "described_devices", lambda: [card])
    monkeypatch.setattr(device_panel, "sensors", sensors)
    monkeypatch.setattr(device_panel, "_LIVE_S", 0.01)
    panel = rx.widgets.devices()
    wait_for(panel, "shader clock 1301 MHz")
    said = text(panel)
    assert "temperature 71 °C" in said
    assert "power 140.5 W" in said
    assert "VRAM in use 2.00 GiB of 8.00 GiB" in said.replace("\N{NO-BREAK SPACE}", " ")
    assert "memory clock missing: no such file" in said
    control(panel, "Live").value = True
    wait(lambda: len(asked) >= 5, panel)
    control(panel, "Live").value = False
    wait(lambda: not live_threads(), panel)
    assert set(asked) == {"0000:01:00.0"}
    assert f"shader clock {1300 + len(asked)} MHz" in text(panel)


def live_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "rx580lab-live"]
