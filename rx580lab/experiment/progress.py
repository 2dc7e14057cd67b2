"""What a run reports while it works, and the plain way of showing it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console
from rich.text import Text

from rx580lab.experiment.model import Value

__all__ = ["LiveProgress", "Progress", "ProgressCallback", "print_progress"]

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


class LiveProgress:
    """Draws a run's steps: a line per finished point, and the cell at work below; plain lines without a terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("starting") if self._console.is_terminal else None

    def __enter__(self) -> LiveProgress:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def __call__(self, step: Progress) -> None:
        """Takes one step: call it as a ``ProgressCallback``."""
        if self._status is None:
            print_progress(step)
        elif step.kind in {"cell_start", "point_start", "waiting"}:
            place = f"[{step.point}/{step.n_points}] " if step.point else ""
            cell = f"cell {step.cell}/{step.n_cells}: " if step.cell else ""
            self._status.update(Text(f"{place}{cell}{step.text}"))
        elif step.kind != "cell_end":
            took = f" ({step.seconds:.1f} s)" if step.seconds is not None else ""
            place = f"[{step.point}/{step.n_points}] " if step.point else ""
            self._console.print(Text(f"{place}{step.text}{took}"))
