"""The command as people and programs use it: output, exit status, messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rx580lab import cli
from tests.report.test_compare import one_run
from tests.tree import ROOT

COMMANDS = ["devices", "selftest", "polaris", "run", "report", "compare", "history", "baseline", "models", "fit"]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_by_an_example(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert f"rx580lab {command}" in result.output.partition("Example:")[2]


def test_without_a_command_the_help_comes() -> None:
    assert all(command in invoke().output for command in COMMANDS)


def test_devices_for_people_and_for_programs() -> None:
    shown = invoke("devices")
    assert (shown.exit_code, "pocl/" in shown.output, "usable" in shown.output) == (0, True, True)
    listed = json.loads(invoke("devices", "--json").stdout)
    pocl = next(device for device in listed if device["selector"].startswith("pocl/"))
    assert (pocl["usable"], pocl["polaris"], pocl["event_clock"]) == (True, False, True)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["run", "no/such"], 1, "one of bench/attention"),
        (["run", "bench/gemm", "--set", "shap=1x1x1"], 1, "did you mean 'shape'"),
        (["run", "bench/gemm", "--set", "threads=many"], 1, "expected an int"),
        (["run", "bench/gemm", "--set", "threads=65"], 1, "expected at most 64, got 65"),
        (["run", "bench/gemm", "--set", "x y;print(1)=3"], 1, "expected a Python identifier"),
        (["run", "bench/gemm", "--set", "threads"], 2, "expected --set name=value"),
        (["run", "bench/gemm", "--resume", "--fresh"], 2, "got both"),
        (["run", "bench/gemm", "--device", "no such card"], 1, "expected a device named 'no such card'"),
        (["compare", "no/such", "no/such"], 1, "expected a run folder"),
        (["compare", "no/such", "no/such", "--min-effect", "-1"], 2, "greater than or equal to 0"),
        (["history", "bench/gemm"], 1, "expected one experiment with runs below"),
        (["baseline", "no/such"], 1, "the file is missing"),
        (["selftest", "--device", "1"], 1, "platform order is not fixed"),
        (["selftest", "--limits", "rx5800"], 1, "expected one of rx580"),
        (["selftest", "--op", "gem"], 1, "expected one of"),
    ],
)
def test_a_mistake_is_refused_in_words_before_anything_runs(
    arguments: list[str], status: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RX580LAB_REPORTS", str(tmp_path / "reports"))
    result = invoke(*arguments)
    assert (result.exit_code, message in result.output) == (status, True), result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "reports").exists()


def test_compare_history_and_baseline_for_people_and_for_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "reports"
    monkeypatch.setenv("RX580LAB_REPORTS", str(root))
    a, b = str(one_run(root)), str(one_run(root, lab=1.1, seed=900))
    shown = invoke("compare", a, b)
    assert (shown.exit_code, shown.stdout) == (0, f"{b}/compare.html\n")
    assert "B against A: SLOWER at 2 of 2 comparisons." in shown.stderr
    listed = json.loads(invoke("compare", a, b, "--json", "-o", str(tmp_path / "c.html")).stdout)
    assert (listed["counts"], listed["page"]) == ({"SLOWER": 2}, str(tmp_path / "c.html"))
    assert (tmp_path / "c.html").is_file()

    shown = invoke("history", "gemm")
    assert (shown.exit_code, shown.stdout) == (0, f"{root}/bench/gemm/history.html\n")
    assert "gemm/lab/time/median_ns" in shown.stderr
    listed = json.loads(invoke("history", "bench/gemm", "--metric", "ratio", "--json").stdout)
    assert {series["metric"] for series in listed["series"]} == {"gemm/lab/ratio"}

    assert invoke("baseline", a).stdout == f"{root}/baseline/gemm.json\n"
    listed = json.loads(invoke("compare", f"{root}/baseline/gemm.json", b, "--json").stdout)
    assert (listed["a"]["baseline"], listed["counts"]) == (True, {"SLOWER": 2})
    small = str(one_run(root, ci=True))
    refused = invoke("baseline", small)
    assert (refused.exit_code, "add --force to insist" in refused.output) == (1, True)
    forced = invoke("baseline", small, "--force")
    assert (forced.exit_code, "taken all the same: it is of CI size" in forced.stderr) == (0, True)


def test_without_ld_the_commands_say_how_to_cure_it(tmp_path: Path) -> None:
    """PATH without ``ld`` and an empty cache; ziglang, if installed, is hidden from the command."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'ziglang' else find(name, *rest)\n"
    )
    variables = {**os.environ, "PATH": str(tmp_path), "PYTHONPATH": str(tmp_path), "COLUMNS": "200"}
    variables |= {"RX580LAB_CACHE": str(tmp_path / "cache"), "POCL_CACHE_DIR": str(tmp_path / "pocl")}
    for command in (["devices"], ["selftest", "--device", "pocl"]):
        whole = [sys.executable, "-m", "rx580lab.cli", *command]
        done = subprocess.run(whole, env=variables, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
        words = " ".join((done.stdout + done.stderr).split())
        assert done.returncode in (0, 1), words  # 0: `devices` may find another usable one
        assert "binutils" in words
        assert "Traceback" not in words
