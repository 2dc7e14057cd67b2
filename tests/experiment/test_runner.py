from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
import zmq

from rx580lab.errors import ExperimentError, SpecError
from rx580lab.experiment import Progress, RunOutcome, identity, load_spec, run_spec
from rx580lab.experiment.context import RESULT_MIME
from rx580lab.results import RunFolder, read_point, runs
from rx580lab.results.records import Manifest, Point, PointEntry
from tests.experiment.conftest import alive_below

HEAD = """\
schema_version: 1
name: {name}
title: A toy
question: Does it run?
notebook: ../../notebooks/toy.ipynb
"""
# What a command line would run; the last line says how the run ended.
PROGRAM = """\
import sys
from pathlib import Path
from rx580lab.experiment import identity, run_spec
identity._package_hash = lambda: "package"
outcome = run_spec(sys.argv[1], reports=Path(sys.argv[2]))
print(outcome.path, outcome.status, outcome.signal_name)
sys.exit(0 if outcome.ok else 1)
"""
DEADLINE_S = 90.0


@pytest.fixture(autouse=True)
def unedited_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who edits the package while its tests run must not see "changed since" here."""
    monkeypatch.setattr(identity, "_package_hash", lambda: "package")


@dataclass
class Ran:
    outcome: RunOutcome
    steps: list[Progress]
    entries: dict[str, PointEntry] = field(init=False)
    points: dict[str, Point] = field(init=False)

    def __post_init__(self) -> None:
        folder = RunFolder.open(self.outcome.path)
        self.entries = {str(entry.params.get("behaviour")): entry for entry in folder.manifest.points}
        self.points = {
            name: read_point(folder.point_folder(entry.key))
            for name, entry in self.entries.items()
            if entry.status == "ok"
        }

    @property
    def manifest(self) -> Manifest:
        return RunFolder.open(self.outcome.path).manifest


def write_spec(bench: Path, name: str, text: str) -> Path:
    path = bench / "experiments" / "bench" / f"{name}.yml"
    path.write_text(HEAD.format(name=name) + text)
    return path


def run(spec: Path, reports: Path, **arguments: Any) -> Ran:
    steps: list[Progress] = []
    return Ran(run_spec(spec, reports=reports, progress=steps.append, **arguments), steps)


def start(spec: Path, reports: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(spec), str(reports)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(what: Callable[[], Any], process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < deadline, "waited too long"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def behaviours(bench: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """One run with a point for each way in which a point can end; it costs a kernel's start for each."""
    marks = tmp_path_factory.mktemp("marks")
    text = (
        f"params: {{size: 5, folder: '{marks}'}}\n"
        "sweep: {behaviour: [ok, raise, die, hang, silent]}\n"
        "resources: {threads: 2}\n"
        "limits: {cell_timeout_s: 8, retries: 0}\n"
        "gates:\n"
        "- {metric: toy/size, kind: correctness, max: 5, where: {behaviour: ok}}\n"
        "- {metric: toy/size, kind: speed, min: 6, where: {behaviour: ok}}\n"
        "- {metric: toy/none, kind: correctness, min: 1, where: {behaviour: ok}}\n"
        "- {metric: toy/size, kind: correctness, min: 1, where: {behaviour: die}}\n"
    )
    return run(write_spec(bench, "behaviours", text), tmp_path_factory.mktemp("reports"), ci=True)


@pytest.mark.parametrize(
    ("behaviour", "status", "error_type", "error"),
    [
        ("ok", "ok", None, None),
        ("raise", "failed", "ValueError", "cell 3 (act): the cell is at fault"),
        ("die", "failed", "DeadKernelError", "cell 3 (act): the kernel ended itself with exit status 7"),
        ("hang", "timeout", "CellTimeoutError", "cell 3 (act): ran longer than cell_timeout_s, 8 s"),
        ("silent", "invalid", "NoResult", "the notebook recorded no result"),
    ],
)
def test_how_a_point_ends(behaviours: Ran, behaviour: str, status: str, error_type: str | None, error: str) -> None:
    entry = behaviours.entries[behaviour]
    assert (entry.status, entry.error_type, entry.attempts) == (status, error_type, 1)
    assert (error or "") in (entry.error or "")
    assert None not in (entry.started, entry.ended, entry.seconds)
    assert "executed.ipynb" in entry.files


