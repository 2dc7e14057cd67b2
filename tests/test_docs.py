"""The README says what exists, and what it shows can be typed."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from rx580lab.experiment import load_spec
from rx580lab.experiment.places import find_experiment
from rx580lab.graph.page import page as operators
from rx580lab.selftest.page import page
from rx580lab.serve.page import page as serving
from tests.tree import ROOT, tracked

README = (ROOT / "README.md").read_text(encoding="utf-8")
# Those of the server are fields of one schema, which docs/serve.md lists: here they count as one.
SETTING = re.compile(r"\bRX580LAB_(?:SERVE(?=_)|(?!SERVE_)[A-Z][A-Z_]*[A-Z]\b)")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@cache
def commands() -> dict[str, Any]:
    """The subcommands of ``rx580lab``, by name."""
    from rx580lab.cli import app

    group: Any = typer.main.get_command(app)
    found: dict[str, Any] = group.commands
    return found


def subcommands(name: str) -> dict[str, Any]:
    """Those of a command that is a group of commands."""
    found: dict[str, Any] = getattr(commands()[name], "commands", {})
    return found


def test_the_list_of_ops_is_the_one_that_is_made() -> None:
    """``make docs`` makes it."""
    assert (ROOT / "docs/ops.md").read_text(encoding="utf-8") == page(ROOT / "reports")


def test_the_list_of_operators_is_the_one_that_is_made() -> None:
    """``make docs`` makes it."""
    assert (ROOT / "docs/operators.md").read_text(encoding="utf-8") == operators()


def test_the_page_of_the_server_is_the_one_that_is_made() -> None:
    """``make docs`` makes it."""
    assert (ROOT / "docs/serve.md").read_text(encoding="utf-8") == serving()


def examples() -> list[str]:
    """Each ``rx580lab ...`` line of the README's shell blocks, without its comment."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line.partition("  #")[0].strip() for line in lines if line.startswith("rx580lab ")]


def test_each_command_has_an_example() -> None:
    shown = {shlex.split(line)[1] for line in examples()}
    assert set(commands()) == shown


@pytest.mark.parametrize("line", examples())
def test_an_example_can_be_typed(line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    context = commands()[name].make_context(name, arguments)  # raises on an unknown option or a missing argument
    if "spec" in context.params:
        path = find_experiment(context.params["spec"])
        assert path.relative_to(ROOT) in tracked("experiments/*.yml")
        load_spec(path, overrides=dict(setting.split("=") for setting in context.params["assignments"] or []))


def test_each_command_and_option_has_help() -> None:
    groups = {f"{name} {sub}": command for name in commands() for sub, command in subcommands(name).items()}
    for name, command in {**commands(), **groups}.items():
        assert command.help, name
        assert [option.name for option in command.params if not option.help] == [], name


def test_each_setting_in_the_code_is_documented_and_the_other_way_round() -> None:
    sources = tracked("rx580lab/*.py", "Makefile", ".ci/run", "tests/requirements.py")
    used = {name for path in sources for name in SETTING.findall((ROOT / path).read_text(encoding="utf-8"))}
    assert used == set(SETTING.findall(README))


def test_each_make_target_in_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):.*## ", makefile, flags=re.MULTILINE))
    shown = set(re.findall(r"\bmake ([a-z]+)\b", README))
    assert shown == targets


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_examples_run(code: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RX580LAB_DEVICE", "pocl")
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - the README is ours
