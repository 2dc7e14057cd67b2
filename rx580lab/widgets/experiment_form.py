"""``rx.widgets.experiment()``: a form drawn from a spec; run, progress, cancel, open the report."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets

from rx580lab.errors import LabError
from rx580lab.experiment import load_spec
from rx580lab.experiment.places import find_experiment
from rx580lab.widgets import html
from rx580lab.widgets.child import Child, Ending
from rx580lab.widgets.device_choice import device_choice
from rx580lab.widgets.parameter_field import ParameterField, parameter_fields
from rx580lab.widgets.report_link import report_link

__all__ = ["experiment"]

# How long a cancelled run may take to end its point and write down where it stands.
_GRACE_S = 20.0


def experiment(
    spec: str | Path, *, device: str | None = None, ci: bool = False, reports: str | Path | None = None
) -> ipywidgets.VBox:
    """A form for an experiment: its parameters with their types, bounds, choices and help; run it and watch.

    **Run** starts what ``rx580lab run`` would, with ``--set`` for each field that you changed, in a child process; the
    bars count points and cells, and the notebook stays free. **Cancel** ends the run and all its processes; the same
    settings resume it later. When it ends, **Open report** leads to its page. Mistakes in a field are said before
    anything starts.

    Args:
        spec: a YAML file, or a shipped experiment: "bench/gemm", "quickstart".
        device: a device's name; None takes the best one here.
        ci: start with *Small version* on: minutes become seconds, gates on speed are not enforced.
        reports: where run folders go; None takes RX580LAB_REPORTS, else ``./reports``.

    Raises SpecError when the experiment itself cannot be read.
    """
    return _Form(find_experiment(str(spec)), device, ci, Path(reports) if reports is not None else None).box


class _Form:
    def __init__(self, path: Path, device: str | None, ci: bool, reports: Path | None) -> None:
        self.path = path
        self.reports = reports
        self.spec = load_spec(path)
        self._child: Child | None = None
        self._lock = threading.RLock()
        self._outcome: dict[str, Any] | None = None
        self._refusal: str | None = None
        self._step = "starting"
        self._fields: list[ParameterField] = parameter_fields(self.spec)
        self._device = device_choice(device)
        self._small = ipywidgets.Checkbox(
            value=ci, description="Small version (--ci)", indent=False,
            tooltip="The quick run that checks everything works; speed gates are not enforced",
        )  # fmt: skip
        self._fresh = ipywidgets.Checkbox(
            value=False, description="Always a new run (--fresh)", indent=False,
            tooltip="Do not resume a run of the same settings that was cancelled or killed",
        )  # fmt: skip
        self._run = ipywidgets.Button(description="Run", button_style="primary", tooltip="Start the experiment")
        self._cancel = ipywidgets.Button(
            description="Cancel", disabled=True, tooltip="End the run and all its processes"
        )
        self._points = _bar("Points")
        self._cells = _bar("Cells")
        self._state = ipywidgets.HTML(html.state("Ready", "Run starts it in a process of its own"))
        self._notes = ipywidgets.HTML()
        self._link = ipywidgets.VBox()
        self.box = self._laid_out()
        self._run.on_click(lambda _: self.start())
        self._cancel.on_click(lambda _: self.cancel())

    def _laid_out(self) -> ipywidgets.VBox:
        model = self.spec.model
        buttons = ipywidgets.HBox([self._run, self._cancel, self._small, self._fresh])
        buttons.add_class("rx-buttons")
        n_points = len(self.spec.points())
        box = ipywidgets.VBox(
            [
                html.PanelFrame(),
                html.title(f"Experiment: {model.title}"),
                ipywidgets.HTML(html.paragraph(f"{model.question} ({n_points} points; small: "
                                               f"{len(self.spec.points(ci=True))})")),
                self._device,
                ipywidgets.VBox([field.box for field in self._fields]),
                buttons,
                self._points,
                self._cells,
                self._state,
                self._notes,
                self._link,
            ]
        )  # fmt: skip
        return box.add_class("rx-panel").add_class("rx-experiment")

    def overrides(self) -> dict[str, str]:
        """``--set`` texts of the fields that were changed."""
        given = ((field.parameter.name, field.override()) for field in self._fields)
        return {name: text for name, text in given if text is not None}

    def start(self) -> None:
        """Check the fields and start the run; says in the panel what is wrong with them."""
        with self._lock:
            if self._child is not None:
                return
            device, overrides = self._device.value.strip() or None, self.overrides()
            self._link.children, self._notes.value = (), ""
            try:
                load_spec(self.path, overrides=overrides, device=device)
            except LabError as error:
                self._state.value = html.state("Refused", error.message, "bad")
                return
            self._outcome = self._refusal = None
            self._step = "starting"
            self._run.disabled, self._cancel.disabled = True, False
            for bar in (self._points, self._cells):
                bar.value, bar.bar_style = 0, ""
            self._state.value = html.state("Running", self._step, "busy")
            request = {
                "path": str(self.path), "device": device, "overrides": overrides, "ci": bool(self._small.value),
                "mode": "fresh" if self._fresh.value else "new",
                "reports": str(self.reports) if self.reports is not None else None,
            }  # fmt: skip
            self._child = Child(
                "rx580lab.widgets.experiment_process", request, self._take, self._ended, grace_s=_GRACE_S
            )

    def cancel(self) -> None:
        """End the run and its processes; the panel says when it is done."""
        with self._lock:
            if self._child is not None:
                self._state.value = html.state("Cancelling", "ending the point's processes", "busy")
                self._child.cancel()

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["kind"]
        if kind == "outcome":
            self._outcome = event
            return
        if kind == "refused":
            self._refusal = event["text"]
            return
        if event.get("n_points"):
            self._points.max = event["n_points"]
        if kind in ("point_start", "point_end"):
            n_done = event["point"] - (kind == "point_start")
            _count(self._points, n_done)
        if event.get("n_cells"):
            self._cells.max = event["n_cells"]
            _count(self._cells, event["cell"] - (kind == "cell_start"))
        if kind in ("note", "retry", "waiting") or (kind == "point_end" and event["status"] != "ok"):
            self._notes.value += html.paragraph(_words(event))
        if kind != "cell_end":
            self._step = _words(event)
        self._state.value = html.state("Running", self._step, "busy")

    def _ended(self, ending: Ending) -> None:
        with self._lock:
            self._child = None
            self._run.disabled, self._cancel.disabled = False, True
            self._state.value = self._last_word(ending)
            if ending.died is not None and ending.output:
                self._notes.value += html.preformatted(ending.output, "What the process printed")
            if self._outcome is not None:
                self._link.children = (report_link(Path(self._outcome["path"])),)

    def _last_word(self, ending: Ending) -> str:
        outcome = self._outcome
        if ending.how == "cancelled":
            where = "" if outcome is None else f" in {outcome['path']}"
            return html.state("Cancelled", f"while {self._step}; its processes are ended, Run resumes it{where}")
        if ending.died is not None:
            text = f"the run's process {ending.died} while {self._step}; the notebook's kernel lives on"
            return html.state("Crashed", text, "bad")
        if self._refusal is not None:
            return html.state("Refused", self._refusal, "bad")
        if outcome is None:
            return html.state("Failed", "the run's process ended without an outcome", "bad")
        if outcome["status"] == "ok":
            for bar in (self._points, self._cells):
                _count(bar, bar.max)
            return html.state("Ok", f"every point ran and is right; {outcome['path']}", "good")
        word = str(outcome["status"]).capitalize()
        return html.state(word, f"{outcome['reason']}; {outcome['path']}", "bad")


def _bar(name: str) -> ipywidgets.IntProgress:
    return ipywidgets.IntProgress(value=0, min=0, max=1, description=name, layout=ipywidgets.Layout(width="34em"))


def _count(bar: ipywidgets.IntProgress, n_done: int) -> None:
    """The bar, and the same in figures: colour and length alone say nothing to many."""
    bar.value = n_done
    bar.description = f"{bar.description.split()[0]} {n_done}/{bar.max}"


def _words(event: Mapping[str, Any]) -> str:
    place = f"point {event['point']} of {event['n_points']}: " if event.get("point") else ""
    if event["kind"] == "cell_start":
        place += f"cell {event['cell']} of {event['n_cells']}: "
    took = f" ({event['seconds']:.1f} s)" if event.get("seconds") is not None else ""
    return f"{place}{event['text']}{took}"
