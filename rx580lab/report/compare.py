"""Two runs side by side: what differs about them first, then what that did to each figure.

``compare_evidence`` works it out, ``compare_page`` draws it, ``RunPair.as_dict`` gives it to programs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup

from rx580lab.errors import ResultError
from rx580lab.report import charts, svg
from rx580lab.report.style import metric_unit, templates
from rx580lab.report.text import plural, relative_link
from rx580lab.report.view import differences, is_cpu, point_labels
from rx580lab.results.baseline import Evidence, baseline_of, without_paths
from rx580lab.results.between import (
    MIN_EFFECT_BETWEEN_RUNS,
    PairVerdict,
    compare_points,
    device_facts,
    match_points,
    what_was_measured,
)
from rx580lab.results.files import atomic_write
from rx580lab.results.records import SCHEMA_VERSION, Comparison, Environment, Point, VerdictWord

COMPARE_FILE = "compare.html"
REPORT_FILE = "report.html"
WORDS: tuple[VerdictWord, ...] = ("SLOWER", "FASTER", "AMBIGUOUS", "SAME")
_HASHES = {"package": "the package", "kernels": "the kernels", "notebook": "the notebook", "spec": "the specification"}
# Set by the runner, another one each time, or said by the device's own fields already.
_BESIDE_THE_POINT = ("Environment variables: RX580LAB_POINT", "Environment variables: RX580LAB_REPORTS")
# A link may climb out of the experiment's folder, not out of the reports.
_MOST_CLIMBS = 3

Group = Literal["device", "code", "other"]


@dataclass(frozen=True)
class FieldChange:
    """A field of the environment that is not the same in A and B, and at how many of the points."""

    group: Group
    field: str
    a: str
    b: str
    n_points: int


@dataclass(frozen=True)
class MetricChange:
    """A metric that both points recorded; ``change`` is b / a - 1, None where a is 0."""

    name: str
    unit: str
    a: float
    b: float
    change: float | None


@dataclass(frozen=True)
class PointPair:
    """One sweep point that both have."""

    label: str
    params: Mapping[str, Any]
    same_device: bool
    rows: tuple[PairVerdict, ...]
    metrics: tuple[MetricChange, ...]


@dataclass(frozen=True)
class RunPair:
    """B compared with A, which is the older one or the baseline."""

    a: Evidence
    b: Evidence
    changes: tuple[FieldChange, ...]
    points: tuple[PointPair, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]

    @property
    def same_device(self) -> bool:
        """Whether every point was measured on one device and driver both times."""
        return all(pair.same_device for pair in self.points)

    def changed(self, group: Group) -> list[FieldChange]:
        """The changes of one group."""
        return [change for change in self.changes if change.group == group]

    @property
    def ours(self) -> list[tuple[PointPair, PairVerdict]]:
        """The verdicts on our own contestants' times; on roofs and all else where none was timed."""
        every = [(pair, row) for pair in self.points for row in pair.rows]
        timed = [(pair, row) for pair, row in every if row.quantity == "time" and row.role == "lab"]
        return timed or every

    @property
    def counts(self) -> dict[VerdictWord, int]:
        """Verdict -> how often it fell on our own contestants, the worst first."""
        found = {word: sum(row.verdict == word for _, row in self.ours) for word in WORDS}
        return {word: number for word, number in found.items() if number}

    @property
    def summary(self) -> str:
        """One sentence: "B against A: SLOWER at 2, SAME at 1 of 3 comparisons."."""
        if not self.points:
            return "A and B have no point in common."
        counted = ", ".join(f"{word} at {number}" for word, number in self.counts.items())
        return f"B against A: {counted} of {plural(len(self.ours), 'comparison')}."

    def as_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {
            "schema_version": SCHEMA_VERSION,
            "a": _side(self.a),
            "b": _side(self.b),
            "same_device": self.same_device,
            "summary": self.summary,
            "counts": self.counts,
            "differences": [vars(change) for change in self.changes],
            "points": [
                {
                    "label": pair.label,
                    "params": dict(pair.params),
                    "same_device": pair.same_device,
                    "verdicts": [row.model_dump(mode="json") for row in pair.rows],
                    "metrics": [vars(metric) for metric in pair.metrics],
                }
                for pair in self.points
            ],
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
        }


