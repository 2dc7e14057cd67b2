"""The card's gauges, against a made-up sysfs."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client.parser import text_string_to_metric_families

from rx580lab.device import Device
from rx580lab.serve.metrics import Metrics
from rx580lab.serve.telemetry import DeviceCollector
from tests.device.test_sysfs import ADDRESS, card


def device(kind: str = "gpu") -> Device:
    return cast(
        "Device",
        SimpleNamespace(
            device_class=kind, fingerprint={"pci_address": ADDRESS, "driver": "3004.6"}, selector="amd/ellesmere",
            name="gfx803", bytes_in_use=123_456, limits=SimpleNamespace(memory_bytes=8 << 30),
        ),
    )  # fmt: skip


def told(metrics: Metrics) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return {one.name: one.samples[0].value for one in families if one.name.startswith(("rx580_card", "rx580_device"))}


def watching(sys: Path, kind: str = "gpu", **settings: Any) -> Metrics:
    metrics = Metrics(DeviceCollector(sys, sys, **{"patience_s": 5.0, **settings}))
    metrics.watch(device(kind))
    return metrics


def test_a_card_is_told_in_base_units(tmp_path: Path) -> None:
    card(tmp_path)
    assert told(watching(tmp_path)) == {
        "rx580_device_memory_used_bytes": 123_456,
        "rx580_device_memory_limit_bytes": 8 << 30,
        "rx580_card_temperature_celsius": 71.0,
        "rx580_card_power_watts": 112.5,
        "rx580_card_shader_clock_hertz": 1.34e9,
        "rx580_card_memory_clock_hertz": 2e9,
        "rx580_card_vram_used_bytes": 1 << 30,
        "rx580_card_busy_ratio": 0.97,
    }


def test_what_is_missing_is_not_told_and_never_a_constant(tmp_path: Path) -> None:
    folder = card(tmp_path)
    (folder / "hwmon/hwmon3/power1_average").unlink()
    (folder / "mem_info_vram_used").unlink()
    metrics = watching(tmp_path, fresh_s=0.0)
    found = told(metrics)
    assert "rx580_card_power_watts" not in found
    assert "rx580_card_vram_used_bytes" not in found
    assert found["rx580_card_temperature_celsius"] == 71.0
    (folder / "hwmon/hwmon3/temp1_input").write_text("83000\n")
    assert told(metrics)["rx580_card_temperature_celsius"] == 83.0
    # The card is gone.
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
    assert set(told(metrics)) == {"rx580_device_memory_used_bytes", "rx580_device_memory_limit_bytes"}


def test_a_processor_is_no_card_and_its_files_are_not_read(tmp_path: Path) -> None:
    card(tmp_path)
    os.mkfifo(tmp_path / "loadavg")  # who reads it waits
    assert [name for name in told(watching(tmp_path, "cpu", patience_s=0.01)) if "card" in name] == []
    assert [one for one in threading.enumerate() if one.name == "sensors"] == []


def test_before_a_device_is_open_nothing_is_told_of_one(tmp_path: Path) -> None:
    card(tmp_path)
    metrics = Metrics(DeviceCollector(tmp_path, tmp_path))
    assert told(metrics) == {}
    assert 'rx580_build_info{device="",driver=""' in metrics.text().decode()


def test_a_reading_is_used_again_for_a_moment(tmp_path: Path) -> None:
    folder = card(tmp_path)
    metrics = watching(tmp_path, fresh_s=60.0)
    assert told(metrics)["rx580_card_temperature_celsius"] == 71.0
    (folder / "hwmon/hwmon3/temp1_input").write_text("83000\n")
    assert told(metrics)["rx580_card_temperature_celsius"] == 71.0


def test_a_file_that_blocks_holds_up_no_scrape_and_its_last_value_goes_stale(tmp_path: Path) -> None:
    folder = card(tmp_path)
    metrics = watching(tmp_path, fresh_s=0.0, patience_s=0.2, stale_s=1.0)
    assert told(metrics)["rx580_card_temperature_celsius"] == 71.0
    busy = folder / "gpu_busy_percent"
    busy.unlink()
    os.mkfifo(busy)  # opening it waits for a writer, as a file of a card that hangs does
    n_before = threading.active_count()
    started = time.monotonic()
    for _ in range(5):
        assert told(metrics)["rx580_card_temperature_celsius"] == 71.0
        if time.monotonic() - started > 0.6:
            break
    assert threading.active_count() <= n_before + 1, "one reader waits, and no more are sent after it"
    time.sleep(1.1)
    assert set(told(metrics)) == {"rx580_device_memory_used_bytes", "rx580_device_memory_limit_bytes"}
    busy.write_text("55\n")  # the card is back
    deadline = time.monotonic() + 10
    while "rx580_card_busy_ratio" not in told(metrics):
        assert time.monotonic() < deadline
        time.sleep(0.05)
