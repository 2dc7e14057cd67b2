"""Numbers as a reader wants them: three significant digits, a fitting unit, the interval beside the value.

Figures are joined to their unit with a no-break space, so that a table never splits them over two lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rx580lab.results.records import Interval

_NBSP = "\N{NO-BREAK SPACE}"
_THIN = "\N{NARROW NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"
_TIMES = "\N{MULTIPLICATION SIGN}"

#: unit as recorded -> (smallest magnitude that uses it, divisor, unit as shown), largest first
_SCALES: dict[str, tuple[tuple[float, float, str], ...]] = {
    "ns": ((1e9, 1e9, "s"), (1e6, 1e6, "ms"), (1e3, 1e3, "µs"), (0.0, 1.0, "ns")),
    "us": ((1e6, 1e6, "s"), (1e3, 1e3, "ms"), (1.0, 1.0, "µs"), (0.0, 1e-3, "ns")),
    "ms": ((1e3, 1e3, "s"), (1.0, 1.0, "ms"), (1e-3, 1e-3, "µs"), (0.0, 1e-6, "ns")),
    "s": ((1.0, 1.0, "s"), (1e-3, 1e-3, "ms"), (1e-6, 1e-6, "µs"), (0.0, 1e-9, "ns")),
    "GB/s": ((1e3, 1e3, "TB/s"), (1.0, 1.0, "GB/s"), (0.0, 1e-3, "MB/s")),
    "GFLOP/s": ((1e3, 1e3, "TFLOP/s"), (1.0, 1.0, "GFLOP/s"), (0.0, 1e-3, "MFLOP/s")),
    "bytes": ((2.0**30, 2.0**30, "GiB"), (2.0**20, 2.0**20, "MiB"), (2.0**10, 2.0**10, "KiB"), (0.0, 1.0, "bytes")),
    "flop": ((1e12, 1e12, "TFLOP"), (1e9, 1e9, "GFLOP"), (1e6, 1e6, "MFLOP"), (1e3, 1e3, "kFLOP"), (0.0, 1.0, "FLOP")),
    "ratio": ((0.0, 1.0, _TIMES),),
    "share": ((0.0, 0.01, "%"),),
    "1": ((0.0, 1.0, ""),),
    "": ((0.0, 1.0, ""),),
}
_ALIASES = {"gb_s": "GB/s", "gflop_s": "GFLOP/s", "byte": "bytes", "B": "bytes", "FLOP": "flop", "x": "ratio"}


def digits(value: float, significant: int = 3) -> str:
    """``value`` rounded to ``significant`` digits; trailing zeros stay, because they were measured.

    Whole thousands are grouped; magnitudes of a million and more, or under 1e-4, are written as powers of ten.
    """
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else f"{_MINUS}∞")
    if value == 0:
        return "0"
    mantissa, exponent_text = f"{value:.{significant - 1}e}".split("e")
    exponent = int(exponent_text)
    if exponent >= 6 or exponent < -4:
        power = "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(d)] for d in str(abs(exponent)))
        sign = "⁻" if exponent < 0 else ""
        return f"{mantissa}{_THIN}{_TIMES}{_THIN}10{sign}{power}".replace("-", _MINUS)
    places = max(0, significant - 1 - exponent)
    return f"{float(f'{value:.{significant - 1}e}'):,.{places}f}".replace(",", _THIN).replace("-", _MINUS)


def count(value: float) -> str:
    """A whole number with its thousands grouped."""
    return f"{round(value):,}".replace(",", _THIN).replace("-", _MINUS)


def scale(magnitude: float, unit: str) -> tuple[float, str]:
    """The (divisor, shown unit) that suits a ``magnitude`` given in ``unit``; unknown units stay as they are."""
    for smallest, divisor, shown in _SCALES.get(_ALIASES.get(unit, unit), ((0.0, 1.0, unit),)):
        if abs(magnitude) >= smallest:
            return divisor, shown
    return 1.0, unit


def join(number: str, unit: str) -> str:
    """``number`` and ``unit``, not to be broken over lines; a ratio's sign stands close."""
    if not unit:
        return number
    return number + unit if unit == _TIMES else f"{number}{_NBSP}{unit}"


def quantity(value: float | None, unit: str, significant: int = 3) -> str:
    """``quantity(1234567, "ns")`` is "1.23 ms"; None is a dash."""
    if value is None:
        return "–"
    divisor, shown = scale(value, unit)
    return join(digits(value / divisor, significant), shown)


def spread(low: float, high: float, value: float, unit: str) -> str:
    """The bounds "1.20 to 1.26" in the unit that suits ``value``, with digits enough to tell them apart (at most 5)."""
    divisor, _ = scale(value, unit)
    return " to ".join(_apart([low / divisor, high / divisor]))


def interval(item: Interval | None, unit: str) -> str:
    """``interval(i, "ns")`` is "1.23 ms (1.20 to 1.26)"; None is a dash."""
    if item is None:
        return "–"
    return f"{quantity(item.value, unit)} ({spread(item.low, item.high, item.value, unit)})"


def percent(share: float | None, significant: int = 3) -> str:
    """``percent(0.873)`` is "87.3 %"."""
    return "–" if share is None else join(digits(share * 100, significant), "%")


def seconds(value: float | None) -> str:
    """A duration for people: "0.42 s", "2 min 5 s", "1 h 3 min"."""
    if value is None:
        return "–"
    if value < 60:
        return quantity(value, "s", 2)
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60}{_NBSP}min {whole % 60}{_NBSP}s"
    return f"{whole // 3600}{_NBSP}h {whole % 3600 // 60}{_NBSP}min"


def _apart(values: Sequence[float]) -> list[str]:
    shown = [digits(value) for value in values]
    for significant in (4, 5):
        if len(set(shown)) == len(set(values)):
            break
        shown = [digits(value, significant) for value in values]
    return shown
