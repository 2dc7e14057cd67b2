"""The reviewed reference of an experiment: ``reports/baseline/<experiment>.json``, committed, without machine paths.

A baseline is one run, thinned to what a later run is compared with: metrics, samples, noise floor, checks and
environment of every point that ended ok. A run folder and a baseline are read into the same ``Evidence``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rx580lab.errors import ResultError
from rx580lab.results.files import atomic_write
from rx580lab.results.folder import MANIFEST_FILE, RunFolder
from rx580lab.results.points import read_point, read_record
from rx580lab.results.records import SCHEMA_VERSION, Environment, Manifest, Point, Record, RunStatus, Scalar, Series

__all__ = [
    "Baseline",
    "BaselinePoint",
    "Evidence",
    "baseline_file",
    "baseline_from",
    "baseline_of",
    "read_evidence",
    "write_baseline",
]

#: Samples kept of one contestant, evenly over the session. Fewer samples make intervals wider, never wrong.
MOST_SAMPLES = 60
_SIGNIFICANT = 7
# A path: a slash at the start of a word, a name, and what follows up to the next separator; the kernel's own stay.
_PATH = re.compile(r"(?<![\w.~/>])(?!/(?:proc|sys)/)(?:~|[A-Za-z]:)?/[\w.+@~-]+(?:/[^\s:;,\"']*)?")
# Set by the runner for each point: another file each time, and nothing that a figure depends on.
_HANDED_OVER = frozenset({"RX580LAB_POINT", "RX580LAB_REPORTS"})


class BaselinePoint(Record):
    """One sweep point of a baseline: its parameters as the run's manifest has them, and what it found."""

    params: dict[str, Scalar]
    point: Point


class Baseline(Record):
    """``reports/baseline/<experiment>.json``."""

    schema_version: int = SCHEMA_VERSION
    kind: str
    name: str
    title: str
    run: str
    started: str
    ci: bool
    status: RunStatus
    forced: str | None = None
    hashes: dict[str, str]
    points: list[BaselinePoint]


@dataclass(frozen=True)
class Evidence:
    """What one side of a comparison holds: a run, or a baseline. ``left_out`` maps a point to why it has no record."""

    path: Path
    is_baseline: bool
    kind: str
    experiment: str
    title: str
    run: str
    started: str
    status: RunStatus
    ci: bool
    hashes: Mapping[str, str]
    points: tuple[tuple[Mapping[str, Scalar], Point], ...]
    left_out: Mapping[str, str]


def read_evidence(path: Path) -> Evidence:
    """A run folder, or a baseline's JSON file. Raises ResultError: neither, damaged, or of another schema."""
    path = Path(path)
    if path.is_dir() and (path / MANIFEST_FILE).is_file():
        return _of_run(RunFolder.open(path))
    if path.is_file() and path.suffix == ".json":
        held = read_record(path, Baseline)
        points = tuple((each.params, each.point) for each in held.points)
        return Evidence(path, True, held.kind, held.name, held.title, held.run, held.started, held.status, held.ci,
                        held.hashes, points, {})  # fmt: skip
    raise ResultError(
        str(path), f"expected a run folder with {MANIFEST_FILE}, or a baseline's .json file; see {path.parent}"
    )


def baseline_file(root: Path, name: str) -> Path:
    """Where the baseline of the experiment ``name`` lies below the reports folder ``root``."""
    return root / "baseline" / f"{name}.json"


def baseline_of(root: Path, kind: str, name: str) -> Evidence | None:
    """The baseline that runs of an experiment are held against; None where there is none, or one of another kind.

    Raises ResultError if there is one that cannot be read.
    """
    path = baseline_file(root, name)
    if not path.is_file():
        return None
    found = read_evidence(path)
    return found if found.kind == kind else None


def baseline_from(run: RunFolder, *, force: bool = False) -> Baseline:
    """The baseline that ``run`` would make; nothing is written.

    Raises ResultError for a run that is no reference: not ended ok, of CI size, or with points that cannot be read.
    ``force`` takes it all the same, and the file then says so; a run without any readable point is always refused.
    """
    manifest = run.manifest
    evidence = _of_run(run)
    against = _why_not(manifest, evidence)
    if not evidence.points:
        raise ResultError(str(run.path), f"expected at least one point that ended ok, got none ({'; '.join(against)})")
    if against and not force:
        raise ResultError(
            str(run.path), f"this run is no reference: {'; '.join(against)}. Run it again, or add --force to insist"
        )
    return Baseline(
        kind=manifest.kind,
        name=manifest.name,
        title=manifest.title,
        run=manifest.run,
        started=manifest.started,
        ci=manifest.ci,
        status=manifest.status,
        forced="; ".join(against) or None,
        hashes=dict(manifest.hashes),
        points=[BaselinePoint(params=dict(params), point=_thinned(point)) for params, point in evidence.points],
    )


