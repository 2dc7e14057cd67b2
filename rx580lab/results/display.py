"""Small tables and pictures for notebooks: what ``_repr_html_`` of the lab's classes is made of.

Text takes the colour of the page around it and only marks have one of their own, so both themes of JupyterLab can be
read. Whatever is not ``Html`` is escaped. A terminal shows the plain ``repr`` as ever.
"""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rx580lab.results.records import (
        Check,
        Comparison,
        Interval,
        Manifest,
        Point,
        Series,
        VerdictWord,
    )

__all__ = [
    "Html",
    "badge",
    "card",
    "comparison_html",
    "count",
    "dots",
    "facts",
    "interval_html",
    "manifest_html",
    "point_html",
    "quantity",
    "ratio_bar",
    "series_html",
    "table",
    "text",
]

Tone = Literal["good", "bad", "warn", "plain"]

# The class stands twice: these rules must win over JupyterLab's own for tables and code in outputs.
_STYLE = """<style>
.rx-show.rx-show{font-size:13px;line-height:1.5;max-width:100%;overflow-x:auto;color:inherit}
.rx-show.rx-show .rx-title{font-weight:600;margin:0 0 4px}
.rx-show.rx-show table{border-collapse:collapse;margin:0 0 6px;font-size:inherit;color:inherit}
.rx-show.rx-show th,.rx-show.rx-show td{text-align:left;vertical-align:top;padding:2px 14px 2px 0;border:0;
background:none;white-space:normal;max-width:44em;overflow-wrap:anywhere}
.rx-show.rx-show thead th{border-bottom:1px solid var(--jp-border-color1,#8888);font-weight:600}
.rx-show.rx-show tbody tr{background:none}
.rx-show.rx-show tbody th{font-weight:400}
.rx-show.rx-show .rx-n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.rx-show.rx-show code{background:none;padding:0;color:inherit;font-size:inherit}
.rx-show.rx-show .rx-short{white-space:nowrap}
.rx-show.rx-show .rx-mark{display:inline-block;width:.7em;height:.7em;margin-right:.4em;border-radius:2px;
background:var(--rx-tone)}
.rx-show.rx-show .rx-good{--rx-tone:var(--jp-success-color1,#388e3c)}
.rx-show.rx-show .rx-bad{--rx-tone:var(--jp-error-color1,#d32f2f)}
.rx-show.rx-show .rx-warn{--rx-tone:var(--jp-warn-color1,#f57c00)}
.rx-show.rx-show .rx-plain{--rx-tone:var(--jp-border-color0,#888)}
.rx-show.rx-show svg{display:block;max-width:100%;height:auto;overflow:visible}
.rx-show.rx-show svg text{fill:currentColor;font-size:11px}
.rx-show.rx-show svg .rx-line{stroke:currentColor;stroke-opacity:.35;fill:none}
.rx-show.rx-show svg .rx-dot{fill:currentColor;fill-opacity:.35}
.rx-show.rx-show svg .rx-bar{stroke:var(--jp-brand-color1,#1976d2);stroke-width:3;fill:none}
</style>"""

_VERDICT_TONES: Mapping[VerdictWord, Tone] = {"FASTER": "good", "SLOWER": "bad", "SAME": "plain", "AMBIGUOUS": "warn"}
_STATUS_TONES: Mapping[str, Tone] = {
    "ok": "good", "failed": "bad", "killed": "bad", "timeout": "bad", "invalid": "bad", "running": "warn",
}  # fmt: skip
_TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
_BYTES = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "bytes"))
_WIDTH = 520
_LABEL_WIDTH = 130
_ROW_HEIGHT = 22
# Words of a badge that stay on the line of its mark.
_SHORT = 20


class Html(str):
    """Markup that is safe as it is: made here, its texts escaped."""

    __slots__ = ()


def text(value: object) -> Html:
    """``value`` escaped; characters that cannot be seen (controls, direction overrides) are spelled out."""
    if isinstance(value, Html):
        return value
    if value is None:
        return Html("–")
    return Html(html.escape("".join(_visible(character) for character in str(value))))


def _visible(character: str) -> str:
    shown = character.isprintable() or character in "\n\t" or unicodedata.category(character) == "Zs"
    return character if shown else f"<U+{ord(character):04X}>"


