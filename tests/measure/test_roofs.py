"""The roofs of a real device, small; and that a wrong result cannot pass as a roof."""

from __future__ import annotations

from pathlib import Path

import pytest

from rx580lab.device import Device, Limits, open_device
from rx580lab.errors import MeasureError
from rx580lab.measure import ROOF_OPS, Protocol, measure_roofs, roofs, stream_bytes
from rx580lab.ops import Plan
from tests.measure.fake_time import fake_device

QUICK = Protocol(n_samples=6, warmup_max_s=0.05, min_sample_s=0.0005)
MIB = 1 << 20


def test_roofs_of_pocl_are_measured_and_checked(pocl: Device) -> None:
    found = measure_roofs(pocl, QUICK, array_bytes=4 * MIB)
    assert [(roof.name, roof.kind, roof.unit) for roof in found] == [
        ("copy", "bandwidth", "GB/s"),
        ("triad", "bandwidth", "GB/s"),
        ("fma_peak", "arithmetic", "GFLOP/s"),
    ]
    for roof in found:
        assert roof.check.ok, roof.check.reason
        assert roof.check.n_values == MIB
        assert roof.check.worst_share is not None
        assert roof.check.worst_share <= 1
        assert 0 < roof.rate.low <= roof.rate.value <= roof.rate.high
        assert "clock, 6 samples of" in roof.detail
    assert found[0].detail.startswith("arrays of 4 MiB, template cpu (")
    # What a copy moves is counted once per read and once per write: no machine copies 4 TB/s.
    assert found[0].rate.value < 4000


@pytest.mark.parametrize("op", ROOF_OPS)
def test_wrong_result_fails_the_check_of_its_roof(pocl: Device, monkeypatch: pytest.MonkeyPatch, op: str) -> None:
    honest = Plan.run

    def spoiled(plan: Plan) -> object:
        out = honest(plan)
        if plan.op == op:
            values = out.download()
            values[-3] += 1
            out.write(values)
        return out

    monkeypatch.setattr(Plan, "run", spoiled)
    found = {roof.name: roof.check for roof in measure_roofs(pocl, QUICK, array_bytes=8 * MIB)}
    assert [name for name, check in found.items() if not check.ok] == [op]
    n_last_piece = 3 * 96 * 4096 - MIB if op == "fma_peak" else MIB
    assert (found[op].reason or "").startswith(f"from element {MIB:,}: 1 of {n_last_piece} values beyond tolerance")


def test_output_that_is_not_written_again_is_seen(pocl: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plan, "run", lambda plan: plan.out)
    for roof in measure_roofs(pocl, QUICK, array_bytes=MIB):
        assert "never written" in (roof.check.reason or "")


def test_arrays_outgrow_the_caches_and_fit_the_limits(tmp_path: Path) -> None:
    def device(device_class: str, **limits: int) -> Device:
        return fake_device(device_class, limits=Limits(**limits), bytes_in_use=0)

    cache = tmp_path / "devices/system/cpu/cpu0/cache"
    for index, size in enumerate(("32K", "512K", "96M")):
        (cache / f"index{index}").mkdir(parents=True)
        (cache / f"index{index}" / "size").write_text(size + "\n")
    assert stream_bytes(device("cpu"), tmp_path) == 192 * MIB
    assert stream_bytes(device("gpu"), tmp_path) == 64 * MIB
    assert stream_bytes(device("gpu"), tmp_path / "absent") == 64 * MIB
    assert stream_bytes(device("cpu", memory_bytes=100 * MIB), tmp_path) == 25 * MIB
    assert stream_bytes(device("cpu", allocation_bytes=MIB + 5), tmp_path) == MIB
    with pytest.raises(MeasureError, match="room for arrays"):
        stream_bytes(device("cpu", memory_bytes=5000), tmp_path)


def test_emulated_limits_hold_for_the_roofs(pocl: Device) -> None:
    assert pocl.limits.memory_bytes is not None
    small = open_device("pocl", limits=Limits(memory_bytes=16 * MIB))
    found = measure_roofs(small, QUICK)
    assert found[0].detail.startswith("arrays of 4 MiB")
    assert small.bytes_peak <= 16 * MIB
    assert roofs.stream_bytes(small) == 4 * MIB