def compare_evidence(a: Evidence, b: Evidence, *, min_effect: float = MIN_EFFECT_BETWEEN_RUNS) -> RunPair:
    """Compare B with A point by point; ``min_effect`` is the least relative change between runs that counts.

    Raises ResultError if they are of different experiments, or if one has no point that ended ok.
    """
    if (a.kind, a.experiment) != (b.kind, b.experiment):
        raise ResultError(
            "compare",
            f"expected two runs of one experiment, got {a.kind}/{a.experiment} and {b.kind}/{b.experiment}",
        )
    for side, name in ((a, "A"), (b, "B")):
        if not side.points:
            why = "; ".join(side.left_out.values()) or "it has no points"
            raise ResultError(str(side.path), f"{name} has no point that ended ok ({why}); there is nothing to compare")
    places = match_points([params for params, _ in a.points], [params for params, _ in b.points])
    labels = point_labels([what_was_measured(b.points[other][0]) for _, other in places])
    pairs = [
        _point_pair(label, b.points[other][0], a.points[place][1], b.points[other][1], min_effect)
        for label, (place, other) in zip(labels, places, strict=True)
    ]
    matched = [
        (portable(a.points[place][1].environment), portable(b.points[other][1].environment)) for place, other in places
    ]
    return RunPair(
        a=a,
        b=b,
        changes=tuple(what_changed(a.hashes, b.hashes, matched)),
        points=tuple(pairs),
        only_a=tuple(point.title for place, (_, point) in enumerate(a.points) if place not in {p for p, _ in places}),
        only_b=tuple(point.title for place, (_, point) in enumerate(b.points) if place not in {p for _, p in places}),
    )


def compare_with_baseline(run: Evidence, reports_root: Path) -> RunPair | str | None:
    """``run`` against ``reports/baseline/<experiment>.json``; a sentence where that says nothing; None without one."""
    try:
        baseline = baseline_of(reports_root, run.kind, run.experiment)
        if baseline is None:
            return None
        if baseline.run == run.run:
            return "This run is the baseline that later runs are compared with."
        return compare_evidence(baseline, run)
    except ResultError as error:
        # The report of a run must come out, whatever lies beside it.
        return f"The baseline could not be compared with: {error}"


def render_compare(pair: RunPair, target: Path) -> Path:
    """Write the page to ``target`` (a folder gets ``compare.html``) and give its path."""
    target = Path(target)
    if target.is_dir() or target.suffix != ".html":
        target = target / COMPARE_FILE
    atomic_write(target, compare_page(pair, target.parent))
    return target


def compare_page(pair: RunPair, folder: Path | None = None) -> str:
    """The page as text; ``folder`` is where it will lie, from which it links to the reports of A and B."""
    return (
        templates()
        .get_template("compare.html.j2")
        .render(
            pair=pair,
            sides=[(name, side, _link(side, folder), _code(side)) for name, side in (("A", pair.a), ("B", pair.b))],
            **pair_parts(pair),
        )
    )


def pair_parts(pair: RunPair) -> dict[str, Any]:
    """What the templates that show a pair need: verdict rows with their marks on one scale, and its ends."""
    scale = charts.ratio_scale([_as_comparison(row) for point in pair.points for row in point.rows])
    groups = [
        (point, [(row, _mark(f"pair-{place}-{number}", row, scale)) for number, row in enumerate(point.rows)])
        for place, point in enumerate(pair.points)
    ]
    return {"pair_groups": groups, "pair_scale": scale, "shown": _shown, "metric_unit": metric_unit}


def _point_pair(label: str, params: Mapping[str, Any], a: Point, b: Point, min_effect: float) -> PointPair:
    same_device = device_facts(portable(a.environment)) == device_facts(portable(b.environment))
    return PointPair(
        label=label,
        params=params,
        same_device=same_device,
        rows=tuple(compare_points(a, b, same_device=same_device, min_effect=min_effect)),
        metrics=tuple(
            MetricChange(name, metric.unit, metric.value, b.metrics[name].value,
                         b.metrics[name].value / metric.value - 1 if metric.value else None)
            for name, metric in a.metrics.items() if name in b.metrics
        ),
    )  # fmt: skip


def what_changed(
    a_hashes: Mapping[str, str], b_hashes: Mapping[str, str], matched: Sequence[tuple[Environment, Environment]]
) -> list[FieldChange]:
    """All that is recorded of two runs and differs: device and driver, then code, then surroundings.

    ``matched`` has the environments of each point in A and in B, without paths (see ``portable``).
    """
    return [*_device_changes(matched), *_code_changes(a_hashes, b_hashes, matched), *_other_changes(matched)]


