"""Sources, builds, the binary cache, launches, tuned look-up."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rx580lab as rx
from rx580lab import compile as compiling
from rx580lab.compile import LocalBytes, build
from rx580lab.errors import BuildError, InputError, LimitExceeded, ShapeError

ADD = """#line 1 "add.cl"
__kernel void add(__global float *x, const float by, __local float *shared)
{
    const int i = get_global_id(0), l = get_local_id(0);
    shared[l] = by;
    barrier(CLK_LOCAL_MEM_FENCE);
    x[i] += shared[l] * SCALE;
}
"""


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernels folder of this test's own, and an empty cache."""
    (tmp_path / "include").mkdir()
    (tmp_path / "add.cl").write_text('#include "by.h"\n#include "by.h"\n' + ADD.partition("\n")[2])
    (tmp_path / "include" / "by.h").write_text("#ifndef SCALE\n#define SCALE 1\n#endif\n")
    monkeypatch.setenv("RX580LAB_KERNELS", str(tmp_path))
    monkeypatch.setenv("RX580LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RX580LAB_DATA", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def device() -> rx.Device:
    return rx.open_device("pocl")


def total(device: rx.Device, scale: int | None = None) -> float:
    x = device.zeros(64)
    kernel = compiling.load_kernel(device, "add", "add", None if scale is None else {"SCALE": scale})
    kernel.launch((64,), (32,), x, np.float32(1), LocalBytes(128))
    return float(x.download().sum())


@pytest.mark.usefixtures("kernels")
def test_macros_and_includes_reach_the_kernel(device: rx.Device) -> None:
    assert total(device) == 64
    assert total(device, 3) == 192
    assert compiling.kernel_source("add").count("#define SCALE 1") == 1  # included once


def test_a_build_error_is_at_the_kernels_own_line(kernels: Path, device: rx.Device) -> None:
    (kernels / "add.cl").write_text((kernels / "add.cl").read_text().replace("* SCALE", "* undeclared"))
    with pytest.raises(BuildError, match=r"add\.cl:8:\d+: use of undeclared identifier"):
        total(device, 2)
    (kernels / "include" / "by.h").write_text("\nbroken here;\n")
    with pytest.raises(BuildError, match=r"by\.h:2:"):
        total(device, 2)


def test_unknown_kernels_entries_includes_and_macros_are_named(kernels: Path, device: rx.Device) -> None:
    with pytest.raises(BuildError, match="one of the kernels add, got 'mul'"):
        compiling.load_kernel(device, "mul", "mul")
    with pytest.raises(BuildError, match="a kernel named 'sub'"):
        compiling.load_kernel(device, "add", "sub")
    with pytest.raises(BuildError, match="macro name"):
        compiling.load_kernel(device, "add", "add", {"A B": 1})
    (kernels / "add.cl").write_text('#include "gone.h"\n')
    with pytest.raises(BuildError, match=r'add\.cl:1: .*"gone\.h"'):
        compiling.load_kernel(device, "add", "add")


@pytest.mark.usefixtures("kernels")
def test_a_second_device_builds_from_the_binary(device: rx.Device, monkeypatch: pytest.MonkeyPatch) -> None:
    assert total(device) == 64
    monkeypatch.setattr(build, "_compiled", lambda *_: pytest.fail("compiled again"))
    assert total(rx.open_device("pocl")) == 64


@pytest.mark.parametrize("damage", [b"", b"rubbish", None])
def test_a_damaged_binary_is_rebuilt(kernels: Path, device: rx.Device, damage: bytes | None) -> None:
    assert total(device) == 64
    (cached,) = (kernels / "cache" / "binaries").glob("*.bin")
    whole = cached.read_bytes()
    cached.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert total(rx.open_device("pocl")) == 64
    assert cached.read_bytes() == whole or len(cached.read_bytes()) > 1000


def test_a_binary_with_a_right_digest_that_the_driver_refuses_is_rebuilt(kernels: Path, device: rx.Device) -> None:
    assert total(device) == 64
    (cached,) = (kernels / "cache" / "binaries").glob("*.bin")
    junk = b"not a program at all" * 20
    cached.write_bytes(build._MAGIC + hashlib.sha256(junk).digest() + junk)
    assert total(rx.open_device("pocl")) == 64


def test_processes_share_the_cache_at_the_same_time(kernels: Path) -> None:
    code = (
        "import numpy as np, rx580lab as rx\nfrom rx580lab.compile import LocalBytes, load_kernel\n"
        "d = rx.open_device('pocl'); x = d.zeros(64)\n"
        "for s in range(1, 5):\n"
        "    load_kernel(d, 'add', 'add', {'SCALE': s}).launch((64,), (32,), x, np.float32(1), LocalBytes(128))\n"
        "print(x.download().sum())"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code], env=os.environ, stdout=-1, text=True) for _ in range(3)]
    assert [worker.communicate(timeout=120)[0].strip() for worker in workers] == ["640.0"] * 3
    assert len(list((kernels / "cache" / "binaries").iterdir())) == 4  # no temporary file stays


@pytest.mark.usefixtures("kernels")
def test_options_macros_and_device_key_the_cache(device: rx.Device) -> None:
    paths = {build.binary_path(device, text, options) for text in ("a", "b") for options in ((), ("-cl-opt-disable",))}
    assert len(paths) == 4


