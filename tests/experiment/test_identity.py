"""Which runs agree: what is hashed, and which device a point gets."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import pytest

from rx580lab.experiment import load_spec
from rx580lab.experiment.attempt import child_environment
from rx580lab.experiment.identity import _package_hash, choose_device, point_key, run_hashes
from rx580lab.experiment.runner import _plans
from rx580lab.experiment.timing_lock import LOCK_FILE, TimingLock
from tests.experiment.conftest import write_notebook

SPEC = """\
schema_version: 1
name: toy
title: A toy
notebook: ../../notebooks/toy.ipynb
"""


def spec_on(root: Path, parameters: str, text: str = "") -> Path:
    write_notebook(root / "notebooks" / "toy.ipynb", parameters)
    path = root / "experiments" / "bench" / "toy.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SPEC + text)
    return path


def test_hashes_change_with_what_they_name(tmp_path: Path) -> None:
    path = spec_on(tmp_path, "size: int = 1\n")
    before = run_hashes(load_spec(path), {}, ci=False)
    assert run_hashes(load_spec(path), {}, ci=False) == before
    changed = {
        "spec": [
            run_hashes(load_spec(path, overrides={"size": "2"}), {}, ci=False),
            run_hashes(load_spec(path), {}, ci=True),
        ],
        "device": [run_hashes(load_spec(path), {"pocl/x": "1"}, ci=False)],
    }
    spec_on(tmp_path, "size: int = 2\n")
    changed["notebook"] = [run_hashes(load_spec(path), {}, ci=False)]
    for name, others in changed.items():
        for other in others:
            assert [key for key in before if before[key] != other[key]] == [name]


def test_the_package_hash_covers_every_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rx580lab.__file__", str(tmp_path / "__init__.py"))
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "gemm.py").write_text("a = 1")
    before = _package_hash()
    (tmp_path / "ops" / "gemm.py").write_text("a = 2")
    assert _package_hash() != before
    (tmp_path / "ops" / "gemm.py").write_text("a = 1")
    assert _package_hash() == before
    (tmp_path / "ops" / "gemm.py").rename(tmp_path / "gemm.py")
    assert _package_hash() != before


def test_a_point_s_key_depends_on_params_and_device_not_on_their_order(tmp_path: Path) -> None:
    hashes = run_hashes(load_spec(spec_on(tmp_path, "size: int = 1\n")), {}, ci=False)
    assert point_key(hashes, {"a": 1, "b": 2}, None) == point_key(hashes, {"b": 2, "a": 1}, None)
    assert point_key(hashes, {"a": 1}, None) != point_key(hashes, {"a": 1.5}, None)
    assert point_key({**hashes, "kernels": "x"}, {"a": 1}, None) != point_key(hashes, {"a": 1}, None)


def test_the_device_goes_to_the_parameter_and_to_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = spec_on(tmp_path, 'device: str = ""\n')
    selector = choose_device("pocl").selector
    (asked,), hashes = _plans(load_spec(path, device="pocl"), "pocl", ci=False)
    assert (asked.device, asked.params) == (selector, {"device": selector})
    (named,), _ = _plans(load_spec(path, overrides={"device": selector}), None, ci=False)
    assert named.key == asked.key, "two names of one device are one point"
    monkeypatch.setenv("RX580LAB_LIMITS", "rx580")
    (limited,), other = _plans(load_spec(path, device="pocl"), "pocl", ci=False)
    assert limited.key != asked.key
    assert hashes["device"] != other["device"]


def test_a_notebook_without_the_parameter_gets_the_device_by_its_environment(tmp_path: Path) -> None:
    path = spec_on(tmp_path, "size: int = 1\n")
    (plan,), _ = _plans(load_spec(path), None, ci=False)
    assert plan.device is None
    (asked,), _ = _plans(load_spec(path, device="pocl"), "pocl", ci=False)
    assert (asked.device, asked.params) == (choose_device("pocl").selector, {})
    environment = child_environment(request_file=path, device=asked.device, threads=None, affinity=False)
    assert environment["RX580LAB_DEVICE"] == asked.device


def test_the_timing_lock_lets_one_in_and_says_who(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first, second, told = TimingLock("bench/first"), TimingLock("bench/second"), threading.Event()
    waited_for: list[str] = []
    assert first.acquire(waited_for.append, lambda: False)

    def note(holder: str) -> None:
        waited_for.append(holder)
        told.set()

    assert not second.acquire(note, told.is_set), "asked to stop while it waits"
    assert waited_for == ["bench/first"]
    first.release()
    assert second.acquire(waited_for.append, lambda: False)
    assert (tmp_path / LOCK_FILE).read_text() == "bench/second\n"
    second.release()
    assert waited_for == ["bench/first"]
