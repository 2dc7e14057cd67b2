"""The notebook's side of a run: ``current_point().record(point)`` keeps what the notebook found.

The same notebook works in JupyterLab without a runner: the point is then kept in a temporary folder and shown.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from rx580lab.errors import ExperimentError
from rx580lab.experiment.model import Value
from rx580lab.experiment.request import POINT_VARIABLE, PointRequest
from rx580lab.results import write_point
from rx580lab.results.records import Point

__all__ = ["RESULT_MIME", "PointContext", "current_point"]

RESULT_MIME = "application/vnd.rx580lab.result+json"


@dataclass
class PointContext:
    """The sweep point that this notebook runs. ``params`` are those passed by the runner; empty when interactive."""

    key: str
    run: str
    experiment: str
    folder: Path
    params: dict[str, Value]
    interactive: bool
    recorded: Point | None = field(default=None, repr=False)

    def record(self, point: Point) -> None:
        """Keep ``point`` as this point's result, in ``folder``, and show it as a cell output that programs can find.

        Under the runner a point is recorded once: a second call raises ExperimentError. Interactively the last
        call holds, since cells are run again there.
        """
        if self.recorded is not None and not self.interactive:
            raise ExperimentError("experiment", f"point {self.key} is already recorded; record once, at the end")
        write_point(self.folder, point)
        self.recorded = point
        _show(point)


def current_point() -> PointContext:
    """The context of this kernel: the runner's, by RX580LAB_POINT, or an interactive one; the same at each call.

    Raises ExperimentError if RX580LAB_POINT names a file that is missing or damaged.
    """
    return _context(os.environ.get(POINT_VARIABLE) or None)


@lru_cache(maxsize=1)
def _context(request_file: str | None) -> PointContext:
    if request_file is None:
        folder = Path(tempfile.mkdtemp(prefix="rx580lab-interactive-"))
        return PointContext("interactive", "", "", folder, {}, interactive=True)
    request = PointRequest.load(Path(request_file))
    return PointContext(
        request.key, request.run, request.experiment, Path(request.folder), dict(request.params), interactive=False
    )


def _show(point: Point) -> None:
    """Display the record without its samples, which are in samples.csv.gz: the executed notebook stays small."""
    from IPython import display as ipython_display
    from IPython.core.getipython import get_ipython

    display: Any = ipython_display.display
    if get_ipython() is None:
        return
    samples = {"samples_ns", "order", "warmup_ns"}
    payload: dict[str, Any] = point.model_dump(mode="json", exclude={"series": {"__all__": samples}})
    failed = [check.contestant for check in point.checks if not check.ok]
    checked = f"FAILED for {', '.join(failed)}" if failed else f"{len(point.checks)} passed"
    text = f"recorded: {point.title}; checks: {checked}; {len(point.metrics)} metrics"
    display({RESULT_MIME: payload, "text/plain": text}, raw=True)
