"""``render_run``: one run folder becomes one self-contained page, ``report.html`` beside its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from rx580lab.report import charts, quantities, roofline
from rx580lab.report.compare import RunPair, compare_with_baseline, pair_parts
from rx580lab.report.notebook import render_notebook
from rx580lab.report.style import metric_unit, templates
from rx580lab.report.text import plural
from rx580lab.report.view import (
    NOTEBOOK,
    NOTEBOOK_PAGE,
    PointView,
    RunView,
    environment_groups,
    load_run,
)
from rx580lab.results.baseline import read_evidence
from rx580lab.results.files import atomic_write
from rx580lab.results.records import Achieved, Comparison, GateResult, Metric, Sensors

REPORT_FILE = "report.html"
_SENSORS = (
    ("shader_clock_mhz", "Shader clock", "MHz"),
    ("memory_clock_mhz", "Memory clock", "MHz"),
    ("temperature_c", "Temperature", "°C"),
    ("power_w", "Power", "W"),
    ("vram_used_bytes", "VRAM in use", "bytes"),
    ("cpu_clock_mhz", "CPU clock", "MHz"),
    ("load_1min", "Load (1 min)", ""),
)


def render_run(run_path: Path) -> Path:
    """Write ``report.html`` into the run folder and two pages beside each executed notebook; give the report's path.

    Where ``baseline/<experiment>.json`` lies in the same reports folder, the report says how the run compares with it.

    Runs that failed, were killed or still run are rendered as well. Files are replaced whole. Raises ResultError if
    the folder has no readable manifest, OSError if it cannot be written to.
    """
    run_path = Path(run_path)
    run = load_run(run_path)
    notebooks = {}
    for view in run.points:
        if view.notebook is not None:
            folder = run_path / "points" / view.entry.key
            title = f"{run.manifest.title or run.manifest.name}: {view.label}"
            notebooks[view.anchor] = render_notebook(folder / NOTEBOOK, folder / NOTEBOOK_PAGE, title)
    baseline = compare_with_baseline(read_evidence(run_path), run_path.resolve().parent.parent.parent)
    report = run_path / REPORT_FILE
    atomic_write(report, run_page(run, notebooks, baseline))
    return report


def run_page(
    run: RunView, notebooks: Mapping[str, str | None] | None = None, baseline: RunPair | str | None = None
) -> str:
    """The page as text. ``notebooks`` maps a point's anchor to why its notebook has no page of its own, or None;
    ``baseline`` is the comparison with the baseline (as B), or why there is none to show.
    """
    pair = baseline if isinstance(baseline, RunPair) else None
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            run=run,
            manifest=run.manifest,
            notebooks=notebooks or {},
            notebook_page=NOTEBOOK_PAGE,
            findings=findings(run.comparisons),
            verdicts=_verdict_rows(run),
            standings=_standings(run),
            roof_lines=_roof_lines(run),
            ratio_scale=charts.ratio_scale([item for _, item in run.comparisons]),
            gates=[(gate, _gate_point(run, gate), _gate_unit(run, gate)) for gate in run.manifest.gates],
            oracles=_oracles(run),
            figures={view.anchor: figures(view, run.looks) for view in run.measured},
            tables=_environment(run),
            sensors=_sensor_table(run),
            missing=_missing(run),
            roof_styles=roofline.roof_styles,
            pair=pair,
            baseline_words=baseline if isinstance(baseline, str) else None,
            **(pair_parts(pair) if pair else {}),
        )
    )


def figures(view: PointView, looks: Mapping[str, int]) -> dict[str, Markup | None]:
    """The pictures of one point by name; None where the point holds nothing to draw."""
    point = view.point
    if point is None:
        return {}
    return {
        "distributions": charts.distributions(f"{view.anchor}-dist", point.series, looks),
        "warmup": charts.warmup_trace(f"{view.anchor}-warm", point.series, looks),
        "roofline": roofline.roofline(f"{view.anchor}-roof", point.roofs, point.achieved, looks, view.names),
    }


def findings(comparisons: Sequence[tuple[PointView, Comparison]]) -> list[str]:
    """One sentence per pair of contestants: how often which verdict fell, and the range of ratios."""
    pairs: dict[tuple[str, str], list[Comparison]] = {}
    for view, item in comparisons:
        pairs.setdefault((view.name(item.contestant), view.name(item.baseline)), []).append(item)
    found = []
    for (contestant, baseline), items in pairs.items():
        words = {
            word: sum(item.verdict == word for item in items) for word in ("FASTER", "SAME", "SLOWER", "AMBIGUOUS")
        }
        counted = ", ".join(f"{word} at {number}" for word, number in words.items() if number)
        values = sorted(item.ratio.value for item in items)
        low, high = quantities.quantity(values[0], "ratio"), quantities.quantity(values[-1], "ratio")
        span = low if low == high else f"{low} to {high}"
        found.append(f"{contestant} against {baseline}: {counted} of {plural(len(items), 'point')}; {span} its speed.")
    return found


def _verdict_rows(run: RunView) -> list[dict[str, Any]]:
    """Points with their comparisons, each with its mark on one scale."""
    scale = charts.ratio_scale([item for _, item in run.comparisons])
    groups: list[dict[str, Any]] = []
    for view in run.points:
        if view.point is None or not view.point.comparisons or scale is None:
            continue
        marks = [
            (item, charts.ratio_mark(f"{view.anchor}-ratio-{place}", item, scale, run.looks.get(item.contestant, 0)))
            for place, item in enumerate(view.point.comparisons)
        ]
        groups.append({"view": view, "rows": marks})
    return groups


def _standings(run: RunView) -> list[tuple[PointView, Achieved, bool, Markup]]:
    """The lab's own contestants with the kind of roof above them (arithmetic or not) and their share of it."""
    rows = []
    for view in run.points:
        if view.point is None:
            continue
        own = {item.contestant for item in view.point.series if item.role == "lab"}
        arithmetic = {roof.name for roof in view.point.roofs if roof.kind == "arithmetic"}
        for place, item in enumerate(view.point.achieved):
            if item.contestant in own:
                words = f"{view.name(item.contestant)}: {quantities.percent(item.roof_share)} of {item.roof}"
                look = run.looks.get(item.contestant, 0)
                bar = charts.share_bar(f"{view.anchor}-share-{place}", item.roof_share, words, look)
                rows.append((view, item, item.roof in arithmetic, bar))
    return rows


