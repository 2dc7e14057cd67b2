"""Sensors against trees that look like the kernel's, since no card is here."""

from __future__ import annotations

from pathlib import Path

import pytest

from rx580lab.device.sysfs import find_card, sensors, shader_clock_reader
from tests.measure.fake_time import fake_device

ADDRESS = "0000:01:00.0"


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def card(sys: Path, address: str = ADDRESS, **changes: str) -> Path:
    """An RX 580 at work, as amdgpu shows it. ``hwmon0`` belongs to another driver."""
    folder = sys / "bus/pci/devices" / address
    files = {
        "vendor": "0x1002",
        "class": "0x030000",
        "pp_dpm_sclk": "0: 300Mhz\n1: 600Mhz\n2: 1340Mhz *",
        "pp_dpm_mclk": "0: 300Mhz\n1: 2000Mhz *",
        "gpu_busy_percent": "97",
        "mem_info_vram_used": "1073741824",
        "hwmon/hwmon0/name": "nvme",
        "hwmon/hwmon0/temp1_input": "99000",
        "hwmon/hwmon3/name": "amdgpu",
        "hwmon/hwmon3/temp1_input": "71000",
        "hwmon/hwmon3/power1_average": "112500000",
    }
    put(folder, {**files, **changes})
    return folder


def host(proc: Path) -> None:
    put(proc, {"loadavg": "1.25 0.90 0.50 2/345 6789", "cpuinfo": "cpu MHz\t\t: 3000.0\n\ncpu MHz\t\t: 3600.5"})


def test_card_at_work_is_read_whole(tmp_path: Path) -> None:
    card(tmp_path / "sys")
    host(tmp_path / "proc")
    put(
        tmp_path / "sys/devices/system/cpu",
        {f"cpu{i}/cpufreq/scaling_cur_freq": f"{3000 + 400 * i}000" for i in (0, 1)},
    )
    found = sensors(fake_device("gpu", pci_address=ADDRESS), sys=tmp_path / "sys", proc=tmp_path / "proc")
    assert found.model_dump(exclude={"at"}) == {
        "shader_clock_mhz": 1340.0,
        "memory_clock_mhz": 2000.0,
        "temperature_c": 71.0,
        "power_w": 112.5,
        "vram_used_bytes": 1 << 30,
        "gpu_busy_percent": 97.0,
        "cpu_clock_mhz": 3200.0,
        "load_1min": 1.25,
        "missing": {},
    }


def test_measured_clock_comes_before_the_level_that_was_asked_for(tmp_path: Path) -> None:
    folder = card(tmp_path)
    put(folder, {"hwmon/hwmon3/freq1_input": "1190000000", "hwmon/hwmon3/freq2_input": "1750000000"})
    found = sensors(fake_device("gpu", pci_address=ADDRESS), sys=tmp_path)
    assert (found.shader_clock_mhz, found.memory_clock_mhz) == (1190.0, 1750.0)


def test_instant_power_stands_in_for_the_average(tmp_path: Path) -> None:
    folder = card(tmp_path)
    (folder / "hwmon/hwmon3/power1_average").unlink()
    put(folder, {"hwmon/hwmon3/power1_input": "9000000"})
    assert sensors(fake_device("gpu", pci_address=ADDRESS), sys=tmp_path).power_w == 9.0


def test_what_a_card_does_not_tell_is_missing_with_a_reason(tmp_path: Path) -> None:
    folder = card(tmp_path, pp_dpm_sclk="", mem_info_vram_used="garbage")
    (folder / "gpu_busy_percent").unlink()
    (folder / "hwmon/hwmon3/name").write_text("other\n")
    found = sensors(fake_device("gpu", pci_address=ADDRESS), sys=tmp_path)
    assert found.memory_clock_mhz == 2000.0
    for name in ("shader_clock_mhz", "temperature_c", "power_w", "vram_used_bytes", "gpu_busy_percent"):
        assert getattr(found, name) is None
        assert found.missing[name] == f"{ADDRESS} has no readable {name}"


def test_card_that_refuses_to_be_read_is_no_error(tmp_path: Path) -> None:
    folder = card(tmp_path)
    (folder / "gpu_busy_percent").unlink()
    (folder / "gpu_busy_percent").mkdir()  # reading raises OSError, as a sleeping card's file does
    found = sensors(fake_device("gpu", pci_address=ADDRESS), sys=tmp_path)
    assert found.gpu_busy_percent is None
    assert found.temperature_c == 71.0


def test_card_is_matched_by_address(tmp_path: Path) -> None:
    card(tmp_path, "0000:01:00.0")
    second = card(tmp_path, "0000:06:00.0", gpu_busy_percent="3")
    found, why = find_card(fake_device("gpu", pci_address="0000:06:00.0"), tmp_path)
    assert (found, why) == (second, None)
    assert sensors(fake_device("gpu", pci_address="0000:06:00.0"), sys=tmp_path).gpu_busy_percent == 3.0
    assert find_card(fake_device("gpu", pci_address="0000:09:00.0"), tmp_path) == (
        None,
        "sysfs has no PCI device 0000:09:00.0",
    )


def test_driver_without_address_gets_the_only_card_and_none_of_two(tmp_path: Path) -> None:
    only = card(tmp_path)
    card(tmp_path, "0000:00:02.0", vendor="0x8086")
    card(tmp_path, "0000:01:00.1", **{"class": "0x040300"})  # the card's sound
    assert find_card(fake_device("gpu"), tmp_path) == (only, None)
    card(tmp_path, "0000:06:00.0")
    found, why = find_card(fake_device("gpu"), tmp_path)
    assert found is None
    assert why == "the driver tells no PCI address, and the machine has 2 AMD cards"


@pytest.mark.parametrize("device", [None, fake_device("cpu")])
def test_work_on_the_cpu_has_no_card(tmp_path: Path, device: None) -> None:
    card(tmp_path / "sys")
    host(tmp_path / "proc")
    found = sensors(device, sys=tmp_path / "sys", proc=tmp_path / "proc")
    assert found.temperature_c is None
    assert "CPU" in found.missing["temperature_c"]
    assert found.cpu_clock_mhz == 3300.25  # from /proc/cpuinfo, for want of cpufreq
    assert "cpu_clock_mhz" not in found.missing


def test_bare_machine_gives_a_reason_for_every_gap(tmp_path: Path) -> None:
    found = sensors(fake_device("gpu"), sys=tmp_path, proc=tmp_path)
    gaps = {name for name, value in found.model_dump(exclude={"at", "missing"}).items() if value is None}
    assert gaps == set(found.missing)
    assert len(gaps) == 8


def test_shader_clock_is_read_anew_each_time(tmp_path: Path) -> None:
    folder = card(tmp_path)
    read = shader_clock_reader(fake_device("gpu", pci_address=ADDRESS), tmp_path)
    assert read is not None
    assert read() == 1340.0
    (folder / "pp_dpm_sclk").write_text("0: 300Mhz *\n1: 1340Mhz\n")
    assert read() == 300.0
    assert shader_clock_reader(fake_device("cpu"), tmp_path) is None
    (folder / "pp_dpm_sclk").unlink()
    assert shader_clock_reader(fake_device("gpu", pci_address=ADDRESS), tmp_path) is None
