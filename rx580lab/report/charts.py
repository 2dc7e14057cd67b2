"""The pictures of a report: distributions, warm-up traces, ratios on one scale, sparklines.

Each picture names every contestant by outline as well as by colour, and carries its finding in words in ``<desc>``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median, quantiles

from markupsafe import Markup

from rx580lab.report import svg
from rx580lab.report.quantities import digits, interval, quantity, scale
from rx580lab.report.text import plural
from rx580lab.results.records import Comparison, Interval, Series

WIDTH = 460.0
#: dots drawn per contestant; more would only darken the row. Labelled samples are always drawn.
MOST_DOTS = 240
_LEFT, _RIGHT = 8.0, WIDTH - 8.0
_STRIP, _GAP, _LINE = 40.0, 6.0, 18.0


def bottom_axis(x: svg.Scale, y: float, top: float, unit: str, label: str, most: int = 5) -> Markup:
    """Grid lines, ticks in a fitting unit, and the axis title under them; values of ``x`` are in ``unit``."""
    divisor, shown = scale(math.sqrt(x.low * x.high) if x.log else (x.low + x.high) / 2, unit)
    ticks = x.ticks(most)
    parts = [svg.line(x(tick), top, x(tick), y, "grid") for tick in ticks]
    parts.append(svg.line(x.start, y, x.end, y, "axis"))
    for tick in ticks:
        # The outermost figure would be cut off at the picture's edge.
        at, anchor = (WIDTH - 1, "end") if x(tick) > WIDTH - 18 else (x(tick), "middle")
        neighbours = [tick] if x.log else ticks
        parts.append(svg.text(at, y + 16, tick_words(tick / divisor, neighbours, divisor), "tick", anchor))
    parts.append(svg.text((x.start + x.end) / 2, y + 33, f"{label}{f', {shown}' if shown else ''}", "name", "middle"))
    return svg.tag("g", *parts)


def tick_words(value: float, ticks: Sequence[float], divisor: float = 1.0) -> str:
    """A tick's figure with the decimals that all ``ticks`` of its axis need, so that 0.98 stands beside 1.00."""
    shown = [tick / divisor for tick in ticks]
    if any(abs(each) >= 1e6 or 0 < abs(each) < 1e-4 for each in shown):
        return digits(value, 2)
    places = next((n for n in range(6) if all(math.isclose(round(each, n), each, rel_tol=1e-6) for each in shown)), 6)
    return f"{value:,.{places}f}".replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", "\N{MINUS SIGN}")


def distributions(key: str, series: Sequence[Series], looks: Mapping[str, int]) -> Markup | None:
    """Every sample as a dot, in the order it was taken from top to bottom, over the median and its interval.

    A drift shows as a slant. Outliers are hollow, throttled samples crossed; samples far beyond the rest sit at the
    right edge as arrowheads, with their number in words. None when nobody has a sample.
    """
    rows = [item for item in series if item.samples_ns]
    if not rows:
        return None
    x = _time_scale(rows)
    parts: list[Markup] = []
    # Label and figure share a line where every label leaves room for it, at phone size too.
    head = 24 if all(len(item.label) <= 24 for item in rows) else 24 + _LINE
    row = head + _STRIP + _GAP
    base = row * len(rows) + 4
    parts.append(bottom_axis(x, base, head - 2, "ns", "time per call" + (" (logarithmic)" if x.log else "")))
    for index, item in enumerate(rows):
        parts += _row(item, x, row * index, head, looks.get(item.contestant, 0))
    words = "; ".join(f"{item.label}: median {interval(item.median_ns, 'ns')}" for item in rows)
    return svg.picture(
        key, WIDTH, base + 40, "Distribution of time per call", f"One dot per sample. {words}.", *parts, class_="wide"
    )


def _row(item: Series, x: svg.Scale, top: float, head: float, look: int) -> list[Markup]:
    strip = top + head
    words = interval(item.median_ns, "ns")
    beside = head < 24 + _LINE
    figure = (
        svg.text(_RIGHT, top + 17, words, "figure", "end")
        if beside
        else svg.text(_LEFT + 18, strip - 6, words, "figure")
    )
    parts = [
        svg.marker(look, _LEFT + 6, top + 13, 5, f"fill c{look}"),
        svg.text(_LEFT + 18, top + 17, short(item.label), "label"),
        figure,
        svg.tag(
            "rect",
            x=x(item.median_ns.low),
            y=strip,
            width=max(x(item.median_ns.high) - x(item.median_ns.low), 0.8),
            height=_STRIP,
            class_=f"band c{look}",
        ),
    ]
    beyond = 0
    last = max(len(item.samples_ns) - 1, 1)
    taken = item.order if len(item.order) == len(item.samples_ns) else range(len(item.samples_ns))
    rank = {sample: place for place, sample in enumerate(sorted(range(len(taken)), key=list(taken).__getitem__))}
    for sample in _drawn(item):
        value = item.samples_ns[sample]
        y = strip + 3 + (_STRIP - 6) * rank[sample] / last
        if value > x.high:
            beyond += 1
            parts.append(svg.polygon([(x.end - 5, y - 3.5), (x.end, y), (x.end - 5, y + 3.5)], f"fill c{look}"))
        else:
            parts.append(_dot(item, sample, x(value), y, look))
    parts.append(
        svg.line(x(item.median_ns.value), strip - 2, x(item.median_ns.value), strip + _STRIP + 2, f"median c{look}")
    )
    if beyond:
        far = f"{beyond} beyond, up to {quantity(max(item.samples_ns), 'ns')}"
        parts.append(svg.text(x.end - 9, strip + _STRIP - 2, far, "aside halo", "end"))
    return parts


