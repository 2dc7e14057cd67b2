"""Tables for a terminal: devices, self-tests, comparisons and histories; in the same order and words as on the pages.

Each function gives tables and lines of text, to be printed one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rx580lab.report.compare import RunPair
from rx580lab.report.history import History
from rx580lab.report.quantities import interval, percent, quantity
from rx580lab.report.style import VERDICT, moment
from rx580lab.report.text import visible
from rx580lab.results.records import VerdictWord

__all__ = ["comparison_table", "devices_table", "history_table", "selftest_table"]

_STYLES: dict[VerdictWord, str] = {"SLOWER": "red", "FASTER": "green", "AMBIGUOUS": "yellow", "SAME": ""}


def history_table(history: History) -> Iterator[RenderableType]:
    """A line per series with its sparkline, then every change with what changed there."""
    table = Table(title=visible(f"{history.title}: history"), title_justify="left")
    for heading in ("point", "metric", "device", "runs", "oldest to newest", "newest", "changes"):
        table.add_column(heading, overflow="fold")
    for track in history.tracks:
        newest = interval(track.readings[-1].interval, track.unit)
        device = track.device + (", CI size" if track.ci else "")
        row = (track.label, track.metric, device, str(len(track.readings)), track.spark, newest, str(len(track.turns)))
        table.add_row(*(Text(visible(cell)) for cell in row))
    yield table
    for track, turn in history.turns:
        mark, style = ("▲ better", "green") if turn.better else ("▼ worse", "red")
        sizes = f"{quantity(turn.change.before, track.unit)} → {quantity(turn.change.after, track.unit)}"
        shift = ("+" if turn.change.shift > 0 else "") + percent(turn.change.shift)
        where = f"{track.metric} at {track.label}, from run {turn.after.run} on ({moment(turn.after.started)})"
        yield Text.assemble((mark, style), visible(f" {sizes} ({shift}) in {where}: {turn.cause}"))
    for run, why in history.unreadable:
        yield Text(visible(f"{run} cannot be read: {why}"), "red")
    yield Text(history.summary)


def devices_table(found: Sequence[Any]) -> Iterator[RenderableType]:
    """The devices that ``list_devices`` found, best first, and why one is not usable."""
    table = Table(title="OpenCL devices, best first")
    for heading in ("name for --device", "device", "class", "family", "memory", "state"):
        table.add_column(heading, no_wrap=heading in {"name for --device", "state"}, overflow="fold")
    for info in found:
        memory = f"{info.facts['memory_bytes'] / 2**30:.1f} GiB" if "memory_bytes" in info.facts else "-"
        state = {True: Text("usable", "green"), False: Text("no", "red"), None: Text("?")}[info.usable]
        table.add_row(info.selector, info.name or "-", info.device_class, info.isa, memory, state)
    yield table
    for info in found:
        if info.usable is False:
            yield Text(f"{info.selector}: {info.reason}")
    if found and not any(info.is_polaris for info in found):
        yield Text("No Polaris card (RX 470 to RX 590) among them: figures will be of another device.")
    if not found:
        yield Text("No OpenCL platform is installed; `pip install 'pyopencl[pocl]'` brings one.")


def selftest_table(report: Any) -> Iterator[RenderableType]:
    """What a self-test found: a line per op and template, then what was left out, faults and the soak."""
    table = Table(
        "op", "template", "cases", "result", "largest error / tolerance", title=f"selftest on {report.device}"
    )
    for line in report.lines:
        result = Text("pass", "green") if line.ok else Text(f"FAIL: {line.reason}", "red")
        if line.ok and line.reason:
            result = Text(f"not run: {line.reason}", "yellow")
        share = "-" if line.worst_share is None else f"{line.worst_share:.3g}"
        table.add_row(line.op, line.template, str(line.n_cases), result, share)
    yield table
    for line in report.lines:
        for left_out in line.left_out:
            yield Text(f"left out: {line.op} {line.template} on {left_out}")
    for fault in report.faults:
        yield Text(f"FAULT: {fault}")
    if report.soak is not None:
        soak = report.soak
        found = soak.first_difference or "all identical, bit for bit"
        yield Text(f"soak: {soak.n_repeats} repeats of {soak.n_cases} cases in {soak.seconds:.0f} s: {found}")
    yield Text("everything that ran is right" if report.ok else "NOT everything is right")


def comparison_table(pair: RunPair) -> Iterator[RenderableType]:
    """What differs first, then a verdict per point and contestant, then the sentence that sums it up."""
    for name, side in (("A", pair.a), ("B", pair.b)):
        kind = "baseline, from run" if side.is_baseline else "run"
        yield Text(visible(f"{name}: {kind} {side.run} of {side.kind}/{side.experiment}, {moment(side.started)}"))
    if not pair.same_device:
        yield Text("DIFFERENT DEVICES OR DRIVERS: no ratio below says anything about the code.", "bold red")
    if pair.changes:
        table = Table(title="What differs, the device first", title_justify="left")
        for heading in ("", "field", "A", "B"):
            table.add_column(heading, overflow="fold")
        for change in pair.changes:
            style = "red" if change.group == "device" else ""
            table.add_row(*(Text(visible(cell), style) for cell in (change.group, change.field, change.a, change.b)))
        yield table
    else:
        yield Text("Nothing that was recorded differs: device, driver, commit, code and surroundings are the same.")
    yield from _verdicts(pair)
    for name, titles, side in (("A", pair.only_a, pair.a), ("B", pair.only_b, pair.b)):
        if titles:
            yield Text(visible(f"only in {name}: {'; '.join(titles)}"))
        for point_name, why in side.left_out.items():
            yield Text(visible(f"{name}: {point_name} has no result ({why})"), "yellow")
    yield Text(pair.summary, "bold")


def _verdicts(pair: RunPair) -> Iterator[RenderableType]:
    table = Table(title="B against A; ratio above 1: B is quicker", title_justify="left")
    for heading in ("point", "contestant", "A", "B", "ratio (interval)", "verdict"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("point", "verdict"))
    reasons: list[Text] = []
    for point in pair.points:
        for row in point.rows:
            name = row.contestant if row.against is None else f"{row.contestant}, relative to {row.against}"
            cells = (point.label, name, quantity(row.a.value, row.unit), quantity(row.b.value, row.unit),
                     interval(row.ratio, "ratio"))  # fmt: skip
            word = Text(f"{VERDICT[row.verdict]} {row.verdict}", _STYLES[row.verdict])
            table.add_row(*(Text(visible(cell)) for cell in cells), word)
            if row.verdict != "SAME" and pair.same_device:
                reasons.append(Text.assemble(word, visible(f" {point.label}, {name}: {row.reason}")))
        table.add_section()
    yield table
    yield from reasons
