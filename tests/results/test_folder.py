"""Run folders: whole or absent, told apart when killed, safe beside each other."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from rx580lab.errors import ResultError
from rx580lab.results.folder import MANIFEST_FILE, RunFolder, read_point, reports_root, runs, write_point
from rx580lab.results.process import host_name, is_alive, own_start, process_start
from tests.results.sample_records import manifest_fields, point


def create(root: Path, **changes: object) -> RunFolder:
    return RunFolder.create(root, **manifest_fields(**changes))


def rewrite(run: RunFolder, **changes: object) -> None:
    path = run.path / MANIFEST_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_created_run_is_running_in_its_place(tmp_path: Path) -> None:
    run = create(tmp_path)
    assert run.path.parent == tmp_path / "bench" / "copy"
    assert run.path.name == run.manifest.run
    assert [path.name for path in run.path.iterdir()] == [MANIFEST_FILE]
    assert [path.name for path in run.path.parent.iterdir()] == [run.path.name]
    read = RunFolder.open(run.path)
    assert read.manifest == run.manifest
    assert read.manifest.status == "running"
    assert read.manifest.pid == os.getpid()


def test_saved_manifest_is_what_others_read(tmp_path: Path) -> None:
    run = create(tmp_path)
    run.manifest.status = "failed"
    run.manifest.reason = "gate missed"
    run.save_manifest()
    again = RunFolder.open(run.path).manifest
    assert (again.status, again.reason) == ("failed", "gate missed")


def test_listing_is_newest_first_and_narrowed(tmp_path: Path) -> None:
    first, second, third = create(tmp_path), create(tmp_path), create(tmp_path)  # most likely of one second
    other = create(tmp_path, name="triad")
    load = create(tmp_path, kind="load")
    (tmp_path / "bench" / "copy" / "notes").mkdir()
    (tmp_path / "bench" / "copy" / f".{first.path.name}.1").mkdir()
    assert [run.path for run in runs(tmp_path)] == [r.path for r in (load, other, third, second, first)]
    assert [run.path for run in runs(tmp_path, "bench", "copy")] == [third.path, second.path, first.path]
    assert [run.path for run in runs(tmp_path, kind="load")] == [load.path]
    assert runs(tmp_path / "absent") == []


def test_damaged_manifest_is_listed_and_says_what_is_wrong(tmp_path: Path) -> None:
    whole, damaged, empty = create(tmp_path), create(tmp_path), create(tmp_path)
    (damaged.path / MANIFEST_FILE).write_text('{"schema_version": 1, "kind"')
    (empty.path / MANIFEST_FILE).unlink()
    listed = {run.path: run for run in runs(tmp_path)}
    assert set(listed) == {whole.path, damaged.path, empty.path}
    assert listed[whole.path].manifest == whole.manifest
    with pytest.raises(ResultError, match="expected JSON") as caught:
        _ = listed[damaged.path].manifest
    assert caught.value.where == str(damaged.path / MANIFEST_FILE)
    with pytest.raises(ResultError, match="file is missing"):
        _ = listed[empty.path].manifest
    with pytest.raises(ResultError, match="file is missing"):
        RunFolder.open(empty.path)


@pytest.mark.parametrize("name", ["", "Copy", "../copy", "a/b", "-a", "a" * 65, "a\n", 3, None])
def test_names_that_are_no_plain_names_are_refused(tmp_path: Path, name: object) -> None:
    with pytest.raises(ResultError, match="expected a name like"):
        create(tmp_path, name=name)
    assert list(tmp_path.iterdir()) == []


def test_point_keys_cannot_leave_the_run(tmp_path: Path) -> None:
    run = create(tmp_path)
    assert run.point_folder("0a1b") == run.path / "points" / "0a1b"
    with pytest.raises(ResultError, match="point key"):
        run.point_folder("../../x")


def test_reports_root_is_asked_for_set_or_beside_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RX580LAB_REPORTS", "/tmp/elsewhere")
    assert reports_root(Path("here")) == Path("here")
    assert reports_root() == Path("/tmp/elsewhere")
    monkeypatch.delenv("RX580LAB_REPORTS")
    assert reports_root() == Path("reports")


def test_run_whose_process_is_gone_was_killed(tmp_path: Path) -> None:
    run = create(tmp_path)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    started = process_start(gone.pid) or own_start()
    gone.wait()
    rewrite(run, pid=gone.pid, process_started=started)
    manifest = RunFolder.open(run.path).manifest
    assert manifest.status == "killed"
    assert manifest.reason == f"process {gone.pid} ended without finishing the run"
    assert [entry.status for entry in manifest.points] == ["pending", "killed"]


def test_reused_pid_is_not_mistaken_for_the_run(tmp_path: Path) -> None:
    run = create(tmp_path)
    rewrite(run, process_started=own_start() - 60)
    assert RunFolder.open(run.path).manifest.status == "killed"


def test_run_of_another_machine_is_left_alone_with_a_reason(tmp_path: Path) -> None:
    run = create(tmp_path)
    rewrite(run, host="elsewhere", pid=1, process_started=0.0)
    manifest = RunFolder.open(run.path).manifest
    assert manifest.status == "running"
    assert "cannot be told" in (manifest.reason or "")


def test_finished_run_of_a_dead_process_keeps_its_word(tmp_path: Path) -> None:
    run = create(tmp_path)
    rewrite(run, status="ok", process_started=0.0)
    assert RunFolder.open(run.path).manifest.status == "ok"


def test_zombie_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_start(child.pid)
    assert started is not None
    assert is_alive(child.pid, started, host_name())
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, but not yet reaped
    assert is_alive(child.pid, started, host_name()) is False
    child.communicate()


def test_killed_run_can_be_claimed_and_a_living_one_cannot(tmp_path: Path) -> None:
    run = create(tmp_path)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        rewrite(run, pid=other.pid, process_started=process_start(other.pid))
        with pytest.raises(ResultError, match=f"process {other.pid} on .* is at work"):
            RunFolder.open(run.path).claim()
    finally:
        other.kill()
        other.communicate()
    RunFolder.open(run.path).claim()
    manifest = RunFolder.open(run.path).manifest
    assert (manifest.status, manifest.reason, manifest.pid) == ("running", None, os.getpid())


WRITER = """
    import sys
    from pathlib import Path
    from rx580lab.results.folder import RunFolder, write_point
    from tests.results.sample_records import manifest_fields, point
    root, n = Path(sys.argv[1]), int(sys.argv[2])
    run = RunFolder.create(root, **manifest_fields())
    for i in range(n):
        write_point(run.point_folder(f"p{i % 3}"), point(title=f"round {i}"))
        run.manifest.reason = "x" * (i * 37 % 4000)
        run.save_manifest()
        print(run.path, flush=True)
    run.manifest.status = "ok"
    run.save_manifest()
