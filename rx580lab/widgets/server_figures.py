"""From two readings of ``/metrics`` to what a person asks: how many a second, how long, how full."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Figures", "Quantile", "Reading", "figures", "quantile", "read"]

_LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
# What carries work; the panel's own questions do not count.
_WORK = re.compile(r"/(infer|predict)$")


@dataclass(frozen=True)
class Reading:
    """``samples``: name -> labels and value of each series; ``at_s``: of a clock that only moves forward."""

    at_s: float
    samples: Mapping[str, list[tuple[Mapping[str, str], float]]] = field(default_factory=dict)

    def total(self, name: str) -> float | None:
        """The sum of a metric's series; None where there is none."""
        found = self.samples.get(name)
        return None if not found else sum(value for _, value in found)


class Quantile(NamedTuple):
    """In the histogram's unit: estimated within its bucket, whose edges are known. ``high`` may be infinite."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Figures:
    """Of the time between two readings. None: not known, or nothing was counted.

    Attributes:
        rate: inferences answered a second. refused: of them, those with a status of 400 or above.
        p50, p99: of their seconds from arrival to answer. rows: the mean of a launch. wait_s: the mean in the queue.
        depth, capacity: requests that wait now, and may. in_flight: requests in hand now.
    """

    seconds: float
    rate: float
    refused: float
    p50: Quantile | None
    p99: Quantile | None
    rows: float | None
    wait_s: float | None
    depth: float | None
    capacity: float | None
    in_flight: float | None


def read(text: str, at_s: float) -> Reading:
    """What Prometheus's text format says."""
    samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for line in text.splitlines():
        if line.startswith("#") or (match := _LINE.match(line)) is None:
            continue
        name, labels, value = match.groups()
        samples.setdefault(name, []).append((dict(_LABEL.findall(labels or "")), float(value)))
    return Reading(at_s, samples)


def figures(older: Reading, newer: Reading) -> Figures:
    """Counts that went down (the server began anew) count from zero."""
    seconds = max(newer.at_s - older.at_s, 1e-9)
    answered = _grown(older, newer, "http_requests_total", _is_work)
    refused = _grown(
        older, newer, "http_requests_total", lambda labels: _is_work(labels) and labels.get("code", "0") >= "400"
    )
    buckets: dict[float, float] = {}
    for labels, value in _growth(older, newer, "http_request_duration_seconds_bucket"):
        if _is_work(labels):
            edge = float(labels["le"])
            buckets[edge] = buckets.get(edge, 0.0) + value
    return Figures(
        seconds=seconds,
        rate=answered / seconds,
        refused=refused / seconds,
        p50=quantile(buckets, 0.5),
        p99=quantile(buckets, 0.99),
        rows=_mean(older, newer, "rx580_inference_batch_size"),
        wait_s=_mean(older, newer, "rx580_inference_queue_seconds"),
        depth=newer.total("rx580_inference_queue_depth"),
        capacity=newer.total("rx580_inference_queue_capacity"),
        in_flight=newer.total("http_requests_in_flight"),
    )


def quantile(buckets: Mapping[float, float], share: float) -> Quantile | None:
    """From cumulative counts by upper edge, linear within the bucket as Prometheus does it; None without a count."""
    edges = sorted(buckets)
    if not edges or buckets[edges[-1]] <= 0:
        return None
    rank = share * buckets[edges[-1]]
    low, below = 0.0, 0.0
    for edge in edges:
        if buckets[edge] >= rank:
            inside = buckets[edge] - below
            part = (rank - below) / inside if inside else 1.0
            estimate = low if math.isinf(edge) else low + (edge - low) * part
            return Quantile(estimate, low, edge)
        low, below = edge, buckets[edge]
    return None


def _is_work(labels: Mapping[str, str]) -> bool:
    return labels.get("method") == "POST" and _WORK.search(labels.get("route", "")) is not None


def _growth(older: Reading, newer: Reading, name: str) -> list[tuple[Mapping[str, str], float]]:
    before = {frozenset(labels.items()): value for labels, value in older.samples.get(name, [])}
    found = []
    for labels, value in newer.samples.get(name, []):
        was = before.get(frozenset(labels.items()), 0.0)
        found.append((labels, value - was if value >= was else value))
    return found


def _grown(older: Reading, newer: Reading, name: str, counts: Callable[[Mapping[str, str]], bool]) -> float:
    return sum(value for labels, value in _growth(older, newer, name) if counts(labels))


def _mean(older: Reading, newer: Reading, name: str) -> float | None:
    count = sum(value for _, value in _growth(older, newer, f"{name}_count"))
    whole = sum(value for _, value in _growth(older, newer, f"{name}_sum"))
    return whole / count if count else None
