from __future__ import annotations

from pathlib import Path
from typing import Any

import ipywidgets
import pytest

import rx580lab as rx
from tests.report.synthetic import entry, environment, gemm_point, gemm_run, write_run
from tests.widgets.operate import control, controls, source, text


def small_run(root: Path, *, quickness: float = 1.0, driver: str = "PoCL 6.0", seed: int = 1, **fields: Any) -> Path:
    point = gemm_point(512, 512, 512, quickness=quickness, seed=seed)
    device = {**environment().device, "driver": driver}
    point.environment = environment(device=device)
    return write_run(root, [(entry("a1", params=point.params), point)], **fields)


def labels(panel: object) -> list[str]:
    return [label for label, _ in control(panel, "Runs").options]


def test_filters_leave_what_they_say(tmp_path: Path) -> None:
    small_run(tmp_path)
    gemm_run(tmp_path)
    small_run(tmp_path, name="softmax")
    panel = rx.widgets.runs(tmp_path)
    assert {"rx-panel", "rx-runs"} <= set(panel._dom_classes)
    assert len(labels(panel)) == 3
    assert control(panel, "Status").options == ("all", "failed", "ok")
    control(panel, "Status").value = "failed"
    (label,) = labels(panel)
    assert "bench/gemm  failed  pocl" in label
    control(panel, "Status").value = "all"
    control(panel, "Experiment").value = "bench/softmax"
    (label,) = labels(panel)
    assert "bench/softmax  ok" in label
    control(panel, "Device").value = "pocl"
    assert len(labels(panel)) == 1


def test_one_run_shows_its_verdicts_checks_gates_and_report(tmp_path: Path) -> None:
    path = gemm_run(tmp_path)
    panel = rx.widgets.runs(tmp_path)
    control(panel, "Runs").value = (str(path),)
    said = text(panel)
    assert "Failed : oracle: rx580lab gemm_cpu at 4096x16x4096 gave values that are not finite" in said
    assert "lab against openblas FASTER" in said
    assert "lab against openblas SLOWER" in said
    assert "WRONG: 1 of 262144 values is not finite" in said
    assert "MISSED" in said
    assert "missing: no record of this point" in said
    assert "No report yet" in said
    rx.report.render_run(path)
    control(panel, "Runs").value = ()
    control(panel, "Runs").value = (str(path),)
    (link,) = [each for each in controls(panel) if isinstance(each, ipywidgets.Output)]
    assert "Open report" in link.outputs[0]["data"]["text/html"]


@pytest.mark.parametrize(("quickness", "word"), [(1.0, "SAME"), (0.8, "SLOWER"), (1.25, "FASTER")])
def test_two_runs_are_compared_the_older_one_first(tmp_path: Path, quickness: float, word: str) -> None:
    older = small_run(tmp_path, seed=1)
    newer = small_run(tmp_path, quickness=quickness, seed=5)
    panel = rx.widgets.runs(tmp_path)
    control(panel, "Runs").value = (str(newer), str(older))
    said = text(panel)
    assert f"A, the older one, is {older.name}" in said
    assert f"Compared : B against A: {word} at 1" in said
    assert "a ratio above 1 means that B is quicker" in said


def test_two_drivers_are_said_first_and_nothing_is_called_faster(tmp_path: Path) -> None:
    older, newer = small_run(tmp_path), small_run(tmp_path, quickness=2.0, driver="PoCL 7.0")
    panel = rx.widgets.runs(tmp_path)
    control(panel, "Runs").value = (str(older), str(newer))
    said = text(panel)
    assert "They are of different devices or drivers." in said
    assert said.index("PoCL 7.0") < said.index("other-device")
    assert "FASTER" not in said


def test_what_cannot_be_compared_or_read_is_said(tmp_path: Path) -> None:
    panel = rx.widgets.runs(tmp_path)
    assert "None : no runs below" in text(panel)
    gemm, other = small_run(tmp_path), small_run(tmp_path, name="softmax")
    damaged = small_run(tmp_path, title="<img src=x onerror=alert(1)>")
    control(panel, "Refresh").click()
    control(panel, "Runs").value = (str(damaged),)
    assert "<img" not in source(panel)
    assert "onerror=alert(1)&gt;" in source(panel)
    (damaged / "manifest.json").write_text("{")
    control(panel, "Refresh").click()
    assert sum("damaged" in label for label in labels(panel)) == 1
    control(panel, "Runs").value = (str(damaged),)
    assert "Damaged" in text(panel)
    control(panel, "Runs").value = (str(gemm), str(other))
    assert "Not compared : [compare] expected two runs of one experiment" in text(panel)
    control(panel, "Runs").value = (str(gemm), str(other), str(damaged))
    assert "Too many : 3 runs are selected; two can be compared" in text(panel)
