"""A small SVG writer: elements, linear and logarithmic scales, ticks. Colours come from the page's CSS classes.

Coordinates are user units of the picture's ``viewBox``; y grows downwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from rx580lab.report.text import visible

Attribute = str | float | int

#: Outlines about the origin, by shape, for a radius of 1.
_CORNERS: dict[int, tuple[tuple[float, float], ...]] = {
    1: ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    2: ((0, -1.15), (1.1, 0.85), (-1.1, 0.85)),
    3: ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    4: ((-0.5, -1.2), (0.5, -1.2), (0.5, 1.2), (-0.5, 1.2)),
    5: ((-1.1, 0), (-0.55, -1), (0.55, -1), (1.1, 0), (0.55, 1), (-0.55, 1)),
}


def tag(name: str, *children: str, **attributes: Attribute) -> Markup:
    """One element. Children that are not Markup are escaped; ``class_`` is class; ``stroke_width`` is stroke-width."""
    written = "".join(f' {_name(key)}="{escape(_written(value))}"' for key, value in attributes.items())
    inside = "".join(child if isinstance(child, Markup) else escape(visible(child)) for child in children)
    return Markup(f"<{name}{written}>{inside}</{name}>")  # noqa: S704  every part was escaped above


def text(x: float, y: float, words: str, class_: str = "tick", anchor: str = "start") -> Markup:
    """A line of text; ``anchor`` is start, middle or end."""
    return tag("text", words, x=x, y=y, class_=class_, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def polyline(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """A path through ``points``, not filled."""
    return tag("path", d="M" + "L".join(f"{_number(x)},{_number(y)}" for x, y in points), class_=class_)


def polygon(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """A closed, filled shape."""
    return tag("path", d="M" + "L".join(f"{_number(x)},{_number(y)}" for x, y in points) + "Z", class_=class_)


def marker(shape: int, x: float, y: float, radius: float, class_: str) -> Markup:
    """A mark whose outline tells contestants apart without colour: circle, square, triangle, diamond, bar, hexagon."""
    shape %= 6
    if shape == 0:
        return tag("circle", cx=x, cy=y, r=radius, class_=class_)
    corners: Sequence[tuple[float, float]] = _CORNERS[shape]
    return polygon([(x + radius * dx, y + radius * dy) for dx, dy in corners], class_)


def picture(
    key: str, width: float, height: float, title: str, description: str, *parts: str, class_: str = ""
) -> Markup:
    """The whole picture with its name and description for readers who do not see it. ``key`` is unique on the page."""
    return tag(
        "svg",
        tag("title", title, id=f"{key}-t"),
        tag("desc", description, id=f"{key}-d"),
        *parts,
        viewBox=f"0 0 {_number(width)} {_number(height)}",
        role="img",
        aria_labelledby=f"{key}-t {key}-d",
        class_=f"chart {class_}".strip(),
    )


@dataclass(frozen=True)
class Scale:
    """Maps values between ``low`` and ``high`` to coordinates between ``start`` and ``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The coordinate of ``value``; values outside the scale fall outside its coordinates."""
        forward: Callable[[float], float] = math.log if self.log else float
        span = forward(self.high) - forward(self.low)
        share = (forward(value) - forward(self.low)) / span if span else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values inside the scale, about ``most`` of them at the most."""
        return _log_ticks(self.low, self.high, most) if self.log else _linear_ticks(self.low, self.high, most)


def padded(values: Sequence[float], start: float, end: float, *, log: bool = False, margin: float = 0.06) -> Scale:
    """A scale over all ``values`` with ``margin`` of its span left free on both sides; one value gets 5 % around it."""
    low, high = min(values), max(values)
    if log:
        factor = (high / low) ** margin if high > low else 1.05
        return Scale(low / factor, high * factor, start, end, log=True)
    pad = (high - low) * margin if high > low else (abs(high) * 0.05 or 1.0)
    return Scale(low - pad, high + pad, start, end)


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    raw = (high - low) / max(most, 1)
    if raw <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        found = [f * 10.0**p for p in range(first, last + 1) for f in factors if low <= f * 10.0**p <= high]
        if len(found) <= most:
            break
    if len(found) > most:
        return found[:: math.ceil(len(found) / most)]
    return found if len(found) >= 2 else _linear_ticks(low, high, most)


def _number(value: float | int) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _written(value: Attribute) -> str:
    return visible(value) if isinstance(value, str) else _number(value)


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
