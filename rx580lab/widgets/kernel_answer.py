"""What a child said of a kernel, put together event by event, and drawn as HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from rx580lab.report.quantities import interval, percent, quantity
from rx580lab.report.roofline import roofline
from rx580lab.results.records import Achieved, Interval, Roof
from rx580lab.widgets import html
from rx580lab.widgets.child import Ending

__all__ = ["Answer"]

_LINES_AROUND = 2
_LIVES = "the notebook's kernel lives on"


@dataclass
class Answer:
    """One attempt at a kernel. ``stage`` is what the child was at when it was last heard of."""

    params: dict[str, int]
    shape: dict[str, int]
    source: str
    limit_s: float
    stage: str = "starting"
    device: str | None = None
    built: dict[str, Any] | None = None
    build_log: str | None = None
    refusal: str | None = None
    verdict: dict[str, Any] | None = None
    time: dict[str, Any] | None = None
    roofs: list[Roof] = field(default_factory=list)
    rates: list[Achieved] = field(default_factory=list)
    ending: Ending | None = None

    def take(self, event: dict[str, Any]) -> None:
        """Add what an event says."""
        kind = event["kind"]
        if kind == "stage":
            self.stage = event["text"]
        elif kind == "waiting":
            self.stage = f"waiting for {event['text']}, which is timing on this machine"
        elif kind == "device":
            self.device = event["selector"]
        elif kind == "built":
            self.built = event
        elif kind == "build_failed":
            self.build_log = event["log"]
        elif kind == "refused":
            self.refusal = event["text"]
        elif kind == "verdict":
            self.verdict = event
        elif kind == "time":
            self.time = event
        elif kind == "roofs":
            self.roofs = [Roof.model_validate(roof) for roof in event["roofs"]]
        elif kind == "achieved":
            self.rates = [Achieved.model_validate(rate) for rate in event["rates"]]

    @property
    def median(self) -> Interval | None:
        """The time of one call, ns."""
        return None if self.time is None else Interval.model_validate(self.time["median_ns"])

    @property
    def outcome(self) -> str:
        """The attempt in one word or two, for the list of attempts."""
        if self.build_log is not None:
            return "did not build"
        if self.refusal is not None:
            return "refused"
        if self.verdict is not None and not self.verdict["ok"]:
            return "wrong"
        if self.ending is not None and (self.ending.how != "ended" or self.ending.died):
            return {"limit": "time limit", "cancelled": "cancelled", "ended": "crashed"}[self.ending.how]
        return "right" if self.verdict is not None else "unfinished"

    def state(self) -> str:
        """The line that says where it stands."""
        ending = self.ending
        if ending is None:
            return html.state("Running", self.stage, "busy")
        if ending.how == "cancelled":
            return html.state("Cancelled", f"while {self.stage}; its processes are ended")
        if ending.how == "limit":
            text = f"{self.limit_s:g} s were over while {self.stage}; the process was ended, {_LIVES}"
            return html.state("Ended by the time limit", text, "bad")
        if ending.died is not None:
            text = f"the process {ending.died} while {self.stage}; {_LIVES}"
            return html.state("Crashed", text, "bad")
        if self.build_log is not None:
            return html.state("Did not build", "the compiler's log is below", "bad")
        if self.refusal is not None:
            return html.state("Refused", self.refusal, "bad")
        if self.verdict is not None and not self.verdict["ok"]:
            return html.state("Wrong", "the result differs from the oracle's, so it was not timed", "bad")
        return html.state("Done", f"built, right and timed on {self.device}", "good")

    def result(self) -> str:
        """Build, verdict and time as a table, then logs and the roofline."""
        rows = [["build", self._build_words()], ["oracle", self._verdict_words()], ["time", self._time_words()]]
        if self.rates:
            rows.append(["roof", self._roof_words()])
        parts = [html.table("Result", ["what", "found"], rows)]
        if self.build_log is not None:
            parts.insert(0, html.preformatted(self._log_with_source(), "Build log"))
        elif self.built is not None:
            parts.append(html.details("Build log", html.preformatted(self._build_details(), "Build log")))
        if self.ending is not None and self.ending.died is not None and self.ending.output:
            parts.append(html.preformatted(self.ending.output, "What the process printed"))
        if self.verdict is not None and (self.verdict["faults"] or self.verdict["left_out"]):
            words = self.verdict["faults"] + [f"left out: {text}" for text in self.verdict["left_out"]]
            parts.append(html.details("Oracle, case by case", html.preformatted("\n".join(words), "Cases"),
                                      is_open=bool(self.verdict["faults"])))  # fmt: skip
        return "".join(parts) + self._picture()

    def _build_words(self) -> str:
        if self.build_log is not None:
            return "failed: see the log above"
        if self.built is None:
            return "missing: not reached"
        return f"built in {self.built['seconds']:.2f} s (less where the binary was cached)"

    def _build_details(self) -> str:
        assert self.built is not None  # noqa: S101 - asked by result()
        macros = " ".join(f"{name}={value}" for name, value in self.built["params"].items()) or "none"
        return "\n".join(["no errors", f"macros: {macros}", *self.built["launches"]])

    def _verdict_words(self) -> str:
        if self.verdict is None:
            return "missing: not reached"
        n_cases = self.verdict["n_right"] + len(self.verdict["faults"])
        share = self.verdict["worst_share"]
        error = "" if share is None else f"; largest error {percent(share)} of its tolerance"
        word = "RIGHT" if self.verdict["ok"] else "WRONG"
        return f"{word}: {self.verdict['n_right']} of {n_cases} cases, {self.verdict['n_values']:,} values here{error}"

    def _time_words(self) -> str:
        median = self.median
        if median is None or self.time is None:
            wrong = self.verdict is not None and not self.verdict["ok"]
            return "missing: a wrong result is not timed" if wrong else "missing: not reached"
        words = f"{interval(median, 'ns')}, {100 * median.confidence:.0f} % interval of {median.n} samples"
        if self.time["flop"]:
            words += f"; {quantity(self.time['flop'] / median.value, 'GFLOP/s')}"
        words += f"; {quantity(self.time['bytes'] / median.value, 'GB/s')}; {self.time['clock']} clock"
        words += "" if self.time["settled"] else "; warm-up had not settled"
        return words + (f"; {self.time['shortfall']}" if self.time["shortfall"] else "")

    def _roof_words(self) -> str:
        rate = self.rates[0]
        above = "; above the roof: a cache holds the data, or the cost is miscounted" if rate.above_roof else ""
        return f"{percent(rate.roof_share)} of the {rate.roof} roof at {rate.flop_per_byte:.3g} FLOP per byte{above}"

    def _picture(self) -> str:
        picture = roofline("rx-roofline", self.roofs, self.rates, {"lab": 0}, {"lab": "this kernel"})
        return "" if picture is None or not self.rates else str(picture)

    def _log_with_source(self) -> str:
        """The compiler's log, and the lines of the kernel that it names."""
        assert self.build_log is not None  # noqa: S101 - asked by result()
        lines = self.source.splitlines()
        found = re.search(r"\.cl\S*?:(\d+):", self.build_log)
        if not found or not 1 <= int(found.group(1)) <= len(lines):
            return self.build_log
        at = int(found.group(1))
        first, last = max(1, at - _LINES_AROUND), min(len(lines), at + _LINES_AROUND)
        shown = [f"{'>' if n == at else ' '} {n:4d}  {lines[n - 1]}" for n in range(first, last + 1)]
        return "\n".join([self.build_log, "", f"line {at} of the source:", *shown])
