"""Experiments: a YAML spec, checked in full, becomes Papermill runs in child processes and a run folder.

In a notebook only ``current_point`` is needed; Papermill and Jupyter's client are imported where a run starts.
"""

from __future__ import annotations

from rx580lab.experiment.context import PointContext, current_point
from rx580lab.experiment.model import spec_schema
from rx580lab.experiment.progress import Progress
from rx580lab.experiment.runner import RunOutcome, run_spec
from rx580lab.experiment.spec import Spec, load_spec

__all__ = [
    "PointContext",
    "Progress",
    "RunOutcome",
    "Spec",
    "current_point",
    "load_spec",
    "run_spec",
    "spec_schema",
]
