"""Whether a point's result may be believed, and whether it keeps the experiment's gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rx580lab.errors import ResultError
from rx580lab.experiment.attempt import AttemptResult
from rx580lab.experiment.model import Gate, Value
from rx580lab.results import read_point
from rx580lab.results.points import POINT_FILE
from rx580lab.results.records import GateResult, Metric, Point, PointEntry

__all__ = ["CHECK_FAILED", "gate_results", "judge_point", "recorded_point", "run_reason"]

CHECK_FAILED = "CheckFailed"
_MAX_REASONS = 3


def recorded_point(folder: Path) -> Point | None:
    """The point that a notebook left in ``folder``; None if it left none, or a damaged one."""
    try:
        return read_point(folder)
    except ResultError:
        return None


def judge_point(folder: Path) -> AttemptResult:
    """The status of a point whose notebook ran to its end: ok only with a whole record, all of whose checks passed.

    A time of ours that was checked against nothing is invalid: speed without correctness is no result.
    """
    if not (folder / POINT_FILE).exists():
        message = "the notebook recorded no result; it must call rx580lab.experiment.current_point().record(point)"
        return AttemptResult("invalid", "NoResult", message)
    try:
        point = read_point(folder)
    except ResultError as error:
        return AttemptResult("invalid", "ResultError", str(error))
    checks = [*point.checks, *(roof.check for roof in point.roofs)]
    failed = [f"{check.contestant}: {check.reason or 'differs from its oracle'}" for check in checks if not check.ok]
    if failed:
        # A roof's check often stands among the point's checks as well.
        return AttemptResult("failed", CHECK_FAILED, "; ".join(dict.fromkeys(failed)))
    checked = {check.contestant for check in checks}
    ours = [series.contestant for series in point.series if series.role == "lab"]
    unchecked = [name for name in ours if name not in checked]
    if unchecked:
        message = f"timed without a check of the output: {', '.join(unchecked)}; record a Check for each"
        return AttemptResult("invalid", "Unchecked", message)
    return AttemptResult("ok")


def gate_results(
    gates: Sequence[Gate],
    key: str,
    params: Mapping[str, Value],
    metrics: Mapping[str, Metric] | None,
    *,
    ci: bool,
) -> list[GateResult]:
    """The gates that apply to one point. ``params`` are its effective parameters; ``metrics`` None: no result.

    A metric that is missing fails its gate: a gate that cannot be judged must not pass.
    """
    results: list[GateResult] = []
    for gate in gates:
        if any(params.get(name) != wanted for name, wanted in gate.where.items()):
            continue
        metric = metrics.get(gate.metric) if metrics is not None else None
        enforced = gate.kind == "correctness" or not ci
        if gate.min is not None:
            ok = metric is not None and metric.value >= gate.min
            reason = _reason(gate, metric, metrics, f">= {gate.min:g}", ok)
            results.append(_result(gate, key, "min", float(gate.min), metric, ok, enforced, reason))
        if gate.max is not None:
            ok = metric is not None and metric.value <= gate.max
            reason = _reason(gate, metric, metrics, f"<= {gate.max:g}", ok)
            results.append(_result(gate, key, "max", float(gate.max), metric, ok, enforced, reason))
    return results


def _result(
    gate: Gate, key: str, bound: str, limit: float, metric: Metric | None, ok: bool, enforced: bool, reason: str
) -> GateResult:
    return GateResult.model_validate(
        {
            "metric": gate.metric,
            "point": key,
            "kind": gate.kind,
            "bound": bound,
            "limit": limit,
            "value": metric.value if metric else None,
            "ok": ok,
            "enforced": enforced,
            "reason": reason,
        }
    )


def _reason(gate: Gate, metric: Metric | None, metrics: Mapping[str, Metric] | None, bound: str, ok: bool) -> str:
    if metrics is None:
        return f"expected {gate.metric} {bound}, got no result at this point"
    if metric is None:
        return f"expected {gate.metric} {bound}, got no such metric; recorded: {', '.join(sorted(metrics)) or 'none'}"
    unit = f" {metric.unit}" if metric.unit not in {"", "1"} else ""
    return f"{gate.metric} {metric.value:.6g}{unit} {'keeps' if ok else 'misses'} {bound}"


def run_reason(points: Sequence[PointEntry], gates: Sequence[GateResult]) -> str | None:
    """Why a run whose points have all ended is not ok; None when it is."""
    reasons = [f"point {entry.key}: {entry.error_type}: {entry.error}" for entry in points if entry.status != "ok"]
    reasons += [f"gate at point {gate.point}: {gate.reason}" for gate in gates if gate.enforced and not gate.ok]
    if not reasons:
        return None
    more = len(reasons) - _MAX_REASONS
    return "; ".join(reasons[:_MAX_REASONS]) + (f"; and {more} more" if more > 0 else "")
