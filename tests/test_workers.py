"""`make test` deals the suite out to workers: a fault there is as loud as one by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.tree import ROOT
from tests.workers import FIRST, rank

FAULTS = """
import os

def test_before():
    assert True

def test_wrong():
    print("words before the fault")
    assert 1 + 1 == 3

def test_fatal():
    os._exit(3)

def test_after():
    assert True
"""


def test_a_fault_is_shown_and_a_lost_worker_costs_one_test(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_xdist_make_scheduler\n")
    (tmp_path / "test_faults.py").write_text(FAULTS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # the others take 1.5 s a process
    command = [sys.executable, "-m", "pytest", "-p", "xdist", "--numprocesses=2", "--dist=loadfile"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1, done.stderr
    assert "2 failed, 2 passed" in done.stdout
    assert "words before the fault" in done.stdout
    assert "crashed while running 'test_faults.py::test_fatal'" in done.stdout


def test_files_that_take_long_come_first() -> None:
    assert all((ROOT / file).is_file() for file in FIRST)
    assert sorted(["tests/ops/test_gemm.py::a", "tests/test_experiments.py::b", f"{FIRST[0]}::c"], key=rank) == [
        f"{FIRST[0]}::c", "tests/ops/test_gemm.py::a", "tests/test_experiments.py::b",
    ]  # fmt: skip