def card(title: str, *parts: Html) -> str:
    """One output: a title and what stands below it."""
    body = "".join(parts)
    return f'{_STYLE}<div class="rx-show"><p class="rx-title">{text(title)}</p>{body}</div>'


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    """A table whose first column names its rows; numbers stand to the right, None is a dash."""
    head = "".join(f'<th scope="col">{text(heading)}</th>' for heading in headings)
    body = "".join(f"<tr>{''.join(_cell(value, place) for place, value in enumerate(row))}</tr>" for row in rows)
    return Html(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def facts(pairs: Mapping[str, object]) -> Html:
    """Names and values, one pair a line."""
    body = "".join(f"<tr>{_cell(name, 0)}{_cell(value, 1)}</tr>" for name, value in pairs.items())
    return Html(f"<table><tbody>{body}</tbody></table>")


def _cell(value: object, place: int) -> str:
    if place == 0:
        return f'<th scope="row">{text(value)}</th>'
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f'<td class="rx-n">{text(count(value) if isinstance(value, int) else f"{value:.4g}")}</td>'
    return f"<td>{text(value)}</td>"


def badge(word: str, tone: Tone) -> Html:
    """A coloured mark with its word; the word alone says it as well."""
    short = " rx-short" if len(word) <= _SHORT else ""
    return Html(f'<span class="rx-{tone}{short}"><span class="rx-mark" aria-hidden="true"></span>{text(word)}</span>')


def count(value: int) -> str:
    """A whole number with its thousands grouped by narrow spaces."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def quantity(value: float | None, unit: str) -> str:
    """``quantity(1234567, "ns")`` is "1.235 ms"; units that have no scale here stay; None is a dash."""
    if value is None:
        return "–"
    for size, shown in {"ns": _TIMES, "bytes": _BYTES}.get(unit, ()):
        if abs(value) >= size:
            return f"{value / size:.4g} {shown}"
    return f"{value:.4g} {unit}".rstrip()


def _with_bounds(interval: Interval, unit: str) -> str:
    bounds = f"{quantity(interval.low, unit)} to {quantity(interval.high, unit)}"
    return f"{quantity(interval.value, unit)} ({bounds})"


def interval_html(interval: Interval) -> str:
    """An interval's value, bounds, confidence and number of samples."""
    words = f"{interval.value:.4g} ({interval.low:.4g} to {interval.high:.4g})"
    return card(f"{words}, {interval.confidence:.0%} of n = {interval.n}")


def dots(rows: Sequence[tuple[str, Sequence[float], Interval]]) -> Html:
    """Every sample (ns) as a dot, one row per name, the median with its interval as a bar; the scale begins at 0."""
    highest = max((value for _, samples, median in rows for value in (*samples, median.high)), default=0.0)
    if not rows or not math.isfinite(highest) or highest <= 0:
        return Html("")
    scale = (_WIDTH - _LABEL_WIDTH - 10) / highest
    parts = []
    for place, (name, samples, median) in enumerate(rows):
        middle = place * _ROW_HEIGHT + 12
        parts.append(f'<text x="0" y="{middle + 4}">{text(_shortened(name))}</text>')
        parts.extend(
            f'<circle class="rx-dot" cx="{_LABEL_WIDTH + sample * scale:.1f}" cy="{middle}" r="3"/>'
            for sample in samples
        )
        low, high = (_LABEL_WIDTH + bound * scale for bound in (median.low, median.high))
        parts.append(f'<path class="rx-bar" d="M{low:.1f} {middle}H{max(high, low + 2):.1f}"/>')
    bottom = len(rows) * _ROW_HEIGHT + 4
    parts.append(f'<path class="rx-line" d="M{_LABEL_WIDTH} {bottom}H{_WIDTH - 10}"/>')
    parts.append(f'<text x="{_LABEL_WIDTH}" y="{bottom + 14}">0</text>')
    parts.append(f'<text x="{_WIDTH - 10}" y="{bottom + 14}" text-anchor="end">{quantity(highest, "ns")}</text>')
    names = ", ".join(f"{name}: {_with_bounds(median, 'ns')}" for name, _, median in rows)
    return _picture(_WIDTH, bottom + 18, f"Samples and medians. {names}", parts)


def ratio_bar(ratio: Interval) -> Html:
    """A ratio's interval beside 1, on a scale where twice and half are as far away."""
    ends = [abs(math.log(bound)) for bound in (ratio.low, ratio.high) if bound > 0 and math.isfinite(bound)]
    if len(ends) < 2:
        return Html("")
    reach, width = max(*ends, math.log(1.1)) * 1.1, 160
    low, high = ((math.log(bound) / reach + 1) * width / 2 for bound in (ratio.low, ratio.high))
    parts = [
        f'<path class="rx-line" d="M0 8H{width}M{width / 2} 1V15"/>',
        f'<path class="rx-bar" d="M{low:.1f} 8H{max(high, low + 2):.1f}"/>',
    ]
    return _picture(width, 16, f"ratio {ratio.low:.3g} to {ratio.high:.3g}, the upright line is 1", parts)


def _picture(width: int, height: int, label: str, parts: Sequence[str]) -> Html:
    drawn = "".join(parts)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return Html(f'<svg role="img" aria-label="{text(label)}" {size}>{drawn}</svg>')


def _shortened(name: str, most: int = 20) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def series_html(series: Series) -> str:
    """One contestant: its median, its samples, its clock."""
    labelled = f", {len(series.outliers)} labelled as outliers" if series.outliers else ""
    settled = "" if series.warmup_settled else ", the warm-up did not settle"
    words = f"{len(series.samples_ns)} samples by the {series.clock} clock{labelled}{settled}"
    title = f"{series.label}: {_with_bounds(series.median_ns, 'ns')}"
    return card(title, dots([(series.contestant, series.samples_ns, series.median_ns)]), _note(words, series.shortfall))


def _note(*words: str | None) -> Html:
    said = "; ".join(word for word in words if word)
    return Html(f"<div>{text(said)}</div>") if said else Html("")


def comparison_html(*items: Comparison) -> str:
    """Verdicts with ratio, interval and reason."""
    return card("Verdict", _comparisons(items))


def _comparisons(items: Sequence[Comparison]) -> Html:
    rows = [
        (
            f"{item.contestant} against {item.baseline}",
            badge(item.verdict, _VERDICT_TONES[item.verdict]),
            f"{item.ratio.value:.3g} × ({item.ratio.low:.3g} to {item.ratio.high:.3g})",
            ratio_bar(item.ratio),
            item.reason,
        )
        for item in items
    ]
    return table(("who", "verdict", "speed", "beside 1", "because"), rows) if rows else Html("")


def check_badge(check: Check) -> Html:
    """Right, or wrong and why."""
    return badge("right", "good") if check.ok else badge(f"WRONG: {check.reason}", "bad")


def point_html(point: Point) -> str:
    """A sweep point: who took part, whether it was right, how long it took, and the verdicts."""
    checks = {check.contestant: check for check in point.checks}
    rates = {rate.contestant: rate for rate in point.achieved}
    rows = []
    for one in point.series:
        check, rate = checks.get(one.contestant), rates.get(one.contestant)
        right = check_badge(check) if check else badge("not checked", "warn")
        share = f"{rate.roof_share:.1%} of {rate.roof}" if rate else None
        rows.append((one.contestant, right, _with_bounds(one.median_ns, "ns"), share, len(one.samples_ns)))
    raced = table(("contestant", "output", "median", "of the roof", "samples"), rows) if rows else Html("")
    roofs = [
        (roof.name, check_badge(roof.check), f"{roof.rate.value:.4g} {roof.unit}", roof.detail) for roof in point.roofs
    ]
    return card(
        point.title,
        raced,
        dots([(one.contestant, one.samples_ns, one.median_ns) for one in point.series]),
        _comparisons(point.comparisons),
        table(("roof", "output", "rate", "by"), roofs) if roofs else Html(""),
        facts({f"{name} is absent": why for name, why in point.unavailable.items()}) if point.unavailable else Html(""),
    )


def manifest_html(manifest: Manifest, path: str | None = None) -> str:
    """A run: its state, points and gates, and where it lies."""
    shown: dict[str, object] = {
        "run": manifest.run,
        "state": badge(manifest.status, _STATUS_TONES.get(manifest.status, "plain")),
        "because": manifest.reason,
        "question": manifest.question or None,
        "device": manifest.device,
        "started": manifest.started,
        "folder": path,
        "again": Html(f"<code>{text(manifest.command)}</code>"),
    }
    points = [
        (
            ", ".join(f"{name}={value}" for name, value in entry.params.items()) or entry.key,
            badge(entry.status, _STATUS_TONES.get(entry.status, "plain")),
            entry.seconds,
            entry.error,
        )
        for entry in manifest.points
    ]
    gates = [
        (
            f"{gate.metric} ({gate.bound} {gate.limit:g})",
            badge("holds" if gate.ok else "FAILS", "good" if gate.ok else "bad" if gate.enforced else "warn"),
            gate.value,
            gate.reason,
        )
        for gate in manifest.gates
    ]
    return card(
        manifest.title or f"{manifest.kind}/{manifest.name}",
        facts({name: value for name, value in shown.items() if value is not None}),
        table(("point", "state", "seconds", "error"), points) if points else Html(""),
        table(("gate", "result", "value", "because"), gates) if gates else Html(""),
    )
