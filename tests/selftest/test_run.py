"""run_selftest: what it says about good devices, wrong kernels, small devices and unreliable ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import InputError
from rx580lab.ops import NAMES, spec, specs
from rx580lab.reference import compare
from rx580lab.selftest import Case, cases, check_case, prepare, run_selftest, suite
from rx580lab.selftest import check as check_module
from rx580lab.selftest.check import GUARD_BYTES, Standing, stand_up
from rx580lab.selftest.run import _soak
from tests.requirements import require


def _case(op: str, name: str) -> Case:
    return next(case for case in cases(op) if case.name == name)


def test_every_op_has_cases_of_every_tier_with_unique_names() -> None:
    for op in NAMES:
        found = cases(op)
        assert len({case.name for case in found}) == len(found)
        assert {case.tier for case in found} == {"small", "edge", "large"}


def test_an_op_without_cases_is_an_error() -> None:
    with pytest.raises(InputError, match=r"selftest/suites/conv2d\.py"):
        suite("conv2d")
    with pytest.raises(InputError, match="expected one of"):
        run_selftest(rx.open_device("pocl"), ops=["conv2d"])


def test_cases_are_the_same_every_time() -> None:
    case = _case("softmax", "3x5")
    np.testing.assert_array_equal(prepare("softmax", case).arrays[0], prepare("softmax", case).arrays[0])


def test_all_ops_pass_here_on_small_and_edge_cases(pocl: Device) -> None:
    said: list[str] = []
    report = run_selftest(pocl, tiers=("small", "edge"), progress=said.append)
    assert report.ok, [line for line in report.lines if not line.ok]
    assert {(line.op, line.template) for line in report.lines} == {
        (s.name, t.name) for s in specs() for t in s.templates
    }
    assert all(line.n_cases > 0 and line.reason is None for line in report.lines)
    assert all(line.worst_share is not None and line.worst_share <= 1 for line in report.lines)
    assert len(said) == len(report.lines)
    assert report.device == pocl.selector
    wave = next(line for line in report.lines if line.template == "wave")
    assert any("at most 1024 columns" in reason for reason in wave.left_out)


def test_report_is_json(pocl: Device) -> None:
    report = run_selftest(pocl, ops=["copy"], tiers=("small",), soak_s=0.01)
    again = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert again["ok"] is True
    assert again["fingerprint"]["hash"] == pocl.fingerprint["hash"]
    assert again["soak"]["n_repeats"] >= again["soak"]["n_cases"] == 9


def test_a_template_that_cannot_run_says_why() -> None:
    tiny = rx.open_device("pocl", limits=rx.Limits(work_group=16))
    report = run_selftest(tiny, ops=["triad"], tiers=("small",))
    lines = {line.template: line for line in report.lines}
    assert report.ok
    assert lines["gpu"].n_cases == 0
    assert "work-groups of 64" in str(lines["gpu"].reason)
    assert lines["cpu"].n_cases > 0
    assert lines["cpu"].reason is None


def test_cases_too_large_for_the_device_are_left_out_with_the_reason() -> None:
    small = rx.open_device("pocl", limits=rx.Limits(memory_bytes=2**24))
    report = run_selftest(small, ops=["copy"], tiers=("small", "large"))
    assert report.ok
    assert all("bytes" in line.left_out[0] for line in report.lines)


def test_an_op_that_runs_nowhere_fails(pocl: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rx580lab.selftest.run.does_not_fit", lambda _device, _prepared: "no room")
    report = run_selftest(pocl, ops=["copy"], tiers=("small",))
    assert not report.ok
    assert report.faults == [f"copy: no template ran on {pocl.selector}"]


def test_a_wrong_oracle_fails_every_template(pocl: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    def off(op: str, case: Case) -> Any:
        prepared = prepare(op, case)
        return replace(prepared, expected=prepared.expected + 1)

    monkeypatch.setattr("rx580lab.selftest.run.prepare", off)
    report = run_selftest(pocl, ops=["copy"], tiers=("small",))
    assert not report.ok
    assert all(not line.ok and "beyond tolerance" in str(line.reason) for line in report.lines)


def test_guards_surround_the_output_and_the_inputs(pocl: Device) -> None:
    standing = stand_up(pocl, "plain", prepare("copy", _case("copy", "N=65")))
    guards = standing.out.sentinels
    assert guards is not None
    assert guards.before.nbytes >= GUARD_BYTES
    assert guards.after.nbytes >= GUARD_BYTES
    region = standing.out.region.download()
    region[standing.out.width + 65] = 1.0
    standing.out.region.write(region)
    assert "nearest 1 past the edge" in str(guards_of(standing).damage())


def guards_of(standing: Standing) -> Any:
    guards = standing.out.sentinels
    assert guards is not None
    return guards


def test_a_changed_input_is_a_fault(pocl: Device) -> None:
    standing = stand_up(pocl, "plain", prepare("copy", _case("copy", "N=65")))
    assert standing.judge().ok
    (given,) = standing.inputs
    assert given is not None
    region = given.region.download()
    region[given.width + 7] += 1
    region[0] = 3.0
    given.region.write(region)
    assert "2 elements" in str(given.change())


def test_exact_buffers_for_a_bounds_checker(pocl: Device) -> None:
    standing = stand_up(pocl, "plain", prepare("copy", _case("copy", "N=65")), guard=False)
    assert standing.out.region.shape == (65,)
    assert standing.out.sentinels is None
    assert standing.judge().ok


def test_check_case_takes_parameters(pocl: Device) -> None:
    assert check_case(pocl, "copy", "cpu", _case("copy", "N=65"), params={"VEC": 8}).ok


def test_soak_finds_a_single_flipped_bit(pocl: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card whose memory forgets: one bit in the fifth read of a result, too small for any tolerance."""
    n_runs = 0
    honest = check_module.Standing.run

    def forgetful(self: Standing) -> Any:
        nonlocal n_runs
        n_runs += 1
        got = honest(self)
        if n_runs == 5:
            got.view(np.uint32)[3] ^= 1
        return got

    monkeypatch.setattr(check_module.Standing, "run", forgetful)
    found = _soak(pocl, [(prepare("triad", _case("triad", "N=65")), "plain")], 30.0, lambda _line: None)
    assert not found.ok
    assert found.n_repeats == 4
    assert found.first_difference is not None
    assert "triad plain on N=65: 1 of 65 values differ from the first run, at 3" in found.first_difference


