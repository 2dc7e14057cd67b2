"""``render_index``: all runs below the reports folder on one page, newest first, by experiment.

The page filters itself without a script: radio buttons, and style rules that look at which of them is checked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from rx580lab.errors import ResultError
from rx580lab.report.charts import sparkline
from rx580lab.report.history import HISTORY_FILE, load_history, render_history
from rx580lab.report.page import REPORT_FILE
from rx580lab.report.style import STATUS, metric_unit, templates
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

    @property
    def status(self) -> str:
        """The run's status, or "unreadable"."""
        return self.manifest.status if self.manifest else "unreadable"


@dataclass(frozen=True)
class Experiment:
    """One experiment: its runs, newest first, and the picture of its headline figure."""

    kind: str
    name: str
    rows: tuple[RunRow, ...]
    spark: Markup | None
    n_drawn: int
    history: str | None

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


@dataclass(frozen=True)
class Choice:
    """One radio button of a filter: what it shows, and the class that its rows have; "" is every row."""

    key: str
    label: str
    number: int


@dataclass(frozen=True)
class Filters:
    """The filters of the page, each with "all" first; ``classes`` gives the classes of a row by its experiment."""

    experiments: tuple[Choice, ...]
    statuses: tuple[Choice, ...]
    devices: tuple[Choice, ...]

    @property
    def groups(self) -> list[tuple[str, str, tuple[Choice, ...]]]:
        """(name, legend, choices) of the filters that have something to choose."""
        every = (("experiment", "Experiment", self.experiments), ("status", "Status", self.statuses),
                 ("device", "Device", self.devices))  # fmt: skip
        return [group for group in every if len(group[2]) > 2]

    def classes(self, row: RunRow) -> str:
        """The classes of a run's row, which the filters' rules go by."""
        device = next((choice.key for choice in self.devices if choice.label == device_label(row)), "")
        return f"run s-{row.status} {device}".strip()


def render_index(reports_root: Path) -> Path:
    """Write ``index.html`` into ``reports_root`` and give its path. A root without runs gets a page that says so.

    Each experiment with two readable runs or more gets its ``history.html`` drawn again as well.
    """
    reports_root = Path(reports_root)
    target = reports_root / INDEX_FILE
    atomic_write(target, index_page(reports_root))
    return target


def index_page(reports_root: Path) -> str:
    """The index as text."""
    groups: dict[tuple[str, str], list[RunRow]] = {}
    for run in runs(reports_root):
        groups.setdefault((run.path.parent.parent.name, run.path.parent.name), []).append(_row(run, reports_root))
    experiments = [
        _experiment(place, kind, name, rows, reports_root) for place, ((kind, name), rows) in enumerate(groups.items())
    ]
    return templates().get_template("index.html.j2").render(experiments=experiments, filters=filters(experiments))


def filters(experiments: Sequence[Experiment]) -> Filters:
    """What the runs can be filtered by, each choice with its number of runs; keys are safe in style rules."""
    rows = [row for experiment in experiments for row in experiment.rows]
    everything = Choice("", "all", len(rows))
    statuses = [status for status in (*STATUS, "unreadable") if any(row.status == status for row in rows)]
    devices = list(dict.fromkeys(device_label(row) for row in rows))
    return Filters(
        experiments=(
            everything,
            *(Choice(f"e-{place}", f"{each.kind}/{each.name}", len(each.rows))
              for place, each in enumerate(experiments, start=1)),
        ),
        statuses=(
            everything,
            *(Choice(f"s-{each}", STATUS[each][1] if each in STATUS else each, sum(row.status == each for row in rows))
              for each in statuses),
        ),
        devices=(
            everything,
            *(Choice(f"d-{place}", each, sum(device_label(row) == each for row in rows))
              for place, each in enumerate(devices, start=1)),
        ),
    )  # fmt: skip


def device_label(row: RunRow) -> str:
    """A run's device as the filter names it."""
    return row.device or "not recorded"


def _history(reports_root: Path, kind: str, name: str, rows: Sequence[RunRow]) -> str | None:
    """The link to the experiment's history, drawn again; None where there is too little to draw."""
    if sum(row.figure is not None for row in rows) < 2:
        return None
    try:
        render_history(reports_root, load_history(reports_root, kind, name))
    except ResultError:
        return None  # a run that was readable a moment ago is gone
    return relative_link(kind, name, HISTORY_FILE)


def _experiment(place: int, kind: str, name: str, rows: Sequence[RunRow], root: Path) -> Experiment:
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
    return Experiment(kind, name, tuple(rows), spark, len(alike), _history(root, kind, name, rows))


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