def _device_changes(matched: Sequence[tuple[Environment, Environment]]) -> list[FieldChange]:
    found: list[tuple[str, str, str]] = []
    for first, second in matched:
        facts = device_facts(first), device_facts(second)
        found += [
            (name, *_apart(facts[0].get(name, "absent"), facts[1].get(name, "absent")))
            for name in dict.fromkeys([*facts[0], *facts[1]])
            if facts[0].get(name) != facts[1].get(name)
        ]
    return _counted("device", found)


def _apart(a: str, b: str) -> tuple[str, str]:
    """Two values as they are; of two lists only what the other lacks, since lists of extensions are long."""
    if not (a.startswith("[") and b.startswith("[")):
        return a, b
    lists = [str(item) for item in json.loads(a)], [str(item) for item in json.loads(b)]
    told = [
        f"{len(one)}, of which only here: {', '.join(item for item in one if item not in other) or 'none'}"
        for one, other in (lists, lists[::-1])
    ]
    return told[0], told[1]


def _code_changes(
    a: Mapping[str, str], b: Mapping[str, str], matched: Sequence[tuple[Environment, Environment]]
) -> list[FieldChange]:
    found = []
    for first, second in matched:
        states = _commit(first), _commit(second)
        if states[0] != states[1]:
            found.append(("commit", *states))
    hashes = [
        FieldChange("code", words, a[name][:12], b[name][:12], len(matched))
        for name, words in _HASHES.items()
        if name in a and name in b and a[name] != b[name]
    ]
    return [*_counted("code", found), *hashes]


def _commit(environment: Environment) -> str:
    if environment.commit is None:
        return "not recorded"
    return environment.commit[:12] + (" with uncommitted changes" if environment.dirty else "")


def _other_changes(matched: Sequence[tuple[Environment, Environment]]) -> list[FieldChange]:
    found = []
    for first, second in matched:
        facts = device_facts(first)
        for difference in differences([("A", first), ("B", second)]):
            group, _, name = difference.field.partition(": ")
            told = group in ("Code", "Device and driver") or (is_cpu(first.device) and f"host.{name}" in facts)
            if told or difference.field in _BESIDE_THE_POINT:
                continue
            values = {side: value for value, sides in difference.values.items() for side in sides}
            found.append((f"{group}: {name}", values["A"], values["B"]))
    return _counted("other", found)


def portable(environment: Environment) -> Environment:
    """Without paths, so that two checkouts of one commit, or a run and a baseline, do not differ in them."""
    return Environment.model_validate(without_paths(environment.model_dump(mode="json")))


def _counted(group: Group, found: Sequence[tuple[str, str, str]]) -> list[FieldChange]:
    return [FieldChange(group, *each, found.count(each)) for each in dict.fromkeys(found)]


def _side(evidence: Evidence) -> dict[str, Any]:
    return {
        "run": evidence.run,
        "baseline": evidence.is_baseline,
        "experiment": f"{evidence.kind}/{evidence.experiment}",
        "started": evidence.started,
        "status": evidence.status,
        "ci": evidence.ci,
        "commit": _code(evidence),
        "left_out": dict(evidence.left_out),
    }


def _code(evidence: Evidence) -> str:
    return " or ".join(dict.fromkeys(_commit(point.environment) for _, point in evidence.points))


def _link(evidence: Evidence, folder: Path | None) -> str | None:
    page = evidence.path / REPORT_FILE
    if folder is None or evidence.is_baseline or not page.is_file():
        return None
    parts = Path(os.path.relpath(page.resolve(), folder.resolve())).parts
    climbs = parts.count("..")
    below = relative_link(*parts[climbs:])
    return "../" * climbs + below if below and climbs <= _MOST_CLIMBS else None


def _shown(row: PairVerdict) -> str:
    """What is compared, in words, under the contestant's name."""
    if row.quantity == "relative":
        return f"speed relative to {row.against}, in interleaved pairs"
    return {"time": "time per call", "rate": "rate of the roof"}[row.quantity]


def _as_comparison(row: PairVerdict) -> Comparison:
    return Comparison(
        contestant=f"{row.label}, {_shown(row)}: B", baseline="A", ratio=row.ratio, verdict=row.verdict,
        reason=row.reason, min_effect=row.min_effect, noise_floor=row.noise_floor,
    )  # fmt: skip


def _mark(key: str, row: PairVerdict, scale: svg.Scale | None) -> Markup:
    if scale is None:
        return Markup("")
    return charts.ratio_mark(key, _as_comparison(row), scale, {"lab": 0, "control": 3, "peer": 1, "roof": 2}[row.role])
