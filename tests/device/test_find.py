"""Choosing, naming and probing devices; each broken situation runs in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import rx580lab as rx
from rx580lab.device import describe, find
from rx580lab.device.describe import pci_address
from rx580lab.device.find import DeviceInfo
from rx580lab.errors import DeviceNotFound, ProbeFailed
from tests.requirements import require

RUN_A_KERNEL = """
import numpy as np, rx580lab as rx
from rx580lab.compile import load_source
device = rx.open_device({name!r})
x = device.upload(np.ones(64, np.float32))
text = "__kernel void twice(__global float *x) {{ x[get_global_id(0)] *= 2.0f; }}"
load_source(device, text, "twice", where="twice").launch((64,), (64,), x)
print(device.info.linker, device.event_clock, device.info.isa, x.download().sum())
"""

HIDE_ZIGLANG = """
import importlib.abc, sys
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "ziglang":
            raise ModuleNotFoundError(name)
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "ziglang" else found(name, *rest)
"""


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def info(selector: str, platform: str, name: str, device_class: str = "cpu", isa: str = "unknown") -> DeviceInfo:
    facts = {"platform": platform, "board": None}
    return DeviceInfo(selector, platform, name, device_class, isa, True, "given", facts=facts)


def test_preference_is_polaris_then_gpu_then_pocl_then_cpu_and_simulators_last() -> None:
    wanted = [
        info("amd/rx", "amd", "Radeon RX 580", "gpu", "gfx803"),
        info("nvidia/h", "nvidia", "H100", "gpu"),
        info("pocl/cpu", "pocl", "pthread-x"),
        info("rusticl/llvmpipe", "rusticl", "llvmpipe"),
        info("oclgrind/sim", "oclgrind", "Oclgrind Simulator"),
        replace(info("amd/broken", "amd", "Radeon RX 580", "gpu", "gfx803"), usable=False),
    ]
    shuffled = [wanted[i] for i in (4, 1, 5, 0, 3, 2)]
    assert sorted(shuffled, key=find._preference) == wanted


@pytest.mark.parametrize(
    ("device", "board", "polaris"),
    [
        ("gfx803", "", True),
        ("Ellesmere", "Radeon RX 580 Series", True),
        ("AMD Radeon RX 580 Series (radeonsi, polaris10, LLVM 15.0.6, DRM 3.49)", "", True),
        ("Radeon RX570", "", True),
        ("gfx1030", "", False),
        ("gfx8030", "", False),
        ("Radeon RX 5700 XT", "", False),
        ("NVIDIA H100", "", False),
    ],
)
def test_polaris_is_known_by_what_drivers_call_it(device: str, board: str, polaris: bool) -> None:
    facts = {
        "platform": "AMD Accelerated Parallel Processing",
        "device": device,
        "board": board,
        "is_gpu": True,
        "index": 0,
    }
    assert find._info(facts).is_polaris == polaris


def test_equal_devices_get_distinct_selectors() -> None:
    twins = [info("pocl/cpu", "pocl", "cpu"), info("pocl/cpu", "pocl", "cpu")]
    assert [twin.selector for twin in find._with_distinct_selectors(twins)] == ["pocl/cpu", "pocl/cpu#2"]


def test_a_name_is_words_in_any_case_but_never_an_index() -> None:
    assert rx.open_device("PoCL").platform == "pocl"
    assert rx.open_device("portable computing language").platform == "pocl"
    with pytest.raises(DeviceNotFound, match=r"platform order is not fixed.*pocl/"):
        rx.open_device("0")
    with pytest.raises(DeviceNotFound, match=r"no such card.*here: pocl/"):
        rx.open_device("no such card")


def test_environment_selects_the_device_and_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RX580LAB_DEVICE", "pocl")
    monkeypatch.setenv("RX580LAB_LIMITS", "rx580")
    device = rx.open_device()
    assert (device.platform, device.limits.work_group, device.limits.lds_bytes) == ("pocl", 256, 32768)


def test_a_simulator_is_only_taken_by_name() -> None:
    require("oclgrind")
    assert rx.open_device().platform != "oclgrind"
    assert rx.open_device("oclgrind").info.is_simulator


def test_probe_reports_what_the_compiler_targets(pocl: rx.Device) -> None:
    assert pocl.isa.startswith(("x86-64-", "arm-"))
    assert pocl.event_clock, pocl.event_clock_reason
    assert {"hash", "driver", "platform", "limits", "extensions"} <= pocl.fingerprint.keys()
    assert json.loads(json.dumps(pocl.fingerprint)) == pocl.fingerprint


def test_without_ld_the_message_has_both_cures_and_nothing_aborts(tmp_path: Path) -> None:
    hidden = {"PATH": str(tmp_path), "RX580LAB_CACHE": str(tmp_path / "c"), "POCL_CACHE_DIR": str(tmp_path / "p")}
    done = run(HIDE_ZIGLANG + RUN_A_KERNEL.format(name="pocl"), **hidden)
    assert done.returncode == 1, done.stderr  # a Python exception: not a signal
    assert "ProbeFailed" in done.stderr
    assert "binutils" in done.stderr
    assert "pip install ziglang" in done.stderr


NOTEBOOK = """
import nbclient, nbformat
cell = nbformat.v4.new_code_cell({cell!r})
client = nbclient.NotebookClient(nbformat.v4.new_notebook(cells=[cell]), kernel_name="python3", timeout=120)
try:
    client.execute()
