"""The Makefile's set-up: done once, again after a change or a failure, with a clear word when it cannot be done.

``pip`` is stood in for by a script that notes its calls, so that no package is installed here; the real installation
is what runs this suite.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tree import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile and pyproject.toml, with an environment whose ``python`` notes each installation in ``calls``."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv/lib/python{}.{}/site-packages".format(*sys.version_info)).mkdir(parents=True)
    (tmp_path / ".venv/bin").mkdir()
    script(tmp_path / ".venv/bin/python", '[ "$3" != install ] || { echo "$@" >>calls; [ ! -e broken ]; }')
    return tmp_path


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)


def make(checkout: Path, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment["PATH"] = path or environment["PATH"]
    command = ["make", f"PYTHON={sys.executable}", *arguments]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=60)


def installations(checkout: Path) -> list[str]:
    calls = checkout / "calls"
    return [line.split()[-1] for line in calls.read_text(encoding="utf-8").splitlines()] if calls.exists() else []


def test_a_repeated_run_installs_nothing(checkout: Path) -> None:
    assert make(checkout, "env").returncode == 0
    assert make(checkout, "env").returncode == 0
    assert installations(checkout) == ["."]


def test_a_changed_pyproject_installs_again(checkout: Path) -> None:
    make(checkout, "env")
    with (checkout / "pyproject.toml").open("a", encoding="utf-8") as stream:
        stream.write("# changed\n")
    make(checkout, "env")
    assert installations(checkout) == [".", "."]


def test_a_failed_installation_is_done_again(checkout: Path) -> None:
    (checkout / "broken").touch()
    assert make(checkout, "env").returncode != 0
    (checkout / "broken").unlink()
    assert make(checkout, "env").returncode == 0
    assert make(checkout, "env").returncode == 0
    assert installations(checkout) == [".", "."]


def test_a_machine_without_a_linker_gets_one(checkout: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "sh", "cat", "sha256sum", "cut", "find", "touch"):
        (tools / name).symlink_to(shutil.which(name) or name)
    (tools / "make").symlink_to(shutil.which("make") or "make")
    assert make(checkout, "env", path=str(tools)).returncode == 0
    assert installations(checkout) == [".[linker]"]


def test_an_interpreter_that_is_too_old_is_named(checkout: Path) -> None:
    script(checkout / "old", "exit 1")
    done = make(checkout, "env", "PYTHON=./old")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer, and none of these is: ./old" in done.stderr
    assert installations(checkout) == []


def test_an_interpreter_without_venv_is_told_the_cure(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    script(checkout / "bare", f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"')
    done = make(checkout, "env", "PYTHON=./bare")
    assert done.returncode != 0
    assert "apt-get install python3-venv" in done.stderr
    assert not (checkout / ".venv").exists()


def test_help_needs_no_interpreter(checkout: Path) -> None:
    done = make(checkout, "PYTHON=./missing")
    assert done.returncode == 0
    assert "make report" in done.stdout
