"""A point survives the disk unchanged, and damage is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.errors import ResultError
from rx580lab.results.files import atomic_write, gzip_csv, read_gzip_csv
from rx580lab.results.points import POINT_FILE, SAMPLE_COLUMNS, SAMPLES_FILE, read_point, write_point
from tests.results.sample_records import point, series


def without_hash(folder: Path) -> object:
    return read_point(folder).model_copy(update={"samples_sha256": None})


def test_point_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_point(tmp_path / "p", point())
    assert without_hash(tmp_path / "p") == point()
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == [POINT_FILE, SAMPLES_FILE]


def test_point_without_series_comes_back(tmp_path: Path) -> None:
    write_point(tmp_path, point(series=[]))
    assert without_hash(tmp_path) == point(series=[])


def test_point_json_leaves_the_samples_to_the_table(tmp_path: Path) -> None:
    write_point(tmp_path, point())
    written = json.loads((tmp_path / POINT_FILE).read_text())
    assert [one["samples_ns"] for one in written["series"]] == [[], []]
    assert written["series"][0]["median_ns"]["n"] == 2


def test_pandas_reads_the_samples_as_they_are(tmp_path: Path) -> None:
    write_point(tmp_path, point())
    table = pd.read_csv(tmp_path / SAMPLES_FILE)
    assert tuple(table.columns) == SAMPLE_COLUMNS
    taken = table[(table.contestant == "lab") & (table.phase == "sample")]
    assert taken.ns.tolist() == [1e6 / 3, 2e5 + 0.1]
    assert taken.outlier.tolist() == [0, 1]
    assert taken.throttled.tolist() == [1, 0]
    assert (table.phase == "warmup").sum() == 4


def test_equal_points_give_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_point(tmp_path / name, point())
    for file in (POINT_FILE, SAMPLES_FILE):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert (tmp_path / "a" / SAMPLES_FILE).read_bytes()[4:8] == bytes(4)  # gzip's time stamp


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(min_value=0, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_every_float_survives(tmp_path_factory: pytest.TempPathFactory, samples: list[float]) -> None:
    folder = tmp_path_factory.mktemp("point")
    one = series("lab", [1.0], [0]).model_copy(
        update={"samples_ns": samples, "order": list(range(len(samples))), "outliers": []}
    )
    write_point(folder, point(series=[one]))
    assert read_point(folder).series == [one]


def test_two_series_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = [series("lab", [1.0, 2.0], [0, 1]), series("lab", [1.0, 2.0], [2, 3])]
    with pytest.raises(ResultError, match="names of their own, got lab, lab"):
        write_point(tmp_path, point(series=twice))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "the file is missing"),
        ("", "expected JSON"),
        ('{"schema_version": 1, "title":', "expected JSON"),
        ("[]", "expected a JSON object, got list"),
        ('{"title": "x"}', "expected schema_version 1, got None"),
        ('{"schema_version": 7}', "expected schema_version 1, got 7"),
        ('{"schema_version": 1, "title": "x"}', "expected a Point, got a fault at params: Field required"),
    ],
)
def test_damaged_point_json_is_named_with_the_reason(tmp_path: Path, content: str | None, why: str) -> None:
    write_point(tmp_path, point())
    path = tmp_path / POINT_FILE
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(ResultError, match=why) as caught:
        read_point(tmp_path)
    assert caught.value.where == str(path)


def test_unknown_field_in_point_json_is_refused(tmp_path: Path) -> None:
    write_point(tmp_path, point())
    content = json.loads((tmp_path / POINT_FILE).read_text())
    content["series"][0]["medain_ns"] = 1
    (tmp_path / POINT_FILE).write_text(json.dumps(content))
    with pytest.raises(ResultError, match=r"fault at series\.0\.medain_ns"):
        read_point(tmp_path)


def test_missing_truncated_or_foreign_samples_are_named(tmp_path: Path) -> None:
    write_point(tmp_path, point())
    path = tmp_path / SAMPLES_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(ResultError, match=r"not those that point\.json was written with"):
        read_point(tmp_path)
    path.write_bytes(gzip_csv(SAMPLE_COLUMNS, []))
    with pytest.raises(ResultError, match=r"not those that point\.json was written with"):
        read_point(tmp_path)
    path.unlink()
    with pytest.raises(ResultError, match="the file is missing"):
        read_point(tmp_path)


def test_damaged_tables_are_told_apart() -> None:
    whole = gzip_csv(("a", "b"), [(1, 2)])
    assert read_gzip_csv(whole, ("a", "b"), "t") == [["1", "2"]]
    for damaged in (whole[:-9], b"no gzip", whole[:12] + b"\xff\xff" + whole[14:]):
        with pytest.raises(ResultError, match="compressed table is damaged"):
            read_gzip_csv(damaged, ("a", "b"), "t")
    with pytest.raises(ResultError, match="expected the columns a,c, got a,b"):
        read_gzip_csv(whole, ("a", "c"), "t")
    with pytest.raises(ResultError, match="expected 2 columns in line 2, got 1"):
        read_gzip_csv(gzip.compress(b"a,b\n1\n"), ("a", "b"), "t")


def test_a_file_gets_its_mode_before_it_gets_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "f"
    modes = []
    replace = Path.replace

    def note(beside: Path, target: Path) -> Path:
        modes.append(beside.stat().st_mode & 0o777)
        return replace(beside, target)

    monkeypatch.setattr(Path, "replace", note)
    atomic_write(place, b"#!/bin/sh\n", mode=0o751, lasting=False)
    assert (modes, place.read_bytes()) == ([0o751], b"#!/bin/sh\n")


def test_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    atomic_write(path, "old")

    def refuse(*_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(path, "and now something else")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
