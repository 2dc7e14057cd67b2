"""A run as the page shows it: labels, counts, differences and files worked out, so that templates only lay out.

Reads run folders through ``rx580lab.results`` and nothing else of the package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rx580lab.errors import ResultError
from rx580lab.report.quantities import quantity
from rx580lab.report.text import relative_link, scalar
from rx580lab.results.folder import RunFolder, read_point
from rx580lab.results.points import POINT_FILE
from rx580lab.results.records import Check, Comparison, Environment, Manifest, Metric, Point, PointEntry, Scalar

NOTEBOOK = "executed.ipynb"
NOTEBOOK_PAGE = "executed.html"


@dataclass(frozen=True)
class FileView:
    """A file of a point: its link inside the run folder, and whether it still has the hash that was recorded."""

    name: str
    link: str | None
    sha256: str
    state: str


@dataclass(frozen=True)
class PointView:
    """One sweep point. ``point`` is None where nothing was recorded; ``problem`` then says why."""

    entry: PointEntry
    point: Point | None
    problem: str | None
    label: str
    anchor: str
    files: tuple[FileView, ...]
    notebook: str | None = None

    @cached_property
    def names(self) -> dict[str, str]:
        """Contestant -> its shown name."""
        return {item.contestant: item.label for item in self.point.series} if self.point else {}

    def name(self, contestant: str) -> str:
        """The shown name of a contestant; its own name where it took no samples here."""
        return self.names.get(contestant, contestant)


@dataclass(frozen=True)
class Difference:
    """An environment field whose value is not the same at all points: value -> labels of the points that have it."""

    field: str
    values: dict[str, list[str]]


@dataclass(frozen=True)
class RunView:
    """Everything that the page of one run shows."""

    manifest: Manifest
    points: tuple[PointView, ...]
    looks: dict[str, int] = field(default_factory=dict)

    @property
    def measured(self) -> list[PointView]:
        """The points that left a record."""
        return [view for view in self.points if view.point is not None]

    @property
    def comparisons(self) -> list[tuple[PointView, Comparison]]:
        """Every comparison with its point, in the sweep's order."""
        return [(view, item) for view in self.points if view.point for item in view.point.comparisons]

    @property
    def checks(self) -> list[tuple[PointView, Check]]:
        """Every oracle check with its point, those of the roofs included."""
        found = []
        for view in self.points:
            found += [(view, item) for item in (view.point.checks if view.point else [])]
            # A point that is about roofs may list their checks as its own as well.
            own = view.point.checks if view.point else []
            found += [(view, roof.check) for roof in (view.point.roofs if view.point else []) if roof.check not in own]
        return found

    @property
    def failed_checks(self) -> list[tuple[PointView, Check]]:
        """The checks that failed."""
        return [(view, item) for view, item in self.checks if not item.ok]

    @property
    def counts(self) -> dict[str, int]:
        """Point status -> number of points, the worst first."""
        order = ["failed", "timeout", "invalid", "killed", "running", "pending", "ok"]
        found = {status: sum(view.entry.status == status for view in self.points) for status in order}
        return {status: number for status, number in found.items() if number}

    @property
    def environments(self) -> list[tuple[str, Environment]]:
        """Point label and environment, for every point that recorded one."""
        return [(view.label, view.point.environment) for view in self.points if view.point]

    @property
    def differences(self) -> list[Difference]:
        """Environment fields that are not the same at all points."""
        return differences(self.environments)

    @property
    def card(self) -> tuple[str, str]:
        """(kind, sentence) that says plainly what the figures were measured on: kind is cpu, gpu or unknown."""
        devices = [environment.device for _, environment in self.environments]
        if not devices:
            return "unknown", "No point recorded its device, so nothing here says what hardware it ran on."
        cpus = [device for device in devices if is_cpu(device)]
        held = next((words for words in map(emulation, cpus or devices) if words), "")
        if not cpus:
            return "gpu", f"Measured on {device_name(devices[0])}.{held}"
        name = device_name(cpus[0])
        platform = str(cpus[0].get("platform") or "")
        if "pocl" in platform.lower() or "portable computing language" in platform.lower():
            opening = "PoCL on CPU: not an RX 580"
        else:
            opening = f"{platform or 'OpenCL'} on CPU: not an RX 580"
        if len(cpus) < len(devices):
            return (
                "cpu",
                f"{opening}, at {len(cpus)} of {len(devices)} points ({name}). Those figures are not of a card.{held}",
            )
        return "cpu", f"{opening}; nothing here was measured on a card. The device is {name}.{held}"


def load_run(path: Path) -> RunView:
    """Read a run folder. A point that cannot be read is shown with its reason. Raises ResultError for the manifest."""
    run = RunFolder.open(path)
    manifest = run.manifest
    labels = point_labels([entry.params for entry in manifest.points])
    views = tuple(
        _load_point(run, entry, label, f"point-{number}")
        for number, (entry, label) in enumerate(zip(manifest.points, labels, strict=True), start=1)
    )
    return RunView(manifest, views, contestant_looks([view.point for view in views if view.point]))


def _load_point(run: RunFolder, entry: PointEntry, label: str, anchor: str) -> PointView:
    point, problem = None, None
    try:
        folder = run.point_folder(entry.key)
    except ResultError as error:
        return PointView(entry, None, str(error), label, anchor, ())
    try:
        point = read_point(folder)
    except ResultError as error:
        # A point that ended ok must have a record; another may have none, but not a damaged one.
        problem = str(error) if entry.status == "ok" or (folder / POINT_FILE).exists() else None
    files = tuple(_file(folder, entry.key, name, sha) for name, sha in sorted(entry.files.items()))
    notebook = relative_link("points", entry.key, NOTEBOOK) if (folder / NOTEBOOK).is_file() else None
    return PointView(entry, point, problem, label, anchor, files, notebook)


