"""``rx.widgets.runs()``: the runs so far; filter them, look at one, compare two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ipywidgets

from rx580lab.errors import ResultError
from rx580lab.report.compare import RunPair, compare_evidence
from rx580lab.report.quantities import digits, interval
from rx580lab.results import RunFolder, reports_root
from rx580lab.results import runs as all_runs
from rx580lab.results.baseline import read_evidence
from rx580lab.results.points import POINT_FILE, read_record
from rx580lab.results.records import Manifest, Point
from rx580lab.widgets import html
from rx580lab.widgets.report_link import report_link

__all__ = ["runs"]

_ALL = "all"
_MOST = 500


def runs(reports: str | Path | None = None) -> ipywidgets.VBox:
    """A panel of the runs below ``reports`` (None: RX580LAB_REPORTS, else ``./reports``), newest first.

    Filter by experiment, status and device. Select one run (arrow keys, or a click) for its points, verdicts and the
    link to its report; select two (Ctrl or Shift) to compare them: the ratio of their times with its interval and a
    verdict, as ``rx580lab compare`` gives them; what differs about the two comes first, and on two devices or drivers
    nothing is called faster.
    **Refresh** reads the folder again.
    """
    return _Browser(reports_root(Path(reports) if reports is not None else None)).box


@dataclass
class _Row:
    """One run in the list. ``manifest`` is None where it cannot be read; ``problem`` then says why."""

    path: Path
    manifest: Manifest | None
    problem: str | None = None
    device: str = "unknown"
    points: dict[str, Point] = field(default_factory=dict)

    @property
    def experiment(self) -> str:
        return f"{self.path.parent.parent.name}/{self.path.parent.name}"

    @property
    def status(self) -> str:
        return self.manifest.status if self.manifest else "damaged"

    @property
    def label(self) -> str:
        small = ", small" if self.manifest and self.manifest.ci else ""
        return f"{self.path.name}  {self.experiment}  {self.status}{small}  {self.device}"


class _Browser:
    def __init__(self, root: Path) -> None:
        self.root = root
        self._rows: list[_Row] = []
        self._refresh = ipywidgets.Button(
            description="Refresh", tooltip="Read the reports folder again", icon="refresh"
        )
        self._filters = {
            name: ipywidgets.Dropdown(options=[_ALL], value=_ALL, description=name, tooltip=f"Only runs of this {name}")
            for name in ("Experiment", "Status", "Device")
        }
        self._list = ipywidgets.SelectMultiple(
            options=[], rows=8, description="Runs", tooltip="Select one run to see it, two to compare them",
            layout=ipywidgets.Layout(width="100%"),
        )  # fmt: skip
        self._state = ipywidgets.HTML()
        self._shown = ipywidgets.HTML()
        self._links = ipywidgets.VBox()
        box = ipywidgets.VBox(
            [
                html.PanelFrame(),
                html.title("Runs"),
                ipywidgets.HBox([self._refresh]),
                ipywidgets.HBox(list(self._filters.values())).add_class("rx-buttons"),
                self._list,
                self._state,
                self._links,
                self._shown,
            ]
        )
        self.box = box.add_class("rx-panel").add_class("rx-runs")
        self._refresh.on_click(lambda _: self.refresh())
        for control in self._filters.values():
            control.observe(lambda _: self._filter(), "value")
        self._list.observe(lambda change: self._select(change["new"]), "value")
        self.refresh()

    def refresh(self) -> None:
        """Read the manifests of the newest runs again."""
        self._rows = [_row(run) for run in all_runs(self.root)[:_MOST]]
        choices: dict[str, Callable[[_Row], str]] = {
            "Experiment": lambda row: row.experiment,
            "Status": lambda row: row.status,
            "Device": lambda row: row.device,
        }
        for name, of in choices.items():
            control, kept = self._filters[name], self._filters[name].value
            control.options = [_ALL, *sorted({of(row) for row in self._rows})]
            control.value = kept if kept in control.options else _ALL
        self._filter()

    def _filter(self) -> None:
        wanted = {name: control.value for name, control in self._filters.items()}
        kept = self._list.value
        shown = [
            row
            for row in self._rows
            if wanted["Experiment"] in (_ALL, row.experiment)
            and wanted["Status"] in (_ALL, row.status)
            and wanted["Device"] in (_ALL, row.device)
        ]
        self._list.options = [(row.label, str(row.path)) for row in shown]
        self._list.value = tuple(path for path in kept if path in {str(row.path) for row in shown})
        if not self._rows:
            self._state.value = html.state("None", f"no runs below {self.root} yet; rx580lab run bench/quickstart")
        elif not self._list.value:
            self._state.value = html.state("Found", f"{len(shown)} of {len(self._rows)} runs; select one, or two")

    def _select(self, paths: tuple[str, ...]) -> None:
        chosen = [row for path in paths for row in self._rows if str(row.path) == path]
        self._links.children = tuple(report_link(row.path) for row in chosen[:2])
        if len(chosen) == 1:
            self._show(chosen[0])
        elif len(chosen) == 2:
            self._compare(chosen)
        else:
            self._shown.value = ""
            if chosen:
                self._state.value = html.state("Too many", f"{len(chosen)} runs are selected; two can be compared")

    def _show(self, row: _Row) -> None:
        if row.manifest is None:
            self._state.value = html.state("Damaged", row.problem or "", "bad")
            self._shown.value = ""
            return
        look = {"ok": "good", "running": "busy"}.get(row.status, "bad")
        self._state.value = html.state(row.status.capitalize(), row.manifest.reason or row.manifest.title, look)
        parts = [_point_table(row), _verdict_table(row), _check_table(row), _gate_table(row.manifest)]
        command = html.details("How to run it again", html.preformatted(row.manifest.command, "Command"))
        self._shown.value = "".join([*parts, command])

    def _compare(self, chosen: list[_Row]) -> None:
        # A is the older one, in whichever order they were clicked.
        older, newer = sorted(chosen, key=lambda row: row.manifest.started if row.manifest else "")
        try:
            pair = compare_evidence(read_evidence(older.path), read_evidence(newer.path))
        except ResultError as error:
            self._state.value = html.state("Not compared", str(error), "bad")
            self._shown.value = ""
            return
        where = "" if pair.same_device else " They are of different devices or drivers."
        self._state.value = html.state("Compared", f"{pair.summary}{where} A, the older one, is {older.path.name}")
        self._shown.value = _pair_tables(pair)


def _row(run: RunFolder) -> _Row:
    try:
        manifest = run.manifest
    except ResultError as error:
        return _Row(run.path, None, str(error))
    row = _Row(run.path, manifest, device=manifest.device or "unknown")
    for entry in manifest.points:
        try:
            row.points[entry.key] = read_record(run.point_folder(entry.key) / POINT_FILE, Point)
        except ResultError:
            continue  # it has no record: its status says why
    measured = {str(point.environment.device.get("selector", "")) for point in row.points.values()} - {""}
    if measured:
        row.device = ", ".join(sorted(measured))
    return row


def _pair_tables(pair: RunPair) -> str:
    """What differs about two runs first, then the ratio of each figure with its verdict and reason."""
    parts = []
    if pair.changes:
        rows = [[f"{change.group}: {change.field}", change.a, change.b] for change in pair.changes]
        parts.append(html.table("Where they differ", ["what", "A", "B"], rows))
    rows = [
        [
            point.label,
            f"{one.label}, {one.quantity}" + (f" against {one.against}" if one.against else ""),
            interval(one.a, one.unit),
            interval(one.b, one.unit),
            interval(one.ratio, "ratio"),
            one.verdict,
            one.reason,
        ]
        for point in pair.points
        for one in point.rows
    ]
    head = ["point", "what", "A", "B", "ratio", "verdict", "reason"]
    parts.append(html.table("B compared with A: a ratio above 1 means that B is quicker", head, rows))
    parts += [html.paragraph(f"Only in A: {title}") for title in pair.only_a]
    parts += [html.paragraph(f"Only in B: {title}") for title in pair.only_b]
    return "".join(parts)


def _shown_params(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items()) or "no parameters"


def _point_table(row: _Row) -> str:
    assert row.manifest is not None  # noqa: S101 - asked by the caller
    rows = []
    for entry in row.manifest.points:
        point = row.points.get(entry.key)
        error = f": {entry.error}" if entry.error else ""
        times = "missing: no record of this point"
        if point is not None:
            times = "; ".join(f"{one.contestant} {interval(one.median_ns, 'ns')}" for one in point.series)
        title = point.title if point is not None else _shown_params(entry.params)
        rows.append([title, f"{entry.status}{error}", times or "none: it raced nobody"])
    return html.table("Points", ["point", "status", "median times"], rows)


def _verdict_table(row: _Row) -> str:
    rows = [
        [point.title, f"{one.contestant} against {one.baseline}", one.verdict, interval(one.ratio, "ratio"), one.reason]
        for point in row.points.values()
        for one in point.comparisons
    ]
    if not rows:
        return ""
    return html.table("Verdicts: above 1 the first is quicker", ["point", "who", "verdict", "ratio", "reason"], rows)


def _check_table(row: _Row) -> str:
    rows = [
        [
            point.title,
            check.contestant,
            "right" if check.ok else f"WRONG: {check.reason}",
            "missing: not told" if check.worst_share is None else f"{digits(check.worst_share)} of its tolerance",
        ]
        for point in row.points.values()
        for check in point.checks
    ]
    return html.table("Correctness", ["point", "contestant", "result", "largest error"], rows) if rows else ""


def _gate_table(manifest: Manifest) -> str:
    rows = [
        [gate.metric, gate.kind, "kept" if gate.ok else "MISSED" if gate.enforced else "missed, only reported",
         gate.reason]
        for gate in manifest.gates
    ]  # fmt: skip
    return html.table("Gates", ["metric", "kind", "result", "reason"], rows) if rows else ""