"""


def start_writer(root: Path, n: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(root), str(n)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def test_two_runs_at_once_do_not_corrupt_each_other(tmp_path: Path) -> None:
    writers = [start_writer(tmp_path, 30) for _ in range(2)]
    n_reads = 0
    while any(writer.poll() is None for writer in writers):
        for run in runs(tmp_path):  # a reader beside the writers never sees half a file
            assert run.manifest.status in ("running", "ok")
            n_reads += 1
    assert n_reads > 0
    assert [writer.communicate()[1] for writer in writers] == [None, None]
    assert [writer.returncode for writer in writers] == [0, 0]
    found = runs(tmp_path)
    assert [run.manifest.status for run in found] == ["ok", "ok"]
    for run in found:
        assert [read_point(run.point_folder(f"p{i}")).title for i in range(3)] == [f"round {27 + i}" for i in range(3)]


def test_sigkill_leaves_a_readable_killed_run(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, 100_000)
    assert writer.stdout is not None
    for _ in range(4):
        path = Path(writer.stdout.readline().strip())
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    [run] = runs(tmp_path)
    assert run.path == path
    assert run.manifest.status == "killed"
    assert read_point(run.point_folder("p0")).title.startswith("round ")


def test_run_name_that_is_taken_is_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rx580lab.results.folder.utc_now", lambda: "2026-11-24T10:30:00.000001Z")
    draws = iter(["aaaaaa", "aaaaaa", "bbbbbb"])
    monkeypatch.setattr("rx580lab.results.folder.secrets.token_hex", lambda n: next(draws) if n == 3 else "00" * n)
    names = [create(tmp_path).path.name for _ in range(2)]
    assert names == ["20261124T103000Z-aaaaaa", "20261124T103000Z-bbbbbb"]
    assert {path.name for path in (tmp_path / "bench" / "copy").iterdir()} == set(names)


def test_written_point_lies_where_the_run_says(tmp_path: Path) -> None:
    run = create(tmp_path)
    write_point(run.point_folder("0a1b"), point())
    assert read_point(run.path / "points" / "0a1b").title == point().title


CLAIMER = """
    import sys
    from pathlib import Path
    from rx580lab.errors import ResultError
    from rx580lab.results.folder import RunFolder
    run = RunFolder.open(Path(sys.argv[1]))
    print(run.manifest.status, flush=True)
    try:
        run.claim()
        print("claimed", flush=True)
        sys.stdin.read()
    except ResultError as error:
        print(error, flush=True)
"""


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_of_two_processes_that_claim_at_once_one_gets_the_run(tmp_path: Path) -> None:
    run = create(tmp_path)
    rewrite(run, process_started=0.0)
    command = [sys.executable, "-c", textwrap.dedent(CLAIMER), str(run.path)]
    with (run.path / ".claim").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        claimers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        assert [line(claimer) for claimer in claimers] == ["killed", "killed"]
        time.sleep(0.3)  # time enough to claim, if the lock were not there
        assert RunFolder.open(run.path).manifest.status == "killed"
    answers = [line(claimer) for claimer in claimers]
    for claimer in claimers:
        claimer.communicate()
    assert sorted(answer == "claimed" for answer in answers) == [False, True]
    assert any("is at work on this run" in answer for answer in answers)
