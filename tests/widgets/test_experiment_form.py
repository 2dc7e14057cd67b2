from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import ipywidgets
import psutil
import pytest

import rx580lab as rx
from rx580lab.results import RunFolder
from rx580lab.results import runs as all_runs
from rx580lab.widgets.parameter_field import parameter_fields
from tests.experiment.conftest import alive_below
from tests.widgets.operate import children_of, control, controls, ended, run_to_end, source, text, wait, wait_for

MODULE = "rx580lab.widgets.experiment_process"


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return tmp_path / "reports"


def only_run(reports: Path) -> RunFolder:
    (run,) = all_runs(reports)
    return run


def links(panel: object) -> list[str]:
    return [each.outputs[0]["data"]["text/html"] for each in controls(panel) if isinstance(each, ipywidgets.Output)]


def test_fields_follow_types_bounds_choices_and_help(toy: Path) -> None:
    fields = {field.parameter.name: field for field in parameter_fields(rx.experiment.load_spec(toy))}
    behaviour, scale, samples = (fields[name].control for name in ("behaviour", "scale", "n_samples"))
    assert isinstance(behaviour, ipywidgets.Dropdown)
    assert behaviour.options == ("ok", "wait", "raise", "die", "wrong")
    assert (scale.min, scale.max, scale.value) == (0.5, 2.0, 1.0)
    scale.value = 7
    assert scale.value == 2.0
    assert isinstance(fields["check"].control, ipywidgets.Checkbox)
    assert fields["size"].control.placeholder == "as swept: 4, 8"
    # A field of the protocol is bounded by the spec's schema, without a word in the spec.
    assert (type(samples), samples.min) == (ipywidgets.BoundedIntText, 1)
    assert "at least 0.5 m, at most 2.0 m. how large" in fields["scale"].box.children[1].value
    assert "device" not in fields


def test_what_is_changed_is_set_and_nothing_else(toy: Path) -> None:
    fields = {field.parameter.name: field for field in parameter_fields(rx.experiment.load_spec(toy))}
    assert {name: field.override() for name, field in fields.items() if field.override() is not None} == {}
    fields["check"].control.value = False
    fields["labels"].control.value = "[a, b]"
    fields["size"].control.value = "[16]"
    fields["n_samples"].control.value = 9
    given = {name: text for name, field in fields.items() if (text := field.override()) is not None}
    assert given == {"check": "false", "labels": "[a, b]", "size": "[16]", "n_samples": "9"}
    (point,) = rx.experiment.load_spec(toy, overrides=given).points()
    assert point == {**point, "check": False, "labels": ["a", "b"], "size": 16, "n_samples": 9}


def test_a_run_counts_points_and_cells_and_links_its_report(toy: Path, reports: Path) -> None:
    panel = rx.widgets.experiment(toy, reports=reports)
    assert "Ready" in text(panel)
    control(panel, "scale").value = 1.5
    control(panel, "Run").click()
    assert control(panel, "Run").disabled
    wait_for(panel, "Running : point 2 of 2: cell")
    ended(panel)
    assert "Ok : every point ran and is right" in text(panel)
    assert control(panel, "Points 2/2").value == 2
    (cells,) = [each for each in controls(panel) if re.fullmatch(r"Cells (\d+)/\1", getattr(each, "description", ""))]
    assert cells.value == cells.max
    run = only_run(reports)
    assert run.manifest.status == "ok"
    assert "--set scale=1.5" in run.manifest.command
    (link,) = links(panel)
    assert "Open report" in link
    assert f'href="{os.path.relpath(run.path, Path.cwd())}/report.html"'.replace(" ", "%20") in link


def test_cancel_ends_every_process_and_the_run_can_be_resumed(toy: Path, reports: Path, tmp_path: Path) -> None:
    panel = rx.widgets.experiment(toy, reports=reports)
    control(panel, "behaviour").value = "wait"
    control(panel, "Run").click()
    wait(lambda: (tmp_path / "started").exists(), panel)
    alive = [psutil.Process(pid) for pid in alive_below(reports)]
    assert len(alive) >= 2  # the point's process and its Jupyter kernel, besides the run's own
    alive += children_of(MODULE)
    control(panel, "Cancel").click()
    ended(panel)
    assert "Cancelled : while point 1 of 2" in text(panel)
    assert [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []
    assert only_run(reports).manifest.status == "killed"
    (tmp_path / "go").touch()
    assert "Ok" in run_to_end(panel, "Run")
    assert only_run(reports).manifest.status == "ok"


def test_a_failing_cell_is_told_and_the_panel_lives(toy: Path, reports: Path) -> None:
    panel = rx.widgets.experiment(toy, reports=reports)
    control(panel, "behaviour").value = "raise"
    control(panel, "size").value = "4"
    said = run_to_end(panel, "Run")
    assert "Failed" in said
    assert "the cell is at fault" in said
    assert not control(panel, "Run").disabled
    assert only_run(reports).manifest.status == "failed"


def test_a_wrong_value_starts_nothing(toy: Path, reports: Path) -> None:
    panel = rx.widgets.experiment(toy, reports=reports)
    control(panel, "size").value = "four"
    control(panel, "Run").click()
    assert "Refused" in text(panel)
    assert "--set size: expected an int, got 'four'" in text(panel)
    assert children_of(MODULE) == []
    assert all_runs(reports) == []


def test_a_device_that_is_not_there_is_said(toy: Path, reports: Path) -> None:
    panel = rx.widgets.experiment(toy, device="no such card", reports=reports)
    said = run_to_end(panel, "Run")
    assert "Refused" in said
    assert "expected a device named 'no such card', got none" in said


def test_a_run_whose_process_dies_is_told(toy: Path, reports: Path, tmp_path: Path) -> None:
    panel = rx.widgets.experiment(toy, reports=reports)
    control(panel, "behaviour").value = "wait"
    control(panel, "Run").click()
    wait(lambda: (tmp_path / "started").exists(), panel)
    os.kill(children_of(MODULE)[0].pid, signal.SIGKILL)
    ended(panel)
    assert "Crashed : the run's process was ended by SIGKILL while point 1 of 2" in text(panel)
    wait(lambda: alive_below(reports) == [], panel)


def test_texts_of_a_spec_are_text(toy: Path) -> None:
    panel = rx.widgets.experiment(toy)
    assert "A toy &lt;script&gt;alert(1)&lt;/script&gt;" in source(panel)
    assert "<script" not in source(panel)


def test_every_control_has_a_name_and_says_what_it_does() -> None:
    panel = rx.widgets.experiment("bench/gemm")
    assert {"rx-panel", "rx-experiment"} <= set(panel._dom_classes)
    for each in controls(panel):
        if hasattr(each, "description") and type(each).__name__ != "HTML":
            assert each.description, each
            assert each.tooltip or type(each).__name__ == "IntProgress", each.description
