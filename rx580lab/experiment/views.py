"""A point as small tables and a picture, for the notebook that made it. The report draws its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from rx580lab.results.records import Interval, Point

if TYPE_CHECKING:
    from rx580lab.experiment.drawing import Drawing

__all__ = ["check_table", "distribution", "roof_table", "trial_table", "verdict_table"]


def verdict_table(point: Point) -> pd.DataFrame:
    """Each contestant: median with interval, rates, share of the roof, and the verdict beside each baseline."""
    rates = {rate.contestant: rate for rate in point.achieved}
    rows: list[dict[str, object]] = []
    for one in point.series:
        rate = rates.get(one.contestant)
        verdicts = [
            f"{item.verdict} {item.ratio.value:.3g} ({item.ratio.low:.3g} to {item.ratio.high:.3g}) vs {item.baseline}"
            for item in point.comparisons
            if item.contestant == one.contestant
        ]
        rows.append(
            {
                "contestant": one.contestant,
                "median, ms": _with_interval(one.median_ns, 1e-6),
                "GFLOP/s": f"{rate.gflop_s.value:.4g}" if rate else "",
                "GB/s": f"{rate.gb_s.value:.4g}" if rate else "",
                "of the roof": f"{rate.roof_share:.1%} of {rate.roof}" if rate else "",
                "speed ratio": "; ".join(verdicts),
                "samples": len(one.samples_ns),
                "clock": one.clock,
            }
        )
    absent: list[dict[str, object]] = [
        {"contestant": name, "speed ratio": f"absent: {why}"} for name, why in point.unavailable.items()
    ]
    return pd.DataFrame(rows + absent, dtype=object).set_index("contestant").fillna("")


def check_table(point: Point) -> pd.DataFrame:
    """Each contestant's output beside the oracle: pass or the reason, and the errors."""
    rows = [
        {
            "contestant": check.contestant,
            "right": "pass" if check.ok else f"FAIL: {check.reason}",
            "largest error": check.max_abs_error,
            "share of tolerance": check.worst_share,
            "values": check.n_values,
            "tolerance": check.tolerance,
        }
        for check in point.checks
    ]
    return pd.DataFrame(rows).set_index("contestant")


def roof_table(point: Point) -> pd.DataFrame:
    """Each measured roof with its interval, and what gave it."""
    rows = [
        {
            "roof": roof.name,
            "rate": f"{_with_interval(roof.rate)} {roof.unit}",
            "right": "pass" if roof.check.ok else f"FAIL: {roof.check.reason}",
            "by": roof.detail,
        }
        for roof in point.roofs
    ]
    return pd.DataFrame(rows).set_index("roof")


def trial_table(point: Point) -> pd.DataFrame:
    """Each kind of trial of the stopwatch: how many races, what was said, and how much the ratios spread."""
    rows: list[dict[str, object]] = []
    for trials in point.trials:
        ratios = sorted(ratio.value for ratio in trials.ratios)
        rows.append(
            {
                "kind": "equal work" if trials.kind == "aa" else f"{trials.planted:.0%} more work",
                "races": trials.n_trials,
                "false alarms" if trials.kind == "aa" else "noticed": trials.n_hits,
                "verdicts": ", ".join(f"{n} {word}" for word, n in trials.verdicts.items()),
                "ratios": f"{ratios[0]:.3f} to {ratios[-1]:.3f}",
                "noise floor": trials.noise_floor,
                "clock": trials.clock,
                "seconds": round(trials.seconds, 1),
            }
        )
    return pd.DataFrame(rows, dtype=object).set_index("kind").fillna("")


def distribution(point: Point) -> Drawing:
    """Every sample as a dot, with median and interval, one row per contestant."""
    from rx580lab.experiment.drawing import Drawing

    figure = Drawing(8, 0.8 + 0.5 * len(point.series))
    axes = figure.subplots()
    for row, one in enumerate(point.series):
        times = [sample * 1e-6 for sample in one.samples_ns]
        axes.plot(times, [row] * len(times), "o", alpha=0.45, color="C0")
        median = one.median_ns
        axes.plot([median.low * 1e-6, median.high * 1e-6], [row, row], "-", color="C1", linewidth=3)
        axes.plot(median.value * 1e-6, row, "|", color="C1", markersize=18, markeredgewidth=2)
    axes.set_yticks(range(len(point.series)), [one.contestant for one in point.series])
    axes.invert_yaxis()
    axes.set_xlabel("time per call, ms (dots: samples; bar: median with its interval)")
    axes.set_xlim(left=0)
    return figure


def _with_interval(interval: Interval, scale: float = 1.0) -> str:
    low, value, high = (scale * part for part in (interval.low, interval.value, interval.high))
    return f"{value:.4g} ({low:.4g} to {high:.4g})"
