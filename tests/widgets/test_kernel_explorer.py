from __future__ import annotations

import re
import threading

import pytest

import rx580lab as rx
from rx580lab.errors import InputError
from tests.widgets.operate import children_of, control, controls, ended, run_to_end, source, text, wait, wait_for

MODULE = "rx580lab.widgets.kernel_process"
HEAD = "uint i = get_group_id(0) * TILE;"


def explorer(op: str = "copy") -> object:
    return rx.widgets.kernel(op, device="pocl", template="cpu", shape="65536")


def edited(panel: object, before: str, after: str) -> None:
    control(panel, "Edit the source").value = True
    field = control(panel, "Source")
    assert before in field.value
    field.value = field.value.replace(before, after)


def test_a_slider_moves_and_the_result_changes() -> None:
    panel = rx.widgets.kernel("gemm", device="pocl", template="cpu", shape="96x80x64")
    said = run_to_end(panel, "Build and run")
    assert "Done : built, right and timed on pocl/" in said
    assert re.search(r"oracle RIGHT: \d+ of \d+ cases, 7,680 values", said)
    assert re.search(r"time [\d.]+ µs \([\d.]+ to [\d.]+\), 95 % interval of 15 samples", said)
    assert "TILE_M=48" in said
    assert "global=(2, 1, 1)" in said
    assert "<svg viewBox" in source(panel)
    assert "of the fma_peak roof" in said or "of the copy roof" in said or "of the triad roof" in said

    control(panel, "TILE_M").value = 24
    wait_for(panel, "global=(4, 1, 1)")  # 96 rows are four tiles now
    ended(panel)
    assert "TILE_M=24" in text(panel)
    # The first attempt stays in the list, with its time.
    assert re.search(r"2 cpu PER_ITEM_M=6 TILE_M=24 .* right [\d.]+ µs .* 1 cpu PER_ITEM_M=6 TILE_M=48", text(panel))


def test_the_last_of_many_moves_counts_and_only_one_process_works() -> None:
    panel = explorer()
    edited(panel, "__kernel", "__kernel ")  # an edited roof op measures no roofs: seconds less
    assert "Done" in run_to_end(panel, "Build and run")
    for value in (16384, 262144, 65536, 16384):
        control(panel, "TILE").value = value
        control(panel, "Build and run").click()
        assert len({process.pid for process in children_of(MODULE)}) <= 1
    wait_for(panel, "TILE=16384 STREAM_FROM=8388608 65536 right")
    ended(panel)
    assert "global=(4,)" in text(panel)
    assert children_of(MODULE) == []


def test_run_on_change_can_be_off() -> None:
    panel = explorer()
    edited(panel, "__kernel", "__kernel ")
    control(panel, "Run on change").value = False
    assert "Done" in run_to_end(panel, "Build and run")
    control(panel, "TILE").value = 16384
    assert [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)] == []


def test_nothing_is_built_by_only_looking() -> None:
    panel = explorer()
    control(panel, "TILE").value = 16384
    assert children_of(MODULE) == []
    assert "Ready" in text(panel)


def test_a_syntax_error_shows_the_log_and_the_line() -> None:
    panel = explorer()
    edited(panel, HEAD, "uint i = get_group_id(0) * TILE")
    line = control(panel, "Source").value.splitlines().index("  uint i = get_group_id(0) * TILE") + 1
    said = run_to_end(panel, "Build and run")
    assert "Did not build" in said
    assert f"copy.cl:{line}:" in said
    assert f"> {line} uint i = get_group_id(0) * TILE" in said
    assert "oracle missing: not reached" in said


def test_an_endless_kernel_is_ended_by_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    # The limit holds for each step, so a busy machine must be able to start and build within it; one core spins.
    monkeypatch.setenv("POCL_MAX_PTHREAD_COUNT", "1")
    panel = explorer()
    edited(panel, HEAD, f"{HEAD} while (*(volatile __global const float *)x < 1e38f) {{ }}")
    control(panel, "Time limit, s").value = 20
    said = run_to_end(panel, "Build and run")
    assert "Ended by the time limit : 20 s were over while running the kernel and comparing" in said
    assert "the notebook's kernel lives on" in said
    assert children_of(MODULE) == []
    # And the panel can be used again.
    control(panel, "Edit the source").value = False
    control(panel, "Time limit, s").value = 60
    assert "Done" in run_to_end(panel, "Build and run")


def test_a_driver_that_dies_is_named() -> None:
    panel = explorer()
    edited(panel, HEAD, f"{HEAD} *(volatile __global float *)8 = 1;")
    said = run_to_end(panel, "Build and run")
    assert "Crashed : the process was ended by SIGSEGV while running the kernel" in said


def test_a_wrong_kernel_is_not_timed() -> None:
    panel = explorer()
    edited(panel, "const uint end = min(i + TILE, n);", "const uint end = min(i + TILE, n) - 1;")
    said = run_to_end(panel, "Build and run")
    assert "Wrong : the result differs from the oracle's, so it was not timed" in said
    assert "oracle WRONG" in said
    assert "time missing: a wrong result is not timed" in said


def test_the_kernel_on_disk_is_not_touched(pocl: rx.Device) -> None:
    path = rx.compile.kernels_dir() / "copy.cl"
    before = path.read_bytes()
    panel = explorer()
    edited(panel, "__kernel", "__kernel ")
    assert "Done" in run_to_end(panel, "Build and run")
    assert "cpu, edited" in text(panel)
    assert path.read_bytes() == before
    del pocl


def test_cancel_ends_the_processes_at_once() -> None:
    panel = explorer()
    edited(panel, HEAD, f"{HEAD} while (*(volatile __global const float *)x < 1e38f) {{ }}")
    control(panel, "Build and run").click()
    wait_for(panel, "running the kernel")
    alive = children_of(MODULE)
    assert alive
    control(panel, "Cancel").click()
    ended(panel)
    assert "Cancelled : while running the kernel" in text(panel)
    wait(lambda: not any(process.is_running() for process in alive), panel)


def test_a_device_that_is_not_there_is_said() -> None:
    panel = rx.widgets.kernel("copy", device="no such card", template="cpu", shape="4096")
    said = run_to_end(panel, "Build and run")
    assert "Refused" in said
    assert "expected a device named 'no such card', got none" in said


def test_an_illegal_shape_or_combination_starts_no_process() -> None:
    with pytest.raises(InputError, match=r"expected a shape MxNxK .*of gemm"):
        rx.widgets.kernel("gemm", shape="12x")
    panel = rx.widgets.kernel("fma_peak", device="pocl", template="gpu", shape="4096")
    control(panel, "CHAINS").value = 8
    control(panel, "VEC").value = 8
    control(panel, "WG_X").value = 64
    with pytest.raises(Exception, match="expected WG_X to be one of 64, 128, 256, got 63"):
        control(panel, "WG_X").value = 63


def test_every_control_has_a_name_and_says_what_it_does() -> None:
    panel = rx.widgets.kernel("gemm", device="pocl", template="cpu")
    assert {"rx-panel", "rx-kernel"} <= set(panel._dom_classes)
    for each in controls(panel):
        if hasattr(each, "description") and type(each).__name__ != "HTML":
            assert each.description, each
            assert each.tooltip, each.description