def test_failed_points_fail_the_run_and_say_why(behaviours: Ran) -> None:
    outcome, manifest = behaviours.outcome, behaviours.manifest
    assert (outcome.ok, outcome.status, manifest.status) == (False, "failed", "failed")
    assert manifest.reason == outcome.reason
    key = behaviours.entries["raise"].key
    assert f"point {key}: ValueError: cell 3 (act): the cell is at fault" in (manifest.reason or "")
    assert manifest.ended is not None
    assert manifest.hashes.keys() == {"spec", "notebook", "package", "kernels", "device"}


def test_gates_are_judged_on_what_was_recorded(behaviours: Ran) -> None:
    gates = {(g.metric, g.bound, g.point == behaviours.entries["ok"].key): g for g in behaviours.manifest.gates}
    assert len(gates) == 4
    kept, speed = gates["toy/size", "max", True], gates["toy/size", "min", True]
    assert (kept.ok, kept.enforced, kept.value) == (True, True, 5.0)
    assert (speed.ok, speed.enforced) == (False, False), "under --ci a gate on speed is only reported"
    assert "toy/size 5 elements misses >= 6" in speed.reason
    missing, no_point = gates["toy/none", "min", True], gates["toy/size", "min", False]
    assert (missing.ok, missing.enforced, missing.value) == (False, True, None)
    assert "no such metric; recorded: toy/began, toy/ended, toy/size" in missing.reason
    assert (no_point.ok, no_point.value) == (False, None)


def test_the_kernel_s_sockets_are_encrypted(behaviours: Ran) -> None:
    assert f"mechanism={zmq.CURVE}" in behaviours.points["ok"].notes