def write_baseline(root: Path, baseline: Baseline, *, force: bool = False) -> Path:
    """Write it below the reports folder ``root``, in place of an older one, and give the file's path.

    Raises ResultError if the file there belongs to an experiment of another kind with the same name (unless ``force``).
    """
    path = baseline_file(root, baseline.name)
    if path.is_file() and not force:
        held = read_record(path, Baseline)
        if held.kind != baseline.kind:
            raise ResultError(
                str(path), f"it is the baseline of {held.kind}/{held.name}; add --force to replace it by this one"
            )
    text = without_paths(baseline.model_dump(mode="json"))
    checked = Baseline.model_validate(text)
    # Lists of numbers go into one line each: a reviewer reads what was found, not 60 lines per contestant.
    body = re.sub(
        r"\[\s+(-?[\d.][^\[\]{}\"]*?)\s+\]",
        lambda match: "[" + re.sub(r"\s+", " ", match.group(1)) + "]",
        checked.model_dump_json(indent=1, exclude_defaults=True),
    )
    atomic_write(path, _with_schema(body))
    return path


def without_paths(value: Any) -> Any:
    """``value`` (JSON-able) with every absolute path in its texts replaced by its last part: ``<path>/pyopencl``."""
    if isinstance(value, Mapping):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_paths(item) for item in value]
    if isinstance(value, str):
        return _PATH.sub(lambda match: f"<path>/{match.group().rstrip('/').rsplit('/', 1)[-1]}", value)
    return value


def _with_schema(body: str) -> str:
    # exclude_defaults leaves the version out, and every record must say which schema it is of.
    return body.replace("{", f'{{\n "schema_version": {SCHEMA_VERSION},', 1) + "\n"


def _why_not(manifest: Manifest, evidence: Evidence) -> list[str]:
    found = []
    if manifest.status != "ok":
        found.append(f"it ended {manifest.status}" + (f" ({manifest.reason})" if manifest.reason else ""))
    if manifest.ci:
        found.append("it is of CI size, too few samples for a verdict")
    found += [f"{label}: {reason}" for label, reason in evidence.left_out.items()]
    wrong = [f"{check.contestant} at {point.title} is wrong: {check.reason}"
             for _, point in evidence.points for check in point.checks if not check.ok]  # fmt: skip
    return found + wrong


def _of_run(run: RunFolder) -> Evidence:
    manifest = run.manifest
    points: list[tuple[Mapping[str, Scalar], Point]] = []
    left_out: dict[str, str] = {}
    for entry in manifest.points:
        if entry.status != "ok":
            left_out[f"point {entry.key}"] = {"pending": "not started", "running": "still running"}.get(
                entry.status, f"ended {entry.status}"
            )
            continue
        try:
            points.append((entry.params, read_point(run.point_folder(entry.key))))
        except ResultError as error:
            left_out[f"point {entry.key}"] = str(error)
    return Evidence(run.path, False, manifest.kind, manifest.name, manifest.title, manifest.run, manifest.started,
                    manifest.status, manifest.ci, manifest.hashes, tuple(points), left_out)  # fmt: skip


def _thinned(point: Point) -> Point:
    return point.model_copy(
        update={
            "series": [_thinned_series(series) for series in point.series],
            "trials": [],
            "achieved": [],
            "samples_sha256": None,
            "environment": _portable(point.environment),
        }
    )


def _thinned_series(series: Series) -> Series:
    n = len(series.samples_ns)
    kept = [place * n // MOST_SAMPLES for place in range(MOST_SAMPLES)] if n > MOST_SAMPLES else list(range(n))
    return series.model_copy(
        update={
            "samples_ns": [float(f"{series.samples_ns[place]:.{_SIGNIFICANT}g}") for place in kept],
            "order": [],
            "warmup_ns": [],
            "outliers": [],
            "throttled": [],
        }
    )


def _portable(environment: Environment) -> Environment:
    variables = {name: value for name, value in environment.variables.items() if name not in _HANDED_OVER}
    return environment.model_copy(update={"variables": variables})
