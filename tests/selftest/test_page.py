"""The list of ops: every op and template is there, and figures come from a baseline or are said to be missing."""

from __future__ import annotations

import re
from pathlib import Path

from rx580lab import ops
from rx580lab.results.baseline import baseline_from, write_baseline
from rx580lab.results.folder import RunFolder
from rx580lab.results.records import Metric
from rx580lab.selftest.page import page
from tests.report import synthetic


def test_every_op_and_template_has_its_row(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == sorted(ops.NAMES)
    for name in ops.NAMES:
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for template in ops.spec(name).templates:
            assert f"| `{template.name}` |" in section
        assert "Oracle: " in section
        assert "keywords" not in section.partition("\n\n")[2].partition("\n")[0], "every argument has its name"
    assert text.count("| not measured |") == len(ops.NAMES)
    assert "No baseline of `bench/ops` is committed" in text


def test_tables_are_whole(tmp_path: Path) -> None:
    widths: list[int] = []
    for line in page(tmp_path).splitlines():
        columns = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        if columns and widths:
            assert columns == widths[-1], line
        widths = [columns] if columns else []


def test_shares_of_the_roof_come_from_the_baseline(tmp_path: Path) -> None:
    point = synthetic.gemm_point(64, 48, 32)
    point.metrics["gemm/lab/roof/share"] = Metric(value=0.854, unit="1", higher_is_better=True)
    point.metrics["gemm/lab/rate/gflop_s"] = Metric(value=99.96, unit="GFLOP/s", higher_is_better=True)
    run = synthetic.write_run(tmp_path, [(synthetic.entry("a1"), point)], name="ops")
    write_baseline(tmp_path, baseline_from(RunFolder.open(run)))
    text = page(tmp_path)
    section = text.partition("\n## gemm\n")[2].partition("\n## ")[0]
    assert "Share of the roof on PoCL: 85% of arithmetic at M=64, N=48, K=32 (100 GFLOP/s)." in section
    assert text.count("| not measured |") == len(ops.NAMES) - 1
    assert "Shares are of run `" in text