def test_a_timed_point_has_its_threads_pinned_and_counted(behaviours: Ran) -> None:
    names = ("POCL_MAX_PTHREAD_COUNT", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    assert {"POCL_AFFINITY=1", *(f"{name}=2" for name in names)} <= set(behaviours.points["ok"].notes)
    assert "POCL_AFFINITY" not in os.environ
    assert behaviours.entries["ok"].params["threads"] == 2


def test_progress_names_points_and_cells(behaviours: Ran) -> None:
    first = [step for step in behaviours.steps if step.point == 1]
    assert [(s.kind, s.cell) for s in first] == [
        ("point_start", 0),
        *[(kind, cell) for cell in (1, 2, 3, 4) for kind in ("cell_start", "cell_end")],
        ("point_end", 0),
    ]
    assert {s.n_cells for s in first if s.cell} == {4}
    assert [s.text for s in first if s.kind == "cell_start"] == ["parameters", "Parameters", "act", "record"]
    assert first[0].text == "behaviour=ok"
    last = behaviours.steps[-1]
    assert (last.kind, last.status) == ("run_end", "failed")


def test_the_executed_notebook_carries_the_result(behaviours: Ran) -> None:
    entry = behaviours.entries["ok"]
    folder = behaviours.outcome.path / "points" / entry.key
    cells = nbformat.read(folder / "executed.ipynb", as_version=4).cells
    outputs = [output for cell in cells for output in cell.outputs if "data" in output]
    payload = next(output.data[RESULT_MIME] for output in outputs if RESULT_MIME in output.data)
    assert payload["metrics"]["toy/size"]["value"] == 5.0
    assert "samples_ns" not in payload["series"][0]


def test_a_run_is_reported(behaviours: Ran) -> None:
    assert (behaviours.outcome.path / "report.html").stat().st_size > 0
    assert (behaviours.outcome.path.parents[2] / "index.html").exists()


def test_nothing_is_left_alive(behaviours: Ran) -> None:
    assert alive_below(behaviours.outcome.path) == []


def signal_at_act(number: signal.Signals, reports: Path, wanted: str) -> Callable[[Progress], None]:
    """A callback that signals the point's processes whose command line has ``wanted``, when its cell begins."""

    def callback(step: Progress) -> None:
        if step.text == "act":
            for pid in alive_below(reports):
                if wanted in " ".join(psutil.Process(pid).cmdline()):
                    os.kill(pid, number)

    return callback


def test_wall_limit_ends_even_processes_that_do_not_run(bench: Path, tmp_path: Path) -> None:
    spec = write_spec(bench, "wall", "params: {behaviour: hang}\nlimits: {wall_s: 6}\n")
    outcome = run_spec(spec, reports=tmp_path, progress=signal_at_act(signal.SIGSTOP, tmp_path, ""))
    (entry,) = RunFolder.open(outcome.path).manifest.points
    assert (entry.status, entry.error_type, entry.attempts) == ("timeout", "WallLimitExceeded", 1)
    assert entry.error == "ran longer than wall_s, 6 s"
    assert alive_below(tmp_path) == []


def test_a_lost_process_is_told_and_its_kernel_ended(bench: Path, tmp_path: Path) -> None:
    spec = write_spec(bench, "lost", "params: {behaviour: hang}\n")
    kill, left = signal_at_act(signal.SIGKILL, tmp_path, "point_process"), []

    def callback(step: Progress) -> None:
        kill(step)
        if step.kind == "point_end":
            left.append(alive_below(tmp_path))

    outcome = run_spec(spec, reports=tmp_path, progress=callback)
    (entry,) = RunFolder.open(outcome.path).manifest.points
    assert (entry.status, entry.error_type) == ("failed", "ProcessDied")
    assert "the point's process was ended by SIGKILL" in (entry.error or "")
    assert left == [[]]


def test_a_retry_heals_but_never_rerolls_a_wrong_result(bench: Path, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    text = (
        f"params: {{folder: '{marks}'}}\nsweep: {{behaviour: [once, wrong]}}\nlimits: {{retries: 2}}\n"
        "gates:\n- {metric: toy/size, kind: speed, min: 6, where: {behaviour: once}}\n"
    )
    ran = run(write_spec(bench, "retry", text), tmp_path / "reports")
    assert (ran.entries["once"].status, ran.entries["once"].attempts) == ("ok", 2)
    assert (ran.entries["wrong"].status, ran.entries["wrong"].attempts) == ("failed", 1)
    assert "executed-attempt1.ipynb" in ran.entries["once"].files
    (retry,) = [step for step in ran.steps if step.kind == "retry"]
    assert retry.text == "OSError: cell 3 (act): first attempt; attempt 2 of 3"
    assert "gate at point" in (ran.outcome.reason or ""), "a full run enforces its gates on speed"
    assert "misses >= 6" in (ran.outcome.reason or "")


def test_sigkill_half_way_then_the_same_command_resumes(bench: Path, tmp_path: Path) -> None:
    marks, reports = tmp_path / "marks", tmp_path / "reports"
    marks.mkdir()
    spec = write_spec(bench, "killed", f"params: {{folder: '{marks}'}}\nsweep: {{behaviour: [ok, wait]}}\n")
    process = start(spec, reports)
    wait_for((marks / "started").exists, process)
    assert len(alive_below(reports)) >= 2
    process.kill()
    process.communicate()
    killed_at = time.monotonic()
    wait_for(lambda: alive_below(reports) == [])
    assert time.monotonic() - killed_at < 20

    (killed,) = runs(reports)
    assert killed.manifest.status == "killed"
    before = {entry.params["behaviour"]: entry for entry in killed.manifest.points}
    assert (before["ok"].status, before["wait"].status) == ("ok", "killed")
    record = killed.point_folder(before["ok"].key) / "point.json"
    written = record.stat().st_mtime_ns

    (marks / "go").touch()
    resumed = run(spec, reports)
    assert (resumed.outcome.path, resumed.outcome.status) == (killed.path, "ok")
    assert {name: entry.attempts for name, entry in resumed.entries.items()} == {"ok": 1, "wait": 2}
    assert record.stat().st_mtime_ns == written
    assert "1 of 2 points are done" in resumed.steps[0].text

    with pytest.raises(ExperimentError, match="expected an unfinished run"):
        run(spec, reports, mode="resume")
    again = run(spec, reports, overrides={"behaviour": "ok"})
    assert again.outcome.path != killed.path, "a run that ended is history: repeating it makes another"


def test_sigterm_marks_the_run_and_what_changed_is_not_resumed(bench: Path, tmp_path: Path) -> None:
    marks, reports = tmp_path / "marks", tmp_path / "reports"
    marks.mkdir()
    text = f"params: {{folder: '{marks}', behaviour: wait}}\n"
    spec = write_spec(bench, "stopped", text)
    process = start(spec, reports)
    wait_for((marks / "started").exists, process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert output.split()[-2:] == ["killed", "SIGTERM"]
    assert alive_below(reports) == []
    (stopped,) = runs(reports)
    raw = json.loads((stopped.path / "manifest.json").read_text())
    assert (raw["status"], raw["reason"]) == ("killed", "ended by SIGTERM; the same command resumes it")
    assert raw["points"][0]["status"] == "killed"

    write_spec(bench, "stopped", text.replace("wait", "ok"))
    with pytest.raises(ExperimentError, match=f"{stopped.path.name} is unfinished, but spec changed since"):
        run(spec, reports, mode="resume")
    other = run(spec, reports)
    assert other.outcome.ok
    assert other.outcome.path != stopped.path
    assert other.steps[0].text == f"{stopped.path.name} was killed, but spec changed since: starting anew"


def test_two_runs_at_once_time_one_after_the_other(bench: Path, tmp_path: Path) -> None:
    spec = write_spec(bench, "twice", "params: {behaviour: brief}\n")
    processes = [start(spec, tmp_path), start(spec, tmp_path)]
    outputs = [process.communicate(timeout=DEADLINE_S) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    found = runs(tmp_path)
    assert len(found) == 2
    assert [folder.manifest.status for folder in found] == ["ok", "ok"]
    timed = []
    for folder in found:
        metrics = read_point(folder.point_folder(folder.manifest.points[0].key)).metrics
        timed.append((metrics["toy/began"].value, metrics["toy/ended"].value))
    (_, first_ended), (second_began, _) = sorted(timed)
    assert first_ended <= second_began
    assert any("waiting: bench/twice" in errors for _, errors in outputs)


def test_nothing_starts_for_a_spec_that_is_wrong(bench: Path, tmp_path: Path) -> None:
    spec = write_spec(bench, "refused", "params: {sise: 3}\n")
    with pytest.raises(SpecError):
        run(spec, tmp_path)
    with pytest.raises(SpecError):
        run(write_spec(bench, "refused", ""), tmp_path, overrides={"x y;print(1)": "3"})
    assert list(tmp_path.iterdir()) == []


def test_the_command_runs_it_again(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rx580lab.experiment.places import experiments_dir
    from rx580lab.experiment.runner import _command

    monkeypatch.chdir(bench)
    spec = load_spec(write_spec(bench, "again", ""), overrides={"behaviour": "a b"})
    expected = "rx580lab run experiments/bench/again.yml --set 'behaviour=a b' --device 'RX 580' --ci"
    assert _command(spec, "RX 580", ci=True) == expected
    monkeypatch.setenv("RX580LAB_LIMITS", "rx580")
    shipped = load_spec(experiments_dir() / "bench" / "gemm.yml")
    assert _command(shipped, None, ci=False) == "RX580LAB_LIMITS=rx580 rx580lab run bench/gemm"
