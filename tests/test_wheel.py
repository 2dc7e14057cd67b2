"""The wheel works outside a checkout: built, installed with its real dependencies in a clean environment, and run.

The installation is a real one, from the package index or pip's cache (about 35 s): a short cut through this
environment's packages would hide a dependency that only the extras bring.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.tree import ROOT, tracked


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def outside(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder far from the checkout, with the wheel installed in its ``.venv``."""
    folder = tmp_path_factory.mktemp("outside")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    # What is imported is compiled then: the rest would take half the time of all.
    pip("--python", str(folder / ".venv/bin/python"), "install", "--no-compile", str(wheel))
    return folder


def pip(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *arguments, "--quiet"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def run(outside: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One installed command, with no trace of this session's settings or checkout.

    Its cache of built kernels is everybody's: it is keyed by the whole source text, which comes from the wheel.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RX580LAB_", "PYTHON"))}
    command = [str(outside / ".venv/bin/rx580lab"), *arguments]
    return subprocess.run(command, cwd=outside, env=environment, capture_output=True, text=True, timeout=500)


def test_kernels_notebooks_and_experiments_travel_along(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    places = {"kernels": "_kernels", "notebooks": "_share/notebooks", "experiments": "_share/experiments"}
    for folder, place in places.items():
        files = tracked(f"{folder}/*")
        assert files != ()
        assert {f"rx580lab/{place}/{path.relative_to(folder).as_posix()}" for path in files} <= names
    data = {path.as_posix() for path in tracked("rx580lab/models/data/*")}
    assert len(data) == 3
    assert data <= names
    assert "rx580lab/py.typed" in names
    assert [name for name in names if name.startswith(("tests/", "reports/"))] == []


def test_devices_are_found(outside: Path) -> None:
    done = run(outside, "devices", "--json")
    assert done.returncode == 0, done.stderr
    assert "pocl" in json.dumps(json.loads(done.stdout)).lower()


def test_selftest_passes(outside: Path) -> None:
    # Not of all ops: that every kernel travels along is known by now, and what they compute is tried in the checkout.
    done = run(outside, "selftest", "--device", "pocl", "--op", "gemm", "--op", "softmax", "--op", "copy")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in outside.iterdir()} == {".venv"}, "a selftest leaves nothing behind"


def test_a_shipped_experiment_runs_and_reports_under_the_current_folder(outside: Path) -> None:
    done = run(outside, "run", "bench/quickstart", "--ci", "--device", "pocl")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = Path(done.stdout.splitlines()[-1])
    assert (outside / folder).is_relative_to(outside / "reports")
    assert (outside / folder / "report.html").is_file()