@pytest.mark.usefixtures("kernels")
def test_launches_are_held_to_the_limits() -> None:
    device = rx.open_device("pocl", limits=rx.Limits(work_group=32, lds_bytes=128))
    x, one = device.zeros(64), np.float32(1)
    kernel = compiling.load_kernel(device, "add", "add")
    with pytest.raises(LimitExceeded, match="at most 32 work-items a group, got 64"):
        kernel.launch((64,), (64,), x, one, LocalBytes(128))
    with pytest.raises(LimitExceeded, match="at most 128 bytes of local memory a group, got 256"):
        kernel.launch((64,), (32,), x, one, LocalBytes(256))
    with pytest.raises(ShapeError, match="divides"):
        kernel.launch((65,), (32,), x, one, LocalBytes(128))
    assert not x.download().any()


@pytest.mark.usefixtures("kernels")
def test_wrong_arguments_are_named(device: rx.Device) -> None:
    kernel = compiling.load_kernel(device, "add", "add")
    with pytest.raises(InputError, match=r"argument 1.*got float"):
        kernel.launch((64,), (32,), device.zeros(64), 1.0, LocalBytes(128))
    with pytest.raises(InputError, match="do not fit"):
        kernel.launch((64,), (32,), device.zeros(64))
    with pytest.raises(ShapeError, match="hold elements"):
        kernel.launch((64,), (32,), device.zeros(0), np.float32(1), LocalBytes(128))
    with pytest.raises(InputError, match="argument 0"):
        kernel.launch((64,), (32,), rx.open_device("pocl").zeros(64), np.float32(1), LocalBytes(128))


@pytest.mark.usefixtures("kernels")
def test_two_launches_of_one_kernel_keep_their_own_arguments(device: rx.Device) -> None:
    kernel, x, y = compiling.load_kernel(device, "add", "add"), device.zeros(64), device.zeros(64)
    first = kernel.bind((64,), (32,), x, np.float32(1), LocalBytes(128))
    kernel.bind((64,), (32,), y, np.float32(5), LocalBytes(128)).enqueue()
    first.enqueue()
    assert (x.download().sum(), y.download().sum()) == (64, 320)


def tune(folder: Path, name: str, scale: int, digest: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    entry = {"params": {"SCALE": scale}, "source_sha256": digest, "provenance": {"date": "2026-11-24"}}
    (folder / f"{name}.json").write_text(json.dumps({"device": name, "entries": {"add": entry}}))


def test_tuned_look_up_goes_device_family_default(kernels: Path, device: rx.Device) -> None:
    now = compiling.source_hash("add")
    assert compiling.tuned(device, "add") is None
    tune(kernels / "tuned", device.isa, 2, now)
    assert compiling.tuned(device, "add") == {"SCALE": 2}
    name = device.selector.replace("/", "-")
    tune(kernels / "tuned", name, 3, now)
    assert compiling.tuned(device, "add") == {"SCALE": 3}
    tune(kernels / "data" / "tuned", name, 4, now)
    assert compiling.tuned(device, "add") == {"SCALE": 4}


def test_a_tuned_entry_of_an_older_source_is_stale(kernels: Path, device: rx.Device) -> None:
    tune(kernels / "tuned", device.isa, 2, compiling.source_hash("add"))
    (kernels / "add.cl").write_text((kernels / "add.cl").read_text() + "// changed\n")
    assert compiling.tuned(device, "add") is None
    (entry,) = compiling.find_tuned(device, "add")
    assert entry.stale is not None
    assert "measured on another add.cl" in entry.stale


def test_a_damaged_tuned_file_is_named(kernels: Path, device: rx.Device) -> None:
    (kernels / "tuned").mkdir()
    (kernels / "tuned" / f"{device.isa}.json").write_text("{")
    with pytest.raises(BuildError, match="damaged"):
        compiling.tuned(device, "add")


def test_two_templates_of_one_source_have_entries_of_their_own(kernels: Path, device: rx.Device) -> None:
    tune(kernels / "tuned", device.isa, 2, compiling.source_hash("add"))
    assert compiling.tuned(device, "add_gpu", "add") is None
    assert compiling.tuned(device, "add", "add") == {"SCALE": 2}


def test_a_file_that_changes_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel and each of its headers; in between the text is kept."""
    monkeypatch.setenv("RX580LAB_KERNELS", str(tmp_path))
    (tmp_path / "include").mkdir()
    kernel, header = tmp_path / "one.cl", tmp_path / "include" / "part.h"
    kernel.write_text('#include "part.h"\n')
    header.write_text("int first;\n")
    assert "int first;" in compiling.kernel_source("one")
    assert compiling.kernel_source("one", {"A": 1}) == "#define A 1\n" + compiling.kernel_source("one")
    header.write_text("int other;  \n")
    assert "int other;" in compiling.kernel_source("one")
    kernel.write_text("int alone;\n")
    assert "int other;" not in compiling.kernel_source("one")
    header.unlink()
    kernel.write_text('#include "part.h"\n\n')
    with pytest.raises(BuildError, match=r"expected a file of kernels/include, got \"part\.h\""):
        compiling.kernel_source("one")
