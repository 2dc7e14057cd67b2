"""A model's plan and profile as tables and pictures, for the notebook that made them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from rx580lab.experiment.model_bench import by_operator
from rx580lab.results.records import Point, StepTime

if TYPE_CHECKING:
    from rx580lab.experiment.drawing import Drawing
    from rx580lab.graph import ModelPlan

__all__ = ["memory_map", "operator_chart", "roofline", "step_table"]

MIB = 1 << 20


def step_table(steps: Sequence[StepTime], n_rows: int = 20) -> pd.DataFrame:
    """The dearest steps of a profile: time, share of all steps' time, work, and share of the roof that bounds it."""
    timed = [(one, one.time_ns) for one in steps if one.time_ns is not None]
    total = sum(time.value for _, time in timed)
    rows = [
        {
            "step": one.node,
            "operator": one.operator,
            "ops": ", ".join(one.ops),
            "launches": one.n_launches,
            "median, us": round(time.value * 1e-3, 2),
            "of all": f"{time.value / total:.1%}",
            "MFLOP": round(one.flop * 1e-6, 3),
            "MB": round(one.bytes * 1e-6, 3),
            "of the roof": "" if one.roof_share is None else f"{one.roof_share:.0%} of {one.roof}",
        }
        for one, time in sorted(timed, key=lambda pair: -pair[1].value)[:n_rows]
    ]
    return pd.DataFrame(rows).set_index("step")


def operator_chart(steps: Sequence[StepTime]) -> Drawing:
    """Time of all steps of each operator, as bars."""
    from rx580lab.experiment.drawing import Drawing

    times = by_operator(steps)
    figure = Drawing(8, 0.9 + 0.32 * max(1, len(times)))
    axes = figure.subplots()
    bars = axes.barh(list(times), [ns * 1e-6 for ns in times.values()], color="C0")
    total = sum(times.values()) or 1.0
    axes.bar_label(bars, [f"{ns / total:.0%}" for ns in times.values()], padding=3)
    axes.invert_yaxis()
    axes.set_xlabel("time on the device, ms (share of all steps)")
    return figure


def roofline(point: Point) -> Drawing:
    """Each step by its arithmetic intensity and its rate, below the roofs that were measured with it."""
    from rx580lab.experiment.drawing import Drawing

    figure = Drawing(8, 4.5)
    axes = figure.subplots()
    named = {roof.name: roof.rate.value for roof in point.roofs}
    bandwidth = max(rate for name, rate in named.items() if name != "fma_peak")
    peak = named["fma_peak"]
    dots = [
        (one.flop / one.bytes, one.flop / one.time_ns.value, one.operator)
        for one in point.steps
        if one.time_ns is not None and one.time_ns.value > 0 and one.flop and one.bytes
    ]
    low, high = min([dot[0] for dot in dots] + [0.1]) / 2, max([dot[0] for dot in dots] + [100.0]) * 2
    ridge = peak / bandwidth
    axes.plot([low, ridge, high], [low * bandwidth, peak, peak], color="0.4", linewidth=1.5)
    for place, operator in enumerate(sorted({dot[2] for dot in dots})):
        some = [dot for dot in dots if dot[2] == operator]
        axes.plot(
            [dot[0] for dot in some],
            [dot[1] for dot in some],
            "osv^DPX*"[place % 8],
            color=f"C{place % 10}",
            alpha=0.75,
            label=operator,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("arithmetic intensity, FLOP/byte")
    axes.set_ylabel("rate, GFLOP/s")
    if dots:
        axes.legend(title=f"roofs: {peak:.3g} GFLOP/s, {bandwidth:.3g} GB/s", ncols=2, fontsize="small")
    return figure


def memory_map(plan: ModelPlan) -> Drawing:
    """The arena: each value's place over the steps during which it is needed."""
    from matplotlib.patches import Rectangle

    from rx580lab.experiment.drawing import Drawing

    figure = Drawing(8, 3.5)
    axes = figure.subplots()
    starts = [0]
    for size in plan.placement.blocks:
        starts.append(starts[-1] + size)
    for place, one in enumerate(plan.placement.buffers):
        if one.nbytes:
            block, offset = plan.placement.at[one.name]
            corner = one.first - 0.5, (starts[block] + offset) / MIB
            axes.add_patch(
                Rectangle(
                    corner, one.last - one.first + 1, one.nbytes / MIB, facecolor=f"C{place % 10}", edgecolor="white"
                )
            )
    axes.set_xlim(-0.5, len(plan.steps) + 0.5)
    axes.set_ylim(0, max(starts[-1], 1) / MIB)
    axes.set_xlabel("step")
    axes.set_ylabel(f"arena, MiB ({starts[-1] / MIB:.3g} in all)")
    return figure
