"""A figure over all runs of an experiment: its level, where it changed, and what else changed there.

A series joins runs that measured the same thing at the same size on the same device. A driver, a commit or a variable
may change along the way: that is what a change point is explained by.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from markupsafe import Markup

from rx580lab.errors import ResultError
from rx580lab.report import charts, svg
from rx580lab.report.compare import REPORT_FILE, FieldChange, portable, what_changed
from rx580lab.report.quantities import quantity, scale
from rx580lab.report.style import metric_unit, moment, templates
from rx580lab.report.text import plural, relative_link
from rx580lab.report.view import device_name, point_labels
from rx580lab.results.between import what_was_measured
from rx580lab.results.changes import LEAST_RUNS, Change, change_points
from rx580lab.results.files import atomic_write
from rx580lab.results.folder import RunFolder, runs
from rx580lab.results.points import POINT_FILE, read_record
from rx580lab.results.records import SCHEMA_VERSION, Environment, Interval, Metric, Point, Scalar

HISTORY_FILE = "history.html"
_SPARKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Reading:
    """One run's figure. ``link`` is the run's report, relative to the history page."""

    run: str
    started: str
    link: str | None
    metric: Metric
    environment: Environment
    hashes: Mapping[str, str]

    @property
    def interval(self) -> Interval:
        """The figure with its interval; of zero width where none was recorded."""
        low = self.metric.value if self.metric.low is None else self.metric.low
        high = self.metric.value if self.metric.high is None else self.metric.high
        return Interval(value=self.metric.value, low=low, high=high, n=1)


@dataclass(frozen=True)
class Turn:
    """A change point: between which runs, and everything recorded that changed between those two."""

    change: Change
    before: Reading
    after: Reading
    better: bool
    causes: tuple[FieldChange, ...]

    @property
    def cause(self) -> str:
        """What changed there, in one line."""
        if not self.causes:
            return "nothing that was recorded changed between these two runs"
        return "; ".join(f"{each.field}: {each.a} → {each.b}" for each in self.causes)


@dataclass(frozen=True)
class Track:
    """One metric of one point on one device, oldest first."""

    metric: str
    unit: str
    label: str
    device: str
    ci: bool
    readings: tuple[Reading, ...]
    turns: tuple[Turn, ...]

    @property
    def values(self) -> list[float]:
        """The figures, oldest first."""
        return [reading.metric.value for reading in self.readings]

    @property
    def spark(self) -> str:
        """The figures as a line of block characters, at most the last 40."""
        shown = self.values[-40:]
        low, high = min(shown), max(shown)
        span = (high - low) or 1.0
        return "".join(_SPARKS[min(int((value - low) / span * len(_SPARKS)), len(_SPARKS) - 1)] for value in shown)


@dataclass(frozen=True)
class History:
    """All tracks of one experiment. ``unreadable`` names the runs that could not be read, and why."""

    kind: str
    name: str
    title: str
    question: str
    n_runs: int
    tracks: tuple[Track, ...]
    unreadable: tuple[tuple[str, str], ...]

    @property
    def turns(self) -> list[tuple[Track, Turn]]:
        """Every change point with its track, the newest first."""
        found = [(track, turn) for track in self.tracks for turn in track.turns]
        return sorted(found, key=lambda each: each[1].after.started, reverse=True)

    @property
    def longest(self) -> int:
        """The number of runs in the longest track."""
        return max((len(track.readings) for track in self.tracks), default=0)

    @property
    def summary(self) -> str:
        """One sentence for people."""
        told = f"{plural(len(self.turns), 'change')} found in {plural(len(self.tracks), 'series', 'series')}"
        told += f" of up to {plural(self.longest, 'run')}"
        if self.longest < LEAST_RUNS:
            told += f"; a change cannot be told in fewer than {LEAST_RUNS} runs: `rx580lab compare` judges two of them"
        return f"{told}."

    def as_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {
            "schema_version": SCHEMA_VERSION,
            "experiment": f"{self.kind}/{self.name}",
            "n_runs": self.n_runs,
            "summary": self.summary,
            "series": [_track_as_dict(track) for track in self.tracks],
            "unreadable": [{"run": run, "reason": why} for run, why in self.unreadable],
        }


@dataclass
class _Gathered:
    """What is collected of one point on one device while the runs are read, newest first."""

    params: Mapping[str, Scalar]
    device: str
    ci: bool
    by_metric: dict[str, list[Reading]] = field(default_factory=dict)
    told: dict[str, None] = field(default_factory=dict)


def find_experiment(reports_root: Path, name: str) -> tuple[str, str]:
    """(kind, name) of the experiment meant by "bench/gemm", "gemm" or its folder, among those that have runs.

    Raises ResultError that lists them.
    """
    known = sorted({(run.path.parent.parent.name, run.path.parent.name) for run in runs(reports_root)})
    parts = tuple(Path(name).parts)
    found = [each for each in known if parts and each[-len(parts) :] == parts[-2:]]
    if len(found) != 1:
        told = ", ".join("/".join(each) for each in known) or "none"
        raise ResultError("history", f"expected one experiment with runs below {reports_root}, got {name!r}; {told}")
    return found[0]


def load_history(reports_root: Path, kind: str, name: str, *, metric: str | None = None) -> History:
    """Read all runs of an experiment. ``metric`` picks metrics whose name contains it; without it those of our own
    contestants are shown: their times, and their speed relative to each peer.

    Raises ResultError if there is no run of it that can be read, or no such metric.
    """
    found = runs(reports_root, kind, name)
    gathered: dict[tuple[str, str, bool], _Gathered] = {}
    unreadable: list[tuple[str, str]] = []
    titles: list[tuple[str, str]] = []
    for run in found:
        try:
            manifest = run.manifest
        except ResultError as error:
            unreadable.append((run.path.name, str(error)))
            continue
        titles.append((manifest.title, manifest.question))
        _gather(run, gathered)
    if not titles:
        raise ResultError(
            "history", f"expected a run of {kind}/{name} below {reports_root}, got none; `rx580lab run` makes one"
        )
    tracks = _tracks(list(gathered.values()), metric)
    if metric is not None and not tracks:
        known = sorted({each for group in gathered.values() for each in group.by_metric})
        raise ResultError("history", f"expected part of a metric's name, got {metric!r}; {', '.join(known) or 'none'}")
    title, question = titles[0]
    return History(kind, name, title or name, question, len(found), tuple(tracks), tuple(unreadable))


def render_history(reports_root: Path, history: History, target: Path | None = None) -> Path:
    """Write ``<kind>/<name>/history.html`` below the reports folder, or ``target``; give its path."""
    place = target or reports_root / history.kind / history.name / HISTORY_FILE
    if place.is_dir() or place.suffix != ".html":
        place = place / HISTORY_FILE
    beside_the_runs = place.resolve().parent == (reports_root / history.kind / history.name).resolve()
    atomic_write(place, history_page(history, linked=beside_the_runs))
    return place


def history_page(history: History, *, linked: bool = True) -> str:
    """The page as text; ``linked`` where it will lie beside the runs, so that it can link to their reports."""
    groups: dict[tuple[str, str, bool], list[tuple[Track, Markup]]] = {}
    for place, track in enumerate(history.tracks):
        picture = _picture(f"track-{place}", track)
        groups.setdefault((track.label, track.device, track.ci), []).append((track, picture))
    return (
        templates()
        .get_template("history.html.j2")
        .render(history=history, groups=groups, linked=linked, least_runs=LEAST_RUNS)
    )


def _gather(run: RunFolder, gathered: dict[tuple[str, str, bool], _Gathered]) -> None:
    manifest = run.manifest
    link = relative_link(run.path.name, REPORT_FILE) if (run.path / REPORT_FILE).is_file() else None
    for entry in manifest.points:
        if entry.status != "ok":
            continue
        try:
            # Metrics stand in point.json; the samples need not be unpacked for them.
            point = read_record(run.point_folder(entry.key) / POINT_FILE, Point)
        except ResultError:
            continue  # the run's own page says what is wrong with the point
        params = what_was_measured(entry.params)
        device = _device(point.environment)
        key = (json.dumps(params, sort_keys=True), device, manifest.ci)
        group = gathered.setdefault(key, _Gathered(params, device, manifest.ci))
        environment = portable(point.environment)
        ours = {series.contestant for series in point.series if series.role == "lab"}
        for name, metric in point.metrics.items():
            reading = Reading(manifest.run, manifest.started, link, metric, environment, manifest.hashes)
            group.by_metric.setdefault(name, []).append(reading)
            parts = name.split("/")
            if not ours or (len(parts) > 1 and parts[1] in ours and parts[-1] in ("median_ns", "speed_ratio")):
                group.told[name] = None


def _device(environment: Environment) -> str:
    """The device by its own name, its driver left out: a driver that changes is something to be told."""
    device = environment.device
    if not device:
        return str(environment.host.get("cpu") or "no device")
    held = {name: value for name, value in (device.get("emulated_limits") or {}).items() if value}
    parts = [device_name(device), f"by {device['platform']}" if device.get("platform") else ""]
    parts.append(f"held to {json.dumps(held, sort_keys=True)}" if held else "")
    parts.append(str(device.get("pci_address") or ""))
    return ", ".join(part for part in parts if part)


def _tracks(groups: Sequence[_Gathered], metric: str | None) -> list[Track]:
    found = []
    labels = point_labels([group.params for group in groups])
    for group, label in zip(groups, labels, strict=True):
        for name, newest_first in group.by_metric.items():
            if metric not in name if metric is not None else name not in group.told:
                continue
            readings = tuple(reversed(newest_first))
            unit = metric_unit(name, readings[-1].metric.unit)
            found.append(Track(name, unit, label, group.device, group.ci, readings, tuple(_turns(readings))))
    return found


def _turns(readings: Sequence[Reading]) -> Iterable[Turn]:
    for change in change_points([reading.metric.value for reading in readings]):
        before, after = readings[change.index - 1], readings[change.index]
        causes = what_changed(before.hashes, after.hashes, [(before.environment, after.environment)])
        yield Turn(change, before, after, (change.shift > 0) == after.metric.higher_is_better, tuple(causes))


def _track_as_dict(track: Track) -> dict[str, Any]:
    return {
        "metric": track.metric,
        "unit": track.unit,
        "point": track.label,
        "device": track.device,
        "ci": track.ci,
        "runs": [
            {
                "run": reading.run,
                "started": reading.started,
                "value": reading.metric.value,
                "low": reading.metric.low,
                "high": reading.metric.high,
                "commit": reading.environment.commit,
                "dirty": reading.environment.dirty,
            }
            for reading in track.readings
        ],
        "changes": [
            {
                **vars(turn.change),
                "run": turn.after.run,
                "previous_run": turn.before.run,
                "better": turn.better,
                "what_changed": [vars(cause) for cause in turn.causes],
            }
            for turn in track.turns
        ],
    }


def _picture(key: str, track: Track) -> Markup:
    """Every run as a dot with its interval, the level of each stretch as a line, a dashed line at each change."""
    left, right, top, base = 62.0, charts.WIDTH - 12, 24.0, 168.0
    shown = [reading.interval for reading in track.readings]
    y = svg.padded([bound for item in shown for bound in (item.low, item.high)], base, top, margin=0.08)
    x = svg.Scale(0, max(len(shown) - 1, 1), left + 10, right - 8)
    divisor, unit = scale(median(track.values), track.unit)
    ticks = y.ticks(5)
    parts = [svg.line(left, y(tick), right, y(tick), "grid") for tick in ticks]
    parts += [
        svg.text(left - 6, y(tick) + 4, charts.tick_words(tick / divisor, ticks, divisor), "tick", "end")
        for tick in ticks
    ]
    parts += [svg.text(left, 13, f"{unit or 'value'}, {_better(track)} is better", "name")]
    parts += [svg.line(left, base, right, base, "axis")]
    edges = [0, *(turn.change.index for turn in track.turns), len(shown)]
    for start, end in pairwise(edges):
        level = y(median(track.values[start:end]))
        parts.append(svg.line(x(start) - 5, level, x(end - 1) + 5, level, "level"))
    for number, turn in enumerate(track.turns, start=1):
        at = x(turn.change.index - 0.5)
        parts.append(svg.line(at, top - 6, at, base, "turn"))
        parts.append(svg.text(at, top - 10, f"{number}", "label", "middle"))
    for place, item in enumerate(shown):
        parts.append(svg.line(x(place), y(item.low), x(place), y(item.high), "whisker c0"))
        parts.append(svg.marker(0, x(place), y(item.value), 3.2, "fill c0"))
    first, last = moment(track.readings[0].started)[:10], moment(track.readings[-1].started)[:10]
    parts.append(svg.text(left, base + 17, first, "tick"))
    if len(shown) > 1:
        parts.append(svg.text(right, base + 17, last, "tick", "end"))
    words = (
        f"{plural(len(shown), 'run')}, from {quantity(track.values[0], track.unit)} to "
        f"{quantity(track.values[-1], track.unit)}, {plural(len(track.turns), 'change')}"
    )
    return svg.picture(key, charts.WIDTH, base + 24, f"{track.metric} at {track.label}", words, *parts)


def _better(track: Track) -> str:
    return "higher" if track.readings[-1].metric.higher_is_better else "lower"
