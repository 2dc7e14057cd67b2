"""Typed records, run folders and the statistics that judge them: the only thing that the report reads."""

from __future__ import annotations

from rx580lab.results.folder import RunFolder, atomic_write, read_point, reports_root, runs, utc_now, write_point
from rx580lab.results.statistics import median_interval, outliers, ratio_interval, undisturbed_ratio, verdict

__all__ = [
    "RunFolder",
    "atomic_write",
    "median_interval",
    "outliers",
    "ratio_interval",
    "read_point",
    "reports_root",
    "runs",
    "undisturbed_ratio",
    "utc_now",
    "verdict",
    "write_point",
]
