"""A finished run tells how it stands against the experiment's baseline, without being asked."""

from __future__ import annotations

from pathlib import Path

from rx580lab.experiment import Progress, run_spec
from rx580lab.results import RunFolder
from rx580lab.results.baseline import baseline_from, write_baseline

SPEC = """\
schema_version: 1
name: toy
title: A toy
question: Does it run?
notebook: ../../notebooks/toy.ipynb
params: {behaviour: ok}
"""


def notes(spec: Path, reports: Path) -> tuple[Path, list[str]]:
    steps: list[Progress] = []
    outcome = run_spec(spec, reports=reports, mode="fresh", progress=steps.append)
    return outcome.path, [step.text for step in steps if step.kind == "note"]


def test_a_later_run_is_held_against_the_baseline(spec_file: Path, tmp_path: Path) -> None:
    spec_file.write_text(SPEC)
    reference, told = notes(spec_file, tmp_path)
    assert told == []
    write_baseline(tmp_path, baseline_from(RunFolder.open(reference)))
    later, told = notes(spec_file, tmp_path)
    assert told == [f"against the baseline (run {reference.name}): AMBIGUOUS at 1 of 1 comparison."]
    page = (later / "report.html").read_text(encoding="utf-8")
    assert "Compared with the baseline" in page
    assert "few-samples" in page