def _dot(item: Series, sample: int, x: float, y: float, look: int) -> Markup:
    if sample in item.throttled:
        return svg.tag("path", d=f"M{x - 3:.1f},{y - 3:.1f}l6,6m0,-6l-6,6", class_=f"cross c{look}")
    if sample in item.outliers:
        return svg.tag("circle", cx=x, cy=y, r=2.8, class_=f"hollow c{look}")
    return svg.tag("circle", cx=x, cy=y, r=2.2, class_=f"dot c{look}")


def _drawn(item: Series) -> list[int]:
    n = len(item.samples_ns)
    if n <= MOST_DOTS:
        return list(range(n))
    stride = math.ceil(n / MOST_DOTS)
    return sorted({*range(0, n, stride), *item.outliers, *item.throttled})


def short(label: str, most: int = 50) -> str:
    """A label that fits into one line; the tables have it whole."""
    return label if len(label) <= most else label[: most - 1] + "…"


def _time_scale(rows: Sequence[Series]) -> svg.Scale:
    lowest = min(min(item.samples_ns) for item in rows)
    medians = [item.median_ns.value for item in rows]
    log = lowest > 0 and max(medians) / min(medians) > 4
    seen: list[float] = []
    for item in rows:
        reach = item.median_ns.value * 8 if log else _reach(item)
        seen += [value for value in item.samples_ns if value <= reach]
        seen += [item.median_ns.low, item.median_ns.high]
    return svg.padded(seen, _LEFT + 4, _RIGHT - 4, log=log, margin=0.04)


def _reach(item: Series) -> float:
    """The largest time that may stretch a linear axis: five interquartile ranges above the upper quartile."""
    if len(item.samples_ns) < 4:
        return max(item.samples_ns)
    lower, _, upper = quantiles(item.samples_ns, n=4)
    return max(upper + 5 * (upper - lower), item.median_ns.high, item.median_ns.value * 1.02)


def warmup_trace(key: str, series: Sequence[Series], looks: Mapping[str, int]) -> Markup | None:
    """Warm-up calls in order, each as a multiple of that contestant's final median, which is the line at 1.

    More than 120 calls are drawn as medians of equal bins. None when nothing was warmed up.
    """
    rows = [item for item in series if item.warmup_ns and item.median_ns.value > 0]
    if not rows:
        return None
    traces = {item.contestant: _binned([value / item.median_ns.value for value in item.warmup_ns]) for item in rows}
    shares = [share for trace in traces.values() for _, share in trace]
    low, high = min([*shares, 0.97]), max([*shares, 1.03])
    log = low > 0 and high / low > 6
    left, top, base = 52.0, 10.0, 170.0
    y = svg.padded([low, high], base, top, log=log, margin=0.05)
    longest = max(len(item.warmup_ns) for item in rows)
    x = svg.Scale(1, max(longest, 2), left + 8, _RIGHT - 6, log=longest > 400)
    ticks = y.ticks(5)
    parts = [svg.line(left, y(tick), _RIGHT, y(tick), "grid") for tick in ticks]
    parts += [
        svg.text(left - 6, y(tick) + 4, f"{tick_words(tick, [tick] if log else ticks)}×", "tick", "end")
        for tick in ticks
    ]
    parts += [svg.line(left, y(1), _RIGHT, y(1), "settled"), svg.line(left, base, _RIGHT, base, "axis")]
    parts += _call_ticks(x, base)
    for item in rows:
        look = looks.get(item.contestant, 0)
        path = [(x(call), y(share)) for call, share in traces[item.contestant]]
        parts.append(svg.polyline(path, f"trace c{look}"))
        parts += [svg.marker(look, *path[0], 3.6, f"fill c{look}"), svg.marker(look, *path[-1], 3.6, f"fill c{look}")]
    words = "; ".join(
        f"{item.label}: {plural(len(item.warmup_ns), 'call')}, {'settled' if item.warmup_settled else 'did not settle'}"
        for item in rows
    )
    return svg.picture(
        key, WIDTH, base + 40, "Warm-up trace", f"Time over the final median, call by call. {words}.", *parts
    )