def _roof_lines(run: RunView) -> list[tuple[str, str, str]]:
    """(roof, rate with interval, where) of the first point with roofs; ``where`` says so if others found otherwise."""
    measured = [(view, view.point.roofs) for view in run.points if view.point and view.point.roofs]
    if not measured:
        return []
    first, roofs = measured[0]
    lines = []
    for roof in roofs:
        others = [each.rate.value for _, found in measured[1:] for each in found if each.name == roof.name]
        differing = [value for value in others if not roof.rate.low <= value <= roof.rate.high]
        where = f"at {first.label}" if differing else ""
        if differing:
            span = quantities.spread(min(differing), max(differing), roof.rate.value, roof.unit)
            where += f", {span if len(differing) > 1 else span.split(' to ')[0]} elsewhere"
        lines.append((roof.name, quantities.interval(roof.rate, roof.unit), where))
    return lines


def _gate_point(run: RunView, gate: GateResult) -> PointView | None:
    return next((view for view in run.points if gate.point in (view.entry.key, view.label)), None)


def _gate_unit(run: RunView, gate: GateResult) -> str:
    view = _gate_point(run, gate)
    named: list[Metric] = [each.point.metrics[gate.metric] for each in run.measured
                           if each.point and gate.metric in each.point.metrics and view in (each, None)]  # fmt: skip
    return metric_unit(gate.metric, named[0].unit) if named else ""


def _oracles(run: RunView) -> list[tuple[str, int, int]]:
    """(oracle, outputs that agree, outputs compared), in the order in which they appear."""
    found: dict[str, list[bool]] = {}
    for _, check in run.checks:
        found.setdefault(check.oracle, []).append(check.ok)
    return [(oracle, sum(results), len(results)) for oracle, results in found.items()]


def _environment(run: RunView) -> dict[str, dict[str, str]]:
    if not run.environments:
        return {}
    groups = environment_groups(run.environments[0][1])
    return {name: fields for name, fields in groups.items() if fields}


def _sensor_table(run: RunView) -> tuple[list[str], list[tuple[PointView, list[str]]]]:
    """Labels of the sensors that gave a reading anywhere, and each point's readings, before and after."""
    rows: list[tuple[PointView, dict[str, str]]] = []
    for view in run.measured:
        readings = {}
        for name, label, unit in _SENSORS:
            pair = [getattr(each, name) if each else None for each in _sensors(view)]
            if any(value is not None for value in pair):
                readings[label] = " → ".join(quantities.quantity(value, unit) for value in pair)
        rows.append((view, readings))
    labels = [label for _, label, _ in _SENSORS if any(label in readings for _, readings in rows)]
    return labels, [(view, [readings.get(label, "–") for label in labels]) for view, readings in rows]


def _sensors(view: PointView) -> tuple[Sensors | None, Sensors | None]:
    return (view.point.sensors_before, view.point.sensors_after) if view.point else (None, None)


def _missing(run: RunView) -> dict[str, list[str]]:
    """Reason -> fields that are missing for it, of the environment and of the sensors."""
    labels = {name: label for name, label, _ in _SENSORS}
    gaps: dict[str, dict[str, None]] = {}
    for _, environment in run.environments:
        for name, reason in environment.missing.items():
            gaps.setdefault(reason, {})[name] = None
    for view in run.measured:
        for each in _sensors(view):
            for name, reason in (each.missing if each else {}).items():
                gaps.setdefault(reason, {})[labels.get(name, name)] = None
    return {reason: list(names) for reason, names in gaps.items()}