def _file(folder: Path, key: str, name: str, sha256: str) -> FileView:
    link = relative_link("points", key, name)
    if link is None:
        return FileView(name, None, sha256, "not a plain file name")
    try:
        with (folder / name).open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return FileView(name, None, sha256, "missing")
    return FileView(name, link, sha256, "unchanged" if found == sha256 else "changed since it was recorded")


def point_labels(params: Sequence[Mapping[str, Scalar]]) -> list[str]:
    """Labels that tell the points apart: op and shape where these do, else the parameters that vary.

    A single varying parameter with text values goes unnamed.
    """
    names = list(dict.fromkeys(name for each in params for name in each))
    varying = [name for name in names if len({(name in each, scalar(each.get(name))) for each in params}) > 1]
    known = [f"{scalar(each['op'])} {scalar(each['shape'])}" for each in params if {"op", "shape"} <= each.keys()]
    if len(set(known)) == len(params) and varying != ["shape"]:
        labels = known
    elif not varying and len(params) == 1:
        labels = ["the only point"]
    elif len(varying) == 1 and all(isinstance(each.get(varying[0]), str) for each in params):
        labels = [scalar(each[varying[0]]) for each in params]
    else:
        labels = [", ".join(f"{name} {scalar(each.get(name))}" for name in varying if name in each) for each in params]
    return [label or f"point {number}" for number, label in enumerate(labels, start=1)]


def contestant_looks(points: Iterable[Point]) -> dict[str, int]:
    """Contestant -> palette index, the same at all points of a run; the lab's own come first."""
    ordered: dict[str, None] = {}
    every = list(points)
    for role in ("lab", "peer", "control"):
        ordered.update(dict.fromkeys(item.contestant for each in every for item in each.series if item.role == role))
    ordered.update(dict.fromkeys(item.contestant for each in every for item in each.checks))
    return {name: place for place, name in enumerate(ordered)}


def flat(value: object, prefix: str = "") -> dict[str, str]:
    """Nested mappings and lists as dotted names -> text; names that end in ``_bytes`` get a fitting unit."""
    if isinstance(value, Mapping):
        parts = [flat(item, f"{prefix}.{key}" if prefix else str(key)) for key, item in value.items()]
        return {name: text for part in parts for name, text in part.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
        if any(isinstance(item, Mapping) for item in items):
            return flat({str(place): item for place, item in enumerate(items)}, prefix)
        return {prefix: ", ".join(scalar(item) for item in items) or "none"}
    if prefix.endswith("_bytes") and isinstance(value, int) and not isinstance(value, bool):
        return {prefix: quantity(value, "bytes")}
    return {prefix: scalar(value)}


def environment_groups(environment: Environment) -> dict[str, dict[str, str]]:
    """The environment as named tables of field -> text; the device first, as it decides what a figure means."""
    return {
        "Device and driver": flat(environment.device),
        "Host": flat(environment.host),
        "Code": flat({"commit": environment.commit, "uncommitted changes": environment.dirty}),
        "Environment variables": dict(environment.variables),
        "Thread pools": flat({str(place): item for place, item in enumerate(environment.libraries, start=1)}),
        "Packages": dict(sorted(environment.packages.items())),
    }


def differences(environments: Sequence[tuple[str, Environment]]) -> list[Difference]:
    """The fields in which environments differ, with the labels that have each value; a field that is absent says so."""
    tables = [
        (
            label,
            {
                f"{group}: {name}": text
                for group, fields in environment_groups(each).items()
                for name, text in fields.items()
            },
        )
        for label, each in environments
    ]
    found = []
    for name in dict.fromkeys(name for _, table in tables for name in table):
        values: dict[str, list[str]] = {}
        for label, table in tables:
            values.setdefault(table.get(name, "absent"), []).append(label)
        if len(values) > 1:
            found.append(Difference(name, values))
    return found


def is_cpu(device: Mapping[str, object]) -> bool:
    """Whether a driver fingerprint is that of an implementation that computes on the CPU."""
    kind = str(device.get("device_class") or device.get("type") or "").lower()
    return "cpu" in kind or "pocl" in str(device.get("selector") or "").lower()


def device_name(device: Mapping[str, object]) -> str:
    """The device's name, and its board's where the driver gives one."""
    name = scalar(device.get("device") or device.get("name") or device.get("selector") or "an unnamed device")
    board = device.get("board")
    return f"{scalar(board)} ({name})" if board and board != name else name


def emulation(device: Mapping[str, object]) -> str:
    """A sentence if the device was held to limits that are not its own; else nothing."""
    limits = device.get("emulated_limits")
    held = flat({name: value for name, value in limits.items() if value}) if isinstance(limits, Mapping) else {}
    if not held:
        return ""
    return (
        f" It was held to limits that are not its own: {', '.join(f'{name} {value}' for name, value in held.items())}."
    )


def headline(manifest: Manifest, points: Mapping[str, Point]) -> tuple[str, str, Metric] | None:
    """(metric, point key, figure) of a run: the first speed gate's worst figure, else the first ratio, rate or metric.

    ``points`` maps keys to the points that could be read.
    """
    gated = [gate.metric for gate in manifest.gates if gate.kind == "speed"]
    names = list(dict.fromkeys(name for point in points.values() for name in point.metrics))
    rates = [name for name in names if "ratio" in name] + [name for name in names if name.endswith(("gflop_s", "gb_s"))]
    for wanted in [*gated, *rates, *names]:
        found = [(key, point.metrics[wanted]) for key, point in points.items() if wanted in point.metrics]
        if found:
            key, metric = min(found, key=lambda each: each[1].value if each[1].higher_is_better else -each[1].value)
            return wanted, key, metric
    return None
