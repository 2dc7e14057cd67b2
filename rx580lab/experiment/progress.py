"""What a run reports while it works, and the plain way of showing it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from rx580lab.experiment.model import Value

__all__ = ["Progress", "ProgressCallback", "print_progress"]

Kind = Literal["run_start", "note", "waiting", "point_start", "cell_start", "cell_end", "retry", "point_end", "run_end"]


@dataclass(frozen=True)
class Progress:
    """One step. ``point`` counts from 1 to ``n_points``, ``cell`` from 1 to ``n_cells``; 0 where it does not apply.

    ``status`` is that of the point (``point_end``) or the run (``run_end``); ``seconds`` what the step took.
    """

    kind: Kind
    text: str
    point: int = 0
    n_points: int = 0
    cell: int = 0
    n_cells: int = 0
    status: str | None = None
    seconds: float | None = None
    params: dict[str, Value] = field(default_factory=dict)


ProgressCallback = Callable[[Progress], None]


def print_progress(step: Progress) -> None:
    """One line per step on standard error: the default where no callback is given."""
    place = f"[{step.point}/{step.n_points}] " if step.point else ""
    if step.kind == "cell_start":
        place += f"cell {step.cell}/{step.n_cells}: "
    if step.kind == "cell_end":
        return
    took = f" ({step.seconds:.1f} s)" if step.seconds is not None else ""
    print(f"{place}{step.text}{took}", file=sys.stderr, flush=True)  # noqa: T201 - its purpose