def test_soak_lasts_and_counts(pocl: Device) -> None:
    report = run_selftest(pocl, ops=["fma_peak"], tiers=("small",), soak_s=0.3)
    assert report.soak is not None
    assert report.soak.ok
    assert report.soak.seconds >= 0.3
    assert report.soak.n_repeats >= report.soak.n_cases == 9
    assert str(report.soak).endswith("repeats of 9 cases in 0 s: all identical")


def test_outcome_of_a_passing_template_is_within_tolerance(pocl: Device) -> None:
    case = _case("softmax", "2x67")
    prepared = prepare("softmax", case)
    got = spec("softmax").plan(pocl, *prepared.arrays, template="cpu").run().download()
    assert compare(got, prepared.expected, prepared.tolerance).ok


RUSTICL = """
import json, sys
import rx580lab as rx
from rx580lab.selftest import run_selftest

report = run_selftest(rx.open_device("rusticl"), ops=sys.argv[1:])
print(json.dumps(report.as_dict()))
"""


@pytest.mark.parametrize("op", NAMES)
def test_rusticl_computes_right_too(op: str) -> None:
    """A second compiler and runtime, without multiply-add contraction: the tolerances hold there as well."""
    icd = require("rusticl")
    environment = {**os.environ, "RUSTICL_ENABLE": "llvmpipe", "OCL_ICD_VENDORS": icd}
    done = subprocess.run(
        [sys.executable, "-c", RUSTICL, op], env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["ok"], [line for line in report["lines"] if not line["ok"]]
    assert "rusticl" in report["device"]
    assert {line["op"] for line in report["lines"]} == {op}
    # What does not run there says why; of every op something runs.
    assert any(line["n_cases"] > 0 for line in report["lines"])
    assert all(line["n_cases"] > 0 or "llvmpipe" in line["reason"] for line in report["lines"])