except nbclient.exceptions.CellExecutionError as error:  # DeadKernelError is another one
    print(error.ename, error.evalue)
"""


def test_without_ld_a_notebook_cell_says_so_and_its_kernel_lives(tmp_path: Path) -> None:
    hidden = {"PATH": str(tmp_path), "RX580LAB_CACHE": str(tmp_path / "c"), "POCL_CACHE_DIR": str(tmp_path / "p")}
    done = run(NOTEBOOK.format(cell=HIDE_ZIGLANG + RUN_A_KERNEL.format(name="pocl")), **hidden)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ProbeFailed"), done.stdout
    assert "binutils" in done.stdout


def test_a_warm_cache_does_not_hide_a_missing_ld(tmp_path: Path) -> None:
    require("ld")
    caches = {"RX580LAB_CACHE": str(tmp_path / "c"), "POCL_CACHE_DIR": str(tmp_path / "p")}
    code = HIDE_ZIGLANG + RUN_A_KERNEL.format(name="pocl")
    assert run(code, **caches).returncode == 0
    done = run(code, **caches, PATH=str(tmp_path))
    assert done.returncode == 1
    assert "ProbeFailed" in done.stderr


def test_without_ld_ziglang_links(tmp_path: Path) -> None:
    require("ziglang")
    spaced = tmp_path / "a cache with spaces"
    hidden = {"PATH": str(tmp_path), "RX580LAB_CACHE": str(spaced), "POCL_CACHE_DIR": str(spaced / "p")}
    done = run(RUN_A_KERNEL.format(name="pocl"), **hidden)
    assert done.stdout.split() == ["ziglang", "True", rx.open_device("pocl").isa, "128.0"], done.stderr


def test_two_devices_at_once() -> None:
    code = """
import numpy as np, rx580lab as rx
a, b = rx.open_device("pocl"), [rx.open_device(i.selector) for i in rx.list_devices() if i.selector.endswith("#2")][0]
x, y = a.upload(np.arange(8.0)), b.upload(np.arange(8.0) + 1)
print(a.selector != b.selector, (y.download() - x.download()).tolist() == [1.0] * 8)
"""
    done = run(code, POCL_DEVICES="pthread pthread")
    assert done.stdout.split() == ["True", "True"], done.stderr


def test_rusticl_works_and_its_constant_timestamps_are_not_believed() -> None:
    require("rusticl")
    done = run(RUN_A_KERNEL.format(name="rusticl"), RUSTICL_ENABLE="llvmpipe")
    assert (
        done.stdout.split()[1:] == ["False", rx.open_device("pocl").isa, "128.0"] or done.stdout.split()[1] == "False"
    )
    assert done.stdout.split()[-1] == "128.0", done.stderr


def test_an_implementation_that_computes_wrong_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RX580LAB_CACHE", str(tmp_path))
    right = find._run_probe

    def wrong(arguments: list[str], variables: dict[str, str] | None = None) -> object:
        return (
            {"ok": False, "reason": "computed 3 where 4 is right"}
            if arguments[0] == "test"
            else right(arguments, variables)
        )

    monkeypatch.setattr(find, "_run_probe", wrong)
    with pytest.raises(ProbeFailed, match="computed 3 where 4 is right"):
        find.find_device("pocl")
    assert not list(tmp_path.glob("probes/*.json"))  # a failure is not kept


def test_a_probe_that_dies_names_the_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "sys", _Interpreter())
    assert "was ended by SIG" in str(find._run_probe(["list"]))


class _Interpreter:
    """Stands for ``sys`` with an interpreter that kills itself."""

    prefix = sys.prefix

    @property
    def executable(self) -> str:
        script = Path(os.environ["RX580LAB_REPORTS"]).parent / "suicide"
        script.write_text("#!/bin/sh\nkill -ABRT $$\n")
        script.chmod(0o755)
        return str(script)


class _Card:
    """A device as far as ``pci_address`` asks: what a driver with one of these extensions answers."""

    def __init__(self, extensions: str, **answers: int) -> None:
        self.extensions = extensions
        self.pci_bus_id_nv = answers.get("bus", 0)
        self.pci_slot_id_nv = answers.get("slot", 0)
        self.topology_amd = SimpleNamespace(bus=answers.get("bus", 0) - 256, device=2, function=1)


def test_pci_address_is_asked_for_in_the_drivers_own_way(pocl: rx.Device) -> None:
    assert pci_address(_Card("cl_amd_device_attribute_query", bus=0x8A)) == "0000:8a:02.1"  # AMD's bus is signed
    assert pci_address(_Card("cl_nv_device_attribute_query", bus=0x1B, slot=0x08)) == "0000:1b:01.0"
    assert pci_address(_Card("")) is None
    assert pocl.fingerprint["pci_address"] is None
    # PoCL lacks the query: the loader must answer with an error, not with a made-up address.
    assert describe._khr_address(pocl.cl_device) is None
