"""``render_index``: all runs below the reports folder on one page, newest first, by experiment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from rx580lab.errors import ResultError
from rx580lab.report.charts import sparkline
from rx580lab.report.page import REPORT_FILE
from rx580lab.report.style import metric_unit, templates
from rx580lab.report.text import relative_link
from rx580lab.report.view import device_name, headline, is_cpu, point_labels
from rx580lab.results.files import atomic_write
from rx580lab.results.folder import RunFolder, runs
from rx580lab.results.points import POINT_FILE, read_record
from rx580lab.results.records import Interval, Manifest, Metric, Point

INDEX_FILE = "index.html"
#: Runs drawn in a sparkline.
MOST_HISTORY = 40


@dataclass(frozen=True)
class RunRow:
    """One run in the index. ``manifest`` is None where it cannot be read; ``problem`` then says why."""

    path: Path
    link: str | None
    manifest: Manifest | None
    problem: str | None
    metric: str | None
    label: str | None
    figure: Metric | None
    device: str | None
    on_cpu: bool
    #: Runs whose figures may stand in one history: same device, same size of run, same metric and sweep.
    family: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """One experiment: its runs, newest first, and the picture of its headline figure."""

    kind: str
    name: str
    rows: tuple[RunRow, ...]
    spark: Markup | None
    n_drawn: int

    @property
    def title(self) -> str:
        """The newest title that a run of it has, else its name."""
        return next((row.manifest.title for row in self.rows if row.manifest and row.manifest.title), self.name)

    @property
    def question(self) -> str:
        """The newest question that a run of it asks, or nothing."""
        return next((row.manifest.question for row in self.rows if row.manifest and row.manifest.question), "")

    @property
    def headed(self) -> RunRow | None:
        """The newest run that has a headline figure."""
        return next((row for row in self.rows if row.figure is not None), None)


def render_index(reports_root: Path) -> Path:
    """Write ``index.html`` into ``reports_root`` and give its path. A root without runs gets a page that says so."""
    reports_root = Path(reports_root)
    target = reports_root / INDEX_FILE
    atomic_write(target, index_page(reports_root))
    return target


def index_page(reports_root: Path) -> str:
    """The index as text."""
    groups: dict[tuple[str, str], list[RunRow]] = {}
    for run in runs(reports_root):
        groups.setdefault((run.path.parent.parent.name, run.path.parent.name), []).append(_row(run, reports_root))
    experiments = [_experiment(place, kind, name, rows) for place, ((kind, name), rows) in enumerate(groups.items())]
    return templates().get_template("index.html.j2").render(experiments=experiments)


def _experiment(place: int, kind: str, name: str, rows: Sequence[RunRow]) -> Experiment:
    newest = next((row for row in rows if row.figure is not None), None)
    spark, alike = None, []
    if newest is not None and newest.figure is not None:
        alike = [row for row in rows if row.figure is not None and row.family == newest.family][:MOST_HISTORY]
        history = [_interval(row.figure) for row in reversed(alike) if row.figure is not None]
        spark = sparkline(
            f"spark-{place}",
            history,
            f"History of {newest.metric}",
            metric_unit(newest.metric or "", newest.figure.unit),
        )
    return Experiment(kind, name, tuple(rows), spark, len(alike))


def _row(run: RunFolder, root: Path) -> RunRow:
    folder = run.path.relative_to(root).parts
    link = relative_link(*folder, REPORT_FILE) if (run.path / REPORT_FILE).is_file() else None
    try:
        manifest = run.manifest
    except ResultError as error:
        return RunRow(run.path, link, None, str(error), None, None, None, None, False, ())
    points = _readable_points(run, manifest)
    device = next((point.environment.device for point in points.values()), {})
    name = device_name(device) if device else None
    head = headline(manifest, points)
    if head is None:
        return RunRow(run.path, link, manifest, None, None, None, None, name, is_cpu(device), ())
    metric, key, figure = head
    swept = [entry.params for entry in manifest.points]
    labels = point_labels(swept)
    label = next(text for entry, text in zip(manifest.points, labels, strict=True) if entry.key == key)
    # The worst figure of a sweep may come from another of its points next time; the sweep must be the same.
    family = (str(device.get("hash") or name), str(manifest.ci), metric, json.dumps(swept, sort_keys=True))
    return RunRow(run.path, link, manifest, None, metric, label, figure, name, is_cpu(device), family)


def _readable_points(run: RunFolder, manifest: Manifest) -> dict[str, Point]:
    found = {}
    for entry in manifest.points:
        try:
            # Metrics stand in point.json; the samples need not be unpacked for them.
            found[entry.key] = read_record(run.point_folder(entry.key) / POINT_FILE, Point)
        except ResultError:
            # The run's own page says what is wrong with the point; the index shows its status.
            continue
    return found


def _interval(metric: Metric) -> Interval:
    low = metric.value if metric.low is None else metric.low
    high = metric.value if metric.high is None else metric.high
    return Interval(value=metric.value, low=low, high=high, n=1)
