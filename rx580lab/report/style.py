"""The template environment that all pages share: escaping, filters, the content policy."""

from __future__ import annotations

import json
from typing import Any, Protocol

from jinja2 import Environment as Templates
from jinja2 import PackageLoader, StrictUndefined
from markupsafe import Markup

from rx580lab.report import quantities
from rx580lab.report.text import plural, scalar, visible

#: Nothing is loaded, run, embedded or submitted; only inline styles and data: images count.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
CLOCKS = {"device_event": "device event", "cpu": "process CPU time", "wall": "wall clock"}
#: How a status is shown: glyph and words, so that colour is never alone in saying it.
STATUS = {
    "ok": ("✓", "ok"),
    "failed": ("✗", "failed"),
    "timeout": ("✗", "timed out"),
    "invalid": ("✗", "invalid"),
    "killed": ("■", "killed"),
    "running": ("…", "running"),
    "pending": ("○", "not started"),
}
VERDICT = {"FASTER": "▲", "SAME": "=", "SLOWER": "▼", "AMBIGUOUS": "?"}


def templates() -> Templates:
    """The template environment: everything is escaped, unknown names are errors, hidden characters become visible."""
    env = Templates(
        loader=PackageLoader("rx580lab.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    env.filters.update(
        quantity=quantities.quantity,
        interval=quantities.interval,
        percent=quantities.percent,
        seconds=quantities.seconds,
        count=quantities.count,
        digits=quantities.digits,
        scalar=scalar,
        plural=plural,
        moment=moment,
        tojson_text=_json,
    )
    env.globals.update(
        policy=POLICY,
        status_words=STATUS,
        verdict_marks=VERDICT,
        clocks=CLOCKS,
        sentence=sentence,
        spread=_spread,
        metric_unit=metric_unit,
    )
    return env


class _Bounded(Protocol):
    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


def _spread(item: _Bounded, unit: str) -> str:
    if item.low is None or item.high is None:
        return "–"
    return quantities.spread(item.low, item.high, item.value, unit)


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str)


def _shown(value: Any) -> Any:
    if value is None:
        return "–"
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)


def moment(iso: str | None) -> str:
    """ISO 8601 in UTC as "2026-11-24 10:27:28 UTC"; other text stays as it is."""
    if not iso:
        return "–"
    day, separator, clock = iso.partition("T")
    return f"{day} {clock[:8]} UTC" if separator and clock.endswith(("Z", "+00:00")) else iso


def metric_unit(name: str, unit: str) -> str:
    """The unit to show a metric in: numbers without one are ratios or shares where their name says so."""
    if unit == "1" and name.endswith("ratio"):
        return "ratio"
    return "share" if unit == "1" and name.endswith("share") else unit


def sentence(words: str) -> str:
    """``words`` with a full stop; the first letter stays, since it may be a program's name."""
    stripped = words.strip()
    return stripped if stripped.endswith((".", "!", "?")) else f"{stripped}."
