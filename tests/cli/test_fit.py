"""``rx580lab fit`` as people and programs use it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from rx580lab import cli
from rx580lab.cli.fit import parse_bytes
from rx580lab.errors import InputError
from tests.graph.build import node, write


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["fit", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.fixture
def path(tmp_path: Path) -> str:
    kind = (np.float32, ("n", 3, "h", "w"))
    return str(write(tmp_path / "exp.onnx", [node("Exp", ["x"], ["y"])], {"x": kind}, {"y": kind}))


def test_it_fits_a_card_and_says_what_it_took_as_1(path: str) -> None:
    shown = invoke(path)
    assert shown.exit_code == 0
    assert "taken as 1: x" in shown.output
    assert "8 GiB" in shown.output


def test_for_people_it_says_by_how_much_it_does_not_fit(path: str) -> None:
    shown = invoke(path, "--memory", "1MiB", "--set", "x=1x3x256x256")
    assert shown.exit_code == 1
    assert "512 KiB too many" in shown.output
    assert "try a smaller batch or a smaller input" in shown.output


def test_for_programs(path: str) -> None:
    answer = json.loads(invoke(path, "--largest", "100kB", "--set", "x=1x3x256x256", "--json").stdout)
    assert (answer["fits"], answer["weights_bytes"], answer["arena_bytes"]) == (False, 0, 2 * 3 * 256 * 256 * 4)
    assert [one["name"] for one in answer["too_large"]] == ["x", "y"]
    assert (answer["lengths"], answer["assumed"]) == ({"x": [1, 3, 256, 256]}, [])


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("4GiB", 4 << 30), ("1.5 MiB", 3 << 19), ("512mb", 512_000_000), ("100kB", 100_000), ("77", 77), ("1G", 10**9)],
)
def test_bytes_are_read_as_they_are_written(text: str, n_bytes: int) -> None:
    assert parse_bytes(text) == n_bytes


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "0", "4TiB", "4 GiB more", "1e9"])
def test_other_words_are_refused(text: str, path: str) -> None:
    with pytest.raises(InputError, match="expected a number of bytes such as 4GiB"):
        parse_bytes(text)
    assert invoke(path, f"--memory={text}").exit_code == 1


def test_what_is_no_input_is_refused(path: str) -> None:
    shown = invoke(path, "--set", "z=1x3x8x8")
    assert (shown.exit_code, "expected lengths of x, got 'z'" in shown.output) == (1, True)
