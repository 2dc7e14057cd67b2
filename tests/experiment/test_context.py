from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rx580lab.errors import ExperimentError
from rx580lab.experiment import current_point
from rx580lab.experiment.context import _context
from rx580lab.experiment.request import POINT_VARIABLE, PointRequest
from rx580lab.results import read_point
from tests.experiment.test_judge import point


@pytest.fixture(autouse=True)
def fresh_context() -> Iterator[None]:
    _context.cache_clear()
    yield
    _context.cache_clear()


def request(folder: Path) -> PointRequest:
    return PointRequest(
        key="abc",
        run="20261124T000000Z-abcdef",
        experiment="bench/toy",
        notebook="toy.ipynb",
        folder=str(folder),
        params={"size": 4, "labels": ["a"]},
        start_timeout_s=60,
        cell_timeout_s=300,
    )


def test_interactive_records_into_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(POINT_VARIABLE, raising=False)
    context = current_point()
    assert context.interactive
    assert context.params == {}
    context.record(point(notes=["first"]))
    context.record(point(notes=["cells are run again interactively"]))
    assert current_point().recorded is context.recorded
    assert read_point(context.folder).notes == ["cells are run again interactively"]


def test_under_the_runner_a_point_is_recorded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POINT_VARIABLE, str(request(tmp_path).save()))
    context = current_point()
    assert (context.key, context.params, context.interactive) == ("abc", {"size": 4, "labels": ["a"]}, False)
    context.record(point(notes=["once"]))
    with pytest.raises(ExperimentError, match="already recorded"):
        current_point().record(point())
    assert read_point(tmp_path).notes == ["once"]


def test_a_request_that_cannot_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POINT_VARIABLE, str(tmp_path / "none.json"))
    with pytest.raises(ExperimentError, match=f"unset {POINT_VARIABLE}"):
        current_point()
    (tmp_path / "none.json").write_text(json.dumps({"key": "abc"}))
    with pytest.raises(ExperimentError, match=r"none\.json"):
        current_point()