def _call_ticks(x: svg.Scale, base: float) -> list[Markup]:
    ticks = sorted({round(tick) for tick in x.ticks(6) if tick >= 1})
    parts = [svg.text(x(tick), base + 16, f"{tick}", "tick", "middle") for tick in ticks]
    name = "warm-up call" + (" (logarithmic)" if x.log else "")
    return [*parts, svg.text((x.start + x.end) / 2, base + 33, name, "name", "middle")]


def _binned(shares: Sequence[float], most: int = 120) -> list[tuple[float, float]]:
    if len(shares) <= most:
        return [(call, share) for call, share in enumerate(shares, start=1)]
    size = math.ceil(len(shares) / most)
    bins = [(start, shares[start : start + size]) for start in range(0, len(shares), size)]
    return [(start + (len(part) + 1) / 2, median(part)) for start, part in bins]


def ratio_scale(comparisons: Sequence[Comparison]) -> svg.Scale | None:
    """One logarithmic scale, even about 1, for all intervals; None without comparisons.

    Ratios within 2 decide its width, so that one contestant far off does not squash the close races; what lies beyond
    is drawn as an arrowhead at the edge. Where all are far off, the scale holds them all.
    """
    if not comparisons:
        return None
    far = [max(abs(math.log(bound)) for bound in _bounds(item)) for item in comparisons]
    close = [distance for distance in far if distance <= math.log(2)]
    farthest = max([*(close or far), *(2.5 * _band(item) for item in comparisons)])
    farthest = min(farthest * 1.15, math.log(1000))
    return svg.Scale(math.exp(-farthest), math.exp(farthest), 8, 192, log=True)


def _bounds(item: Comparison) -> list[float]:
    return [max(bound, 1e-9) for bound in (item.ratio.low, item.ratio.high, item.ratio.value)]


def _band(item: Comparison) -> float:
    """The relative change that counts as none: the minimum effect or the noise floor, whichever is wider."""
    return max(item.min_effect, item.noise_floor or 0.0, 1e-3)


def ratio_mark(key: str, item: Comparison, x: svg.Scale, look: int) -> Markup:
    """One comparison on the shared scale: the stripe is the band of no effect, the line at 1 is equal speed."""
    height = 26.0
    middle = height / 2

    def place(value: float) -> float:
        return x(min(max(value, x.low), x.high))

    band_low, band_high = place(1 / (1 + _band(item))), place(1 + _band(item))
    parts = [
        svg.tag("rect", x=band_low, y=2, width=band_high - band_low, height=height - 4, class_="same"),
        svg.line(x(1), 0, x(1), height, "axis"),
        svg.line(place(item.ratio.low), middle, place(item.ratio.high), middle, f"whisker c{look}"),
    ]
    if x.low <= item.ratio.value <= x.high:
        parts.append(svg.marker(look, x(item.ratio.value), middle, 4.6, f"fill c{look}"))
    else:
        edge, inward = (x.start, 8) if item.ratio.value < x.low else (x.end, -8)
        parts.append(svg.polygon([(edge - inward, middle), (edge, middle - 5), (edge, middle + 5)], f"fill c{look}"))
    words = f"{item.contestant} against {item.baseline}: ratio {interval(item.ratio, 'ratio')}"
    return svg.picture(key, 200, height, f"{item.verdict}", words, *parts, class_="ratio")


def share_bar(key: str, share: float, words: str, look: int) -> Markup:
    """A share of a roof as a bar; the line is the roof. Shares above 1.25 run out of the picture."""
    width, height = 130.0, 16.0
    x = svg.Scale(0, 1.25, 1, width - 1)
    parts = [
        svg.tag("rect", x=x(0), y=4.0, width=x(1) - x(0), height=8.0, class_="same"),
        svg.tag("rect", x=x(0), y=4.0, width=max(x(min(share, 1.25)) - x(0), 0.5), height=8.0, class_=f"bar c{look}"),
        svg.line(x(1), 0, x(1), height, "axis"),
    ]
    return svg.picture(key, width, height, "Share of the roof", words, *parts, class_="share")


def sparkline(key: str, history: Sequence[Interval], title: str, unit: str) -> Markup | None:
    """A metric over runs, oldest at the left, the newest marked; the band is the interval. None for under two runs."""
    if len(history) < 2:
        return None
    y = svg.padded([bound for item in history for bound in (item.low, item.high)], 34, 4, margin=0.08)
    x = svg.Scale(0, len(history) - 1, 4, 154)
    upper = [(x(place), y(item.high)) for place, item in enumerate(history)]
    lower = [(x(place), y(item.low)) for place, item in enumerate(history)]
    middle = [(x(place), y(item.value)) for place, item in enumerate(history)]
    words = f"{len(history)} runs, from {quantity(history[0].value, unit)} to {quantity(history[-1].value, unit)}"
    return svg.picture(
        key,
        160,
        38,
        title,
        words,
        svg.polygon([*upper, *reversed(lower)], "band c0"),
        svg.polyline(middle, "trace c0"),
        svg.tag("circle", cx=middle[-1][0], cy=middle[-1][1], r=3.5, class_="fill c0"),
        class_="spark",
    )
