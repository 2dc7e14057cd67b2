"""The command `rx580lab serve`: what it takes, and how it says that it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from rx580lab.cli import app

FLAGS = ("models", "keys", "pepper-file", "device", "host", "port", "config", "set", "check", "insecure-no-auth",
         "query-keys", "log")  # fmt: skip


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["serve", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "models" / "m" / "1").mkdir(parents=True)
    (tmp_path / "models" / "m" / "1" / "model.onnx").write_bytes(b"none")
    return tmp_path / "models"


def test_help_names_each_flag_and_teaches_by_examples() -> None:
    text = run("--help").stdout
    assert [flag for flag in FLAGS if f"--{flag}" not in text] == []
    assert "rx580lab serve --models models" in text
    assert "rx580lab keys create" in text


def test_check_prints_what_would_be_served_and_where_it_came_from(models: Path) -> None:
    done = run("--models", str(models), "--insecure-no-auth", "--device", "pocl", "--port", "0", "--set",
               "limits.user=7", "--check")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    found = yaml.safe_load(done.stdout)
    assert (found["models"], found["port"], found["limits"]["user"]) == (str(models), 0, 7)
    assert "user: 7  # --set limits.user" in done.stdout
    assert "connections: 2000  # default" in done.stdout


def test_check_finds_all_problems_and_ends_with_1(models: Path, tmp_path: Path) -> None:
    keys, pepper = str(tmp_path / "keys.jsonl"), str(tmp_path / "pepper")
    done = run("--models", str(models / "none"), "--keys", keys, "--pepper-file", pepper, "--device", "no such",
               "--check", "--port", "0")  # fmt: skip
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 3
    assert "# default" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "expected models, got none"),
        (("--models", "m", "--host", "203.0.113.1", "--insecure-no-auth"), "expected a loopback host"),
        (("--models", "m", "--keys", "k", "--insecure-no-auth"), "expected either keys or insecure_no_auth"),
        (("--models", "m", "--set", "prot=1"), "did you mean port?"),
        (("--models", "m", "--port", "1", "--set", "port=2"), "expected port once"),
        (("--models", "m", "--config", "nowhere.yml"), "nowhere.yml"),
    ],
)
def test_what_is_wrong_is_said_and_ends_with_1(arguments: tuple[str, ...], expected: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_an_assignment_without_a_value_is_wrong_usage() -> None:
    assert run("--models", "m", "--set", "port").exit_code == 2
