"""The simulator's checks: quiet on our kernels, loud on planted faults, and never passed by an empty log alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from rx580lab.errors import InputError
from rx580lab.ops import specs
from rx580lab.selftest.sanitize import CHECKS, CheckResult, Finding, judge, parse_log, sanitize
from tests.requirements import require
from tests.selftest.planting import Fault, plant

LOG = """
Invalid write of size 4 at global memory address 0x1000000000190
\tKernel: copy_gpu
\tEntity: Global(100,0,0) Local(36,0,0) Group(1,0,0)
\t  store float %1, float addrspace(1)* %arrayidx, align 4, !dbg !21
\tAt line 51 (column 9) of copy.cl:
\t  out[i] = x[i];


Read-write data race at local memory address 0x1000000000040
\tKernel: softmax_wave
\t
\tFirst entity:  Global(16,0,0) Local(16,0,0) Group(0,0,0)
\t  store float %call24, float addrspace(3)* %arrayidx.i, align 4
\tAt line 21 (column 1) of softmax_wave.cl:
\t  //
\t

Read-write data race at local memory address 0x1000000000044
\tKernel: softmax_wave
\t
\tFirst entity:  Global(17,0,0) Local(17,0,0) Group(0,0,0)
\tAt line 21 (column 1) of softmax_wave.cl:
\t  //
\t

Oclgrind - OpenCL runtime error detected
\tFunction: clGetDeviceInfo
\tError:    CL_INVALID_VALUE
\tFor argument 'param_name'


Oclgrind - OpenCL runtime error detected
\tFunction: clCreateKernel
\tError:    CL_INVALID_KERNEL_NAME
\tKernel '_source' not found


Oclgrind - OpenCL runtime error detected
\tFunction: clEnqueueNDRangeKernel
\tError:    CL_INVALID_WORK_GROUP_SIZE
\tWork group size does not match reqd_work_group_size
"""

RACY = "barrier(CLK_LOCAL_MEM_FENCE); /* {} */"
LOST_ROWS = "  const uint width = row < n_rows ? n_cols : 0;"
SOFTMAX_GROUPS = frozenset({"softmax_wave", "softmax_gpu", "softmax_gpu_partial", "softmax_gpu_write"})

# (check, fault): `templates` names kernels here, `reason` the kind of finding.
FAULTS = [
    ("races", Fault(
        "missing barrier before the columns", "include/reduce.h", RACY.format("all values are there"), "", "softmax",
        SOFTMAX_GROUPS, "race",
    )),
    ("races", Fault(
        "missing barrier after the columns", "include/reduce.h", RACY.format("all columns are there"), "", "softmax",
        SOFTMAX_GROUPS, "race",
    )),
    ("races", Fault(
        "missing barrier between reductions", "include/reduce.h",
        RACY.format("the last reduction may still be being read"), "", "softmax", SOFTMAX_GROUPS, "race",
    )),
    ("races", Fault(
        "missing barrier before refilling the tiles", "gemm_gpu.cl",
        "barrier(CLK_LOCAL_MEM_FENCE); // everyone has finished with the tiles of the last turn", "", "gemm",
        frozenset({"gemm_gpu"}), "race",
    )),
    ("races", Fault(
        "missing barrier after filling the tiles", "gemm_gpu.cl",
        "barrier(CLK_LOCAL_MEM_FENCE); // the tiles are complete", "", "gemm", frozenset({"gemm_gpu"}), "race",
    )),
    ("bounds", Fault(
        "barrier that some rows skip", "softmax_wave.cl", LOST_ROWS,
        "  if (row >= n_rows) return;\n  const uint width = n_cols;", "softmax", frozenset({"softmax_wave"}),
        "divergence",
    )),
    ("bounds", Fault(
        "read and write past the end", "triad.cl", "if (i + VEC <= n) {", "if (i < n) {", "triad",
        frozenset({"triad_gpu"}), "Invalid",
    )),
    ("uninitialized", Fault(
        "sum never written", "softmax_gpu.cl", "    sums[segment] = sum;", "", "softmax",
        frozenset({"softmax_gpu_write"}), "Uninitialized",
    )),
]  # fmt: skip


def test_log_is_counted_and_rid_of_pyopencls_own_questions() -> None:
    assert parse_log(LOG) == [
        Finding("Invalid write", "copy_gpu", "at copy.cl:51"),
        Finding("Read-write data race", "softmax_wave", "at softmax_wave.cl:21", count=2),
        Finding(
            "API error",
            "clEnqueueNDRangeKernel",
            "CL_INVALID_WORK_GROUP_SIZE: Work group size does not match reqd_work_group_size",
        ),
    ]
    assert parse_log("") == []


def test_an_empty_log_without_launches_is_no_pass() -> None:
    said = {"ran": {"copy plain": 3, "copy cpu": 0}, "refused": {"copy gpu": "too small"}, "wrong": [], "n_cases": 3}
    result = judge("bounds", ["copy"], said, [])
    assert not result.ok
    assert result.reason == "no proof of a launch for copy gpu, copy cpu: too small"


def test_a_wrong_result_is_no_pass_even_with_an_empty_log() -> None:
    ran = {f"copy {template}": 3 for template in ("plain", "gpu", "cpu")}
    said = {"ran": ran, "refused": {}, "wrong": ["copy cpu on N=1: never written"], "n_cases": 9}
    assert judge("bounds", ["copy"], said, []).reason == "copy cpu on N=1: never written"
    assert judge("bounds", ["copy"], {**said, "wrong": []}, []).ok


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="expected checks among"):
        sanitize(["copy"], ["leaks"])
    with pytest.raises(InputError, match="expected one of"):
        sanitize(["copi"])


@pytest.mark.parametrize("check", CHECKS)
def test_every_template_is_clean(check: str) -> None:
    require("oclgrind")
    (result,) = sanitize(checks=[check])
    assert result.ok, result
    assert set(result.ran) == {f"{spec.name} {t.name}" for spec in specs() for t in spec.templates}
    assert all(result.ran.values())


@pytest.mark.parametrize(("check", "fault"), FAULTS, ids=str)
def test_planted_faults_are_found(check: str, fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("oclgrind")
    monkeypatch.setenv("RX580LAB_KERNELS", str(plant(fault, tmp_path)))
    (result,) = sanitize([fault.op], [check])
    assert isinstance(result, CheckResult)
    assert not result.ok
    seen = {finding.where for finding in result.findings if fault.reason.lower() in finding.kind.lower()}
    assert seen == fault.templates, result.findings
    assert result.reason is not None
    assert "findings, the first" in result.reason
