"""The roofline picture: measured ceilings, and where each contestant stands under them.

Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009: attainable GFLOP/s = min(peak, intensity x bandwidth).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from rx580lab.report import svg
from rx580lab.report.charts import WIDTH, bottom_axis, short, tick_words
from rx580lab.report.quantities import interval, percent, quantity
from rx580lab.results.records import Achieved, Roof

_LEFT, _RIGHT, _TOP, _BASE = 54.0, WIDTH - 10.0, 12.0, 250.0
ROOF_STYLES = 4


def roof_styles(roofs: Sequence[Roof]) -> dict[str, int]:
    """Roof name -> index of its line style; names beyond the fourth start again."""
    return {roof.name: place % ROOF_STYLES for place, roof in enumerate(roofs)}


def roofline(
    key: str, roofs: Sequence[Roof], achieved: Sequence[Achieved], looks: Mapping[str, int], labels: Mapping[str, str]
) -> Markup | None:
    """Log-log: FLOP per byte against GFLOP/s. Lines are roofs with their interval; marks are labelled with their share.

    ``looks`` maps a contestant to its palette index, ``labels`` to its name in the description. Work without
    floating-point operations has no place on this plane and is drawn as shares of its bandwidth roof. None without
    any roof.
    """
    if not roofs:
        return None
    if achieved and all(item.flop_per_byte <= 0 or item.gflop_s.value <= 0 for item in achieved):
        return _shares(key, achieved, looks)
    placed = [item for item in achieved if item.flop_per_byte > 0 and item.gflop_s.value > 0]
    x, y = _plane(roofs, placed)
    parts = [*_left_axis(y), bottom_axis(x, _BASE, _TOP, "1", "arithmetic intensity, FLOP per byte", 6)]
    for roof in roofs:
        parts += _roof(roof, roof_styles(roofs)[roof.name], x, y, _peak(roofs))
    parts += _marks(placed, x, y, looks)
    words = [f"{roof.name} roof {interval(roof.rate, roof.unit)}" for roof in roofs]
    words += [f"{labels.get(item.contestant, item.contestant)}: {_standing(item)}" for item in placed]
    return svg.picture(key, WIDTH, _BASE + 40, "Roofline", "; ".join(words) + ".", *parts)


def _standing(item: Achieved) -> str:
    return f"{quantity(item.gflop_s.value, 'GFLOP/s')}, {percent(item.roof_share)} of {item.roof}"


def _peak(roofs: Sequence[Roof]) -> float:
    peaks = [roof.rate.value for roof in roofs if roof.kind == "arithmetic"]
    return max(peaks) if peaks else math.inf


def _plane(roofs: Sequence[Roof], placed: Sequence[Achieved]) -> tuple[svg.Scale, svg.Scale]:
    peak = _peak(roofs)
    bandwidths = [roof.rate.value for roof in roofs if roof.kind == "bandwidth" and roof.rate.value > 0]
    xs = [item.flop_per_byte for item in placed]
    if bandwidths and math.isfinite(peak):
        xs += [peak / rate for rate in bandwidths]
    xs = xs or [1.0]
    low_x, high_x = min(xs) / 6, max(xs) * 6
    x = svg.Scale(low_x, high_x, _LEFT + 4, _RIGHT, log=True)
    ys = [item.gflop_s.value for item in placed] + [min(low_x * rate, peak) for rate in bandwidths]
    # The upper bounds of the intervals belong into the picture, those where a slope ends included.
    ys += [roof.rate.high for roof in roofs if roof.kind == "arithmetic"]
    ys += [min(high_x, peak / roof.rate.value) * roof.rate.high for roof in roofs if roof.rate.value in bandwidths]
    ys = [value for value in ys if value > 0] or [1.0]
    return x, svg.Scale(min(ys) / 2.6, max(ys) * 1.6, _BASE, _TOP, log=True)


def _left_axis(y: svg.Scale) -> list[Markup]:
    ticks = y.ticks(6)
    parts = [svg.line(_LEFT, y(tick), _RIGHT, y(tick), "grid") for tick in ticks]
    parts += [svg.text(_LEFT - 6, y(tick) + 4, tick_words(tick, [tick]), "tick", "end") for tick in ticks]
    middle = (_TOP + _BASE) / 2
    name = svg.tag(
        "text", "GFLOP/s", class_="name", text_anchor="middle", transform=f"translate(12 {middle}) rotate(-90)"
    )
    return [*parts, name]


def _roof(roof: Roof, style: int, x: svg.Scale, y: svg.Scale, peak: float) -> list[Markup]:
    if roof.rate.value <= 0:
        return []
    flat = roof.kind == "arithmetic"
    ends = [x.low, x.high if flat else min(x.high, peak / roof.rate.value)]

    def path(rate: float) -> list[tuple[float, float]]:
        return [(x(end), y(max(rate if flat else rate * end, y.low))) for end in ends]

    band = [*path(roof.rate.high), *reversed(path(max(roof.rate.low, roof.rate.value / 100)))]
    return [svg.polygon(band, "roofband"), svg.polyline(path(roof.rate.value), f"roof r{style}")]


def _marks(placed: Sequence[Achieved], x: svg.Scale, y: svg.Scale, looks: Mapping[str, int]) -> list[Markup]:
    """Marks, and their labels below and beside them: clear of the roofs above, and pushed apart from each other."""
    parts: list[Markup] = []
    previous = -math.inf
    for item in sorted(placed, key=lambda each: -each.gflop_s.value):
        look = looks.get(item.contestant, 0)
        px, py = x(item.flop_per_byte), y(item.gflop_s.value)
        level = max(py + 14, previous + 16)
        previous = level
        side = 1 if px < (_LEFT + _RIGHT) / 2 else -1
        # The contestant's own name: its label may be a sentence. The table of times gives both.
        words = f"{short(item.contestant, 20)} {percent(item.roof_share, 2)}"
        words += " (above roof)" if item.above_roof else ""
        anchor = "start" if side > 0 else "end"
        parts.append(svg.polyline([(px, py), (px + side * 14, level)], "leader"))
        parts.append(
            svg.line(px, y(max(item.gflop_s.low, y.low)), px, y(min(item.gflop_s.high, y.high)), f"whisker c{look}")
        )
        parts.append(svg.marker(look, px, py, 5, f"fill c{look}"))
        parts.append(svg.text(px + side * 17, level + 4, words, "label halo", anchor))
    return parts


def _shares(key: str, achieved: Sequence[Achieved], looks: Mapping[str, int]) -> Markup:
    row, top = 44.0, 6.0
    base = top + row * len(achieved)
    x = svg.Scale(0, max(1.1, *(item.roof_share * 1.05 for item in achieved)), 8, _RIGHT)
    parts = [bottom_axis(x, base, top, "share", "share of the roof", 6), svg.line(x(1), top, x(1), base, "roof r0")]
    words = []
    for place, item in enumerate(achieved):
        look, y = looks.get(item.contestant, 0), top + row * place
        name = short(item.contestant, 20)
        figure = f"{quantity(item.gb_s.value, 'GB/s')}, {percent(item.roof_share)} of {item.roof}"
        words.append(f"{name}: {figure}")
        parts += [
            svg.marker(look, 14, y + 13, 5, f"fill c{look}"),
            svg.text(26, y + 17, name, "label halo"),
            svg.text(_RIGHT, y + 17, figure, "figure halo", "end"),
            svg.tag(
                "rect", x=x(0), y=y + 24, width=max(x(item.roof_share) - x(0), 0.5), height=12, class_=f"bar c{look}"
            ),
        ]
    return svg.picture(key, WIDTH, base + 40, "Share of the bandwidth roof", "; ".join(words) + ".", *parts)
