"""Which run the same command continues, decided on manifests alone."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from rx580lab.errors import ExperimentError
from rx580lab.experiment import Progress, Spec, load_spec
from rx580lab.experiment.runner import Mode, _is_intact, _run_to_resume
from rx580lab.results import RunFolder, runs, write_point
from rx580lab.results.files import sha256_of
from rx580lab.results.records import PointEntry, RunStatus
from tests.experiment.conftest import write_notebook
from tests.experiment.test_judge import check, point, series

HASHES = {"spec": "1", "package": "2"}


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    write_notebook(tmp_path / "toy.ipynb", "size: int = 1\n")
    path = tmp_path / "bench" / "toy.yml"
    path.parent.mkdir()
    path.write_text("schema_version: 1\nname: toy\ntitle: A toy\nnotebook: ../toy.ipynb\n")
    return load_spec(path)


def add(root: Path, status: RunStatus, *points: tuple[Any, str | None], hashes: dict[str, str] = HASHES) -> RunFolder:
    time.sleep(0.002)  # runs are ordered by the microsecond of their start
    entries = [PointEntry(key=f"k{i}", params={}, status=s, error_type=e) for i, (s, e) in enumerate(points)]
    fields: dict[str, Any] = {"spec": {}, "spec_file": "toy.yml", "command": "", "hashes": hashes, "points": entries}
    folder = RunFolder.create(root, kind="bench", name="toy", **fields)
    folder.manifest.status = status
    if status == "running":
        folder.manifest.pid = os.getppid()
        folder.manifest.process_started = _start_of(os.getppid())
    folder.save_manifest()
    return folder


def _start_of(pid: int) -> float:
    from rx580lab.results.process import process_start

    started = process_start(pid)
    assert started is not None
    return started


def chosen(root: Path, spec: Spec, mode: Mode = "new") -> tuple[Path | None, list[Progress]]:
    steps: list[Progress] = []
    run = _run_to_resume(root, spec, HASHES, mode, steps.append)
    return (run.path if run else None), steps


OK, KILLED, WRONG, RAISED = ("ok", None), ("killed", None), ("failed", "CheckFailed"), ("failed", "ValueError")


def test_the_newest_run_is_resumed_if_it_was_killed(tmp_path: Path, spec: Spec) -> None:
    add(tmp_path, "killed", OK, KILLED)
    newest = add(tmp_path, "killed", OK, WRONG, KILLED)
    path, steps = chosen(tmp_path, spec)
    assert path == newest.path
    assert "2 of 3 points are done" in steps[0].text
    assert RunFolder.open(newest.path).manifest.status == "running"


@pytest.mark.parametrize("ended", ["ok", "failed"])
def test_a_run_that_ended_since_is_repeated_and_older_ones_stay_dead(tmp_path: Path, spec: Spec, ended: Any) -> None:
    killed = add(tmp_path, "killed", OK, KILLED)
    add(tmp_path, ended, OK, OK if ended == "ok" else RAISED)
    assert chosen(tmp_path, spec) == (None, [])
    if ended == "ok":
        assert chosen(tmp_path, spec, "resume")[0] == killed.path


def test_a_run_at_work_is_left_alone(tmp_path: Path, spec: Spec) -> None:
    killed = add(tmp_path, "killed", KILLED)
    at_work = add(tmp_path, "running", ("running", None))
    assert chosen(tmp_path, spec)[0] == killed.path
    assert RunFolder.open(at_work.path).manifest.pid == os.getppid()
    assert chosen(tmp_path, spec) == (None, []), "the one just claimed is at work as well"


def test_resume_repeats_failed_cells_but_not_failed_checks(tmp_path: Path, spec: Spec) -> None:
    add(tmp_path, "failed", OK, WRONG)
    with pytest.raises(ExperimentError, match="expected an unfinished run of this experiment"):
        chosen(tmp_path, spec, "resume")
    raised = add(tmp_path, "failed", OK, RAISED)
    assert chosen(tmp_path, spec, "resume")[0] == raised.path


def test_what_differs_is_named(tmp_path: Path, spec: Spec) -> None:
    other = add(tmp_path, "killed", KILLED, hashes={"spec": "1", "package": "3"})
    path, steps = chosen(tmp_path, spec)
    assert path is None
    assert steps[0].text == f"{other.path.name} was killed, but package changed since: starting anew"
    with pytest.raises(ExperimentError, match="is unfinished, but package changed since"):
        chosen(tmp_path, spec, "resume")


def test_fresh_never_resumes_and_damage_is_passed_over(tmp_path: Path, spec: Spec) -> None:
    killed = add(tmp_path, "killed", KILLED)
    assert chosen(tmp_path, spec, "fresh") == (None, [])
    damaged = add(tmp_path, "killed", KILLED)
    (damaged.path / "manifest.json").write_text("{")
    assert len(runs(tmp_path)) == 2
    assert chosen(tmp_path, spec)[0] == killed.path


def test_a_finished_point_counts_only_while_its_record_is_whole(tmp_path: Path) -> None:
    run = add(tmp_path, "killed", OK)
    (entry,) = run.manifest.points
    folder = run.point_folder(entry.key)
    assert not _is_intact(run, entry)
    write_point(folder, point(series=[series("lab")], checks=[check("lab")]))
    entry.files = {name: sha256_of((folder / name).read_bytes()) for name in ("point.json", "samples.csv.gz")}
    assert _is_intact(run, entry)
    (folder / "samples.csv.gz").write_bytes(b"")
    assert not _is_intact(run, entry)
