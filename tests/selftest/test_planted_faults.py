"""Each hand-planted fault is caught by selftest, in the right op and template, for the right reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.selftest.planting import Fault, plant

TAIL = "  for (; i < end; ++i) {\n    out[i] = x[i];\n  }\n"

FAULTS = [
    Fault("dropped tail", "copy.cl", TAIL, "", "copy", frozenset({"cpu"}), "never written"),
    Fault(
        "dropped tail of a sum", "softmax_cpu.cl", "    total += e;", "", "softmax",
        frozenset({"cpu", "cpu_split"}), "values",
    ),
    Fault(
        "NaN output", "triad.cl", "        out[j] = MAC(b[j], s, a[j]);", "        out[j] = NAN;", "triad",
        frozenset({"gpu"}), "not finite",
    ),
    Fault(
        "write past the end", "copy.cl", "if (i + VEC <= n) {", "if (i < n) {", "copy", frozenset({"gpu"}),
        "wrote after the end of the output",
    ),
    Fault(
        "write before the start", "triad.cl", "    PUT(v0, out + i);", "    PUT(v0, out + i - VEC);", "triad",
        frozenset({"cpu"}), "never written",
    ),
    Fault(
        "one step too few", "fma_peak.cl", "for (uint step = 0; step < n_steps; ++step) {\n    EACH",
        "for (uint step = 1; step < n_steps; ++step) {\n    EACH", "fma_peak", frozenset({"cpu", "gpu"}),
        "beyond tolerance",
    ),
    Fault(
        "missing max shift", "softmax.cl", "exp_of(READ(x + i) - top)", "exp_of(READ(x + i))", "softmax",
        frozenset({"plain"}), "around 1000, -1000 and 0",
    ),
    Fault(
        "missing max shift", "softmax_wave.cl", "exp_of(v[k] - top)", "exp_of(v[k])", "softmax", frozenset({"wave"}),
        "around 1000, -1000 and 0",
    ),
    Fault(
        "missing max shift", "softmax_gpu.cl", "exp_of(READ(x + i) - top)", "exp_of(READ(x + i))", "softmax",
        frozenset({"gpu", "gpu_split"}), "",
    ),
    Fault(
        "missing max shift", "softmax_cpu.cl", "const float top = max_of(x, n_cols);",
        "const float top = 0.0f;", "softmax", frozenset({"cpu"}), "around 1000, -1000 and 0",
    ),
    Fault(
        "wrong leading dimension", "gemm.cl", "row : row * K", "row : row * N", "gemm", frozenset({"plain"}), "",
    ),
    Fault(
        "wrong leading dimension", "gemm_gpu.cl", "across * K + depth", "across * length + depth", "gemm",
        frozenset({"gpu"}), "",
    ),
    Fault(
        "wrong leading dimension", "include/panel.h", "++k, b += n, to += NR", "++k, b += NR, to += NR", "gemm",
        frozenset({"cpu", "cpu_inplace"}), "",
    ),
    Fault(
        "wrong leading dimension", "gemm_cpu_skinny.cl", "from = b + (size_t)(k0 + k) * N",
        "from = b + (size_t)(k0 + k) * K", "gemm", frozenset({"cpu_skinny"}), "",
    ),
]  # fmt: skip

# One process for all: a planted fault may crash it, and must not take the suite along.
CHILD = """
import json, os, sys
import rx580lab as rx
from rx580lab.selftest import run_selftest

device = rx.open_device("pocl")
for line in sys.stdin:
    kernels, op = json.loads(line)
    os.environ["RX580LAB_KERNELS"] = kernels
    report = run_selftest(device, ops=[op], tiers=("small",))
    print(json.dumps(report.as_dict()), flush=True)
"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[Fault, dict[str, Any]]:
    wanted = [(fault, plant(fault, tmp_path_factory.mktemp("planted"))) for fault in FAULTS]
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input="".join(json.dumps([str(root), fault.op]) + "\n" for fault, root in wanted),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {fault: json.loads(line) for (fault, _), line in zip(wanted, done.stdout.splitlines(), strict=True)}


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_selftest_names_the_op_the_template_and_the_reason(fault: Fault, reports: dict[Fault, dict[str, Any]]) -> None:
    report = reports[fault]
    assert not report["ok"]
    failed = {line["template"]: line["reason"] for line in report["lines"] if not line["ok"]}
    assert set(failed) == fault.templates, failed
    assert all(fault.reason in reason for reason in failed.values()), failed
    assert {line["op"] for line in report["lines"]} == {fault.op}


def test_planting_needs_its_text(tmp_path: Path) -> None:
    gone = Fault("nothing", "copy.cl", "no such text", "", "copy", frozenset(), "")
    with pytest.raises(AssertionError, match="plant it anew"):
        plant(gone, tmp_path)
