"""Typed records, run folders and the statistics that judge them: the only thing that the report reads.

Names are imported when first used: ``device`` writes its caches by ``results.files`` in every process, which must not
load the records for that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rx580lab.results.folder import RunFolder, atomic_write, read_point, reports_root, runs, utc_now, write_point
    from rx580lab.results.statistics import median_interval, outliers, ratio_interval, undisturbed_ratio, verdict

_FROM_STATISTICS = ("median_interval", "outliers", "ratio_interval", "undisturbed_ratio", "verdict")

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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'rx580lab.results' has no attribute {name!r}")
    part = "statistics" if name in _FROM_STATISTICS else "folder"
    return getattr(import_module(f"rx580lab.results.{part}"), name)
