"""One sweep point on disk: ``point.json`` for all that is small, ``samples.csv.gz`` for every sample taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from rx580lab.errors import ResultError
from rx580lab.results.files import atomic_write, gzip_csv, read_gzip_csv, sha256_of
from rx580lab.results.records import SCHEMA_VERSION, Point, Record, Series

__all__ = ["POINT_FILE", "SAMPLES_FILE", "read_point", "read_record", "write_point"]

POINT_FILE = "point.json"
SAMPLES_FILE = "samples.csv.gz"
# One row per sample, so that pandas reads the table as it is. `order` is empty for warm-up samples.
SAMPLE_COLUMNS = ("contestant", "phase", "index", "order", "ns", "outlier", "throttled", "clock")

_AnyRecord = TypeVar("_AnyRecord", bound=Record)


def write_point(folder: Path, point: Point) -> None:
    """Write ``point`` into ``folder`` (made if absent), each file whole or absent, point.json last.

    point.json carries the hash of the samples it belongs to, so that a mixture of two writes is noticed on reading.
    Raises ResultError for two series of one name, whose samples could not be told apart.
    """
    names = [series.contestant for series in point.series]
    if len(set(names)) != len(names):
        raise ResultError(str(folder), f"expected contestants with names of their own, got {', '.join(names)}")
    rows = [row for series in point.series for row in _rows(series)]
    samples = gzip_csv(SAMPLE_COLUMNS, rows)
    lean = point.model_copy(
        update={
            "series": [
                series.model_copy(update={"samples_ns": [], "order": [], "warmup_ns": []}) for series in point.series
            ],
            "samples_sha256": sha256_of(samples),
        }
    )
    atomic_write(folder / SAMPLES_FILE, samples)
    atomic_write(folder / POINT_FILE, lean.model_dump_json(indent=1) + "\n")


def read_point(folder: Path) -> Point:
    """The point that ``write_point`` left in ``folder``, samples included. Raises ResultError: which file, and why."""
    path = folder / POINT_FILE
    point = read_record(path, Point)
    data = read_bytes(folder / SAMPLES_FILE)
    where = str(folder / SAMPLES_FILE)
    if sha256_of(data) != point.samples_sha256:
        raise ResultError(
            where, f"the samples are not those that {POINT_FILE} was written with; measure the point again"
        )
    taken: dict[str, list[list[str]]] = {series.contestant: [] for series in point.series}
    for row in read_gzip_csv(data, SAMPLE_COLUMNS, where):
        if row[0] not in taken:
            raise ResultError(where, f"expected contestants {', '.join(taken)}, got {row[0]}")
        taken[row[0]].append(row)
    return point.model_copy(update={"series": [_filled(series, taken[series.contestant]) for series in point.series]})


def read_record(path: Path, kind: type[_AnyRecord]) -> _AnyRecord:
    """One JSON record from ``path``. Raises ResultError: missing, not JSON, of another schema, or a field at fault."""
    where = str(path)
    try:
        content: Any = json.loads(read_bytes(path))
    except ValueError as error:
        raise ResultError(where, f"expected JSON, got something else ({error}); the file is damaged") from error
    if not isinstance(content, dict):
        raise ResultError(where, f"expected a JSON object, got {type(content).__name__}")
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ResultError(
            where, f"expected schema_version {SCHEMA_VERSION}, got {version}; it was written by another rx580lab"
        )
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ResultError(where, f"expected a {kind.__name__}, got a fault at {place}: {first['msg']}") from error


def read_bytes(path: Path) -> bytes:
    """The content of ``path``. Raises ResultError if it is missing or cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ResultError(str(path), "the file is missing; was the run stopped before it was written?") from error
    except OSError as error:
        raise ResultError(str(path), f"the file cannot be read ({error})") from error


def _rows(series: Series) -> list[list[object]]:
    marked, slow = set(series.outliers), set(series.throttled)
    rows: list[list[object]] = [
        [series.contestant, "warmup", index, "", repr(value), 0, 0, series.clock]
        for index, value in enumerate(series.warmup_ns)
    ]
    for index, (value, order) in enumerate(zip(series.samples_ns, series.order, strict=True)):
        flags = [int(index in marked), int(index in slow)]
        rows.append([series.contestant, "sample", index, order, repr(value), *flags, series.clock])
    return rows


def _filled(series: Series, rows: list[list[str]]) -> Series:
    # The hash has been checked, so the cells are those that _rows wrote.
    sampled = [row for row in rows if row[1] == "sample"]
    return series.model_copy(
        update={
            "samples_ns": [float(row[4]) for row in sampled],
            "order": [int(row[3]) for row in sampled],
            "warmup_ns": [float(row[4]) for row in rows if row[1] == "warmup"],
        }
    )
