"""``rx.widgets.kernel()``: an op's kernel with its macros as sliders and menus; build, check, time, roofline."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from shutil import copytree
from typing import Any

import ipywidgets

from rx580lab import ops
from rx580lab.compile import kernels_dir
from rx580lab.device import DeviceInfo
from rx580lab.errors import LabError
from rx580lab.experiment.problem import parse_shape, shape_text
from rx580lab.measure.roofs import ROOF_OPS
from rx580lab.ops import Template
from rx580lab.report.quantities import interval
from rx580lab.results.records import Roof
from rx580lab.widgets import html
from rx580lab.widgets.child import Child, Ending
from rx580lab.widgets.device_choice import device_choice
from rx580lab.widgets.kernel_answer import Answer
from rx580lab.widgets.slider import ValueSlider

__all__ = ["kernel"]

# Small enough to answer at once on two cores, large enough to be more than a launch.
_LARGEST = 1 << 28
_KEPT = 12
_SETTLE_S = 0.3


def kernel(
    op: str = "gemm", *, template: str | None = None, device: str | None = None, shape: str | None = None
) -> ipywidgets.VBox:
    """A panel to play with the kernel of an op.

    Its macros are sliders and menus over the values worth trying; the shape is yours. **Build and run** compiles,
    compares with the float64 oracle at this shape and at the op's small test cases, and only then times it (median
    with its 95 % interval) and draws it under this device's measured roofs, which are taken at the first run. After
    that, every change of a macro runs again, unless *Run on change* is off. *Edit the source* opens the kernel's own
    OpenCL C for experiments; the file on disk is never changed.

    All of it happens in a child process with a time limit for each step: a syntax error shows the compiler's log with
    the line, a kernel that never ends is ended, and a driver that crashes is named; the notebook lives on. (On a card,
    a kernel that hangs the GPU is ended by the driver's own reset, which may take longer.)

    Args:
        op: a name of ``rx.ops.NAMES``.
        template: which of its kernels; None takes the one shaped for the best device here.
        device: a device's name; None takes the best one here.
        shape: such as "512x512x512" (MxNxK of gemm, RxC of softmax); None takes an example.

    Raises InputError for an unknown op, template or shape.
    """
    return _Explorer(op, template, device, shape).box


class _Explorer:
    def __init__(self, op: str, template: str | None, device: str | None, shape: str | None) -> None:
        self.spec = ops.spec(op)
        names = [each.name for each in self.spec.templates]
        chosen = self.spec.template(template or _shaped_for("cpu", names))
        sizes = parse_shape(op, shape)
        self._child: Child | None = None
        self._answer: Answer | None = None
        self._rerun = False
        self._tried: list[list[str]] = []
        self._n_attempts = 0
        self._roofs: dict[str, list[dict[str, Any]]] = {}
        self._timer: threading.Timer | None = None
        self._lock = threading.RLock()
        self._macros: dict[str, Any] = {}
        self._make_controls(names, template, device, sizes)
        self.box = self._laid_out()
        self._show_template(chosen)
        self._watch()

    def _make_controls(
        self, names: list[str], template: str | None, device: str | None, sizes: Mapping[str, int]
    ) -> None:
        self._templates = names
        self._template = ipywidgets.Dropdown(
            options=names,
            value=template or _shaped_for("cpu", names),
            description="Template",
            tooltip="Which of the op's kernels",
        )
        self._device = device_choice(device, self._device_known if template is None and not device else None)
        self._shape = {
            letter: ipywidgets.BoundedIntText(
                value=size, min=0, max=_LARGEST, description=letter, tooltip=f"Length {letter} of {self.spec.name}",
                layout=ipywidgets.Layout(width="14em"),
            )
            for letter, size in sizes.items()
        }  # fmt: skip
        self._limit = ipywidgets.BoundedFloatText(
            value=30, min=1, max=3600, description="Time limit, s",
            tooltip="Longest time for one step, such as the build or the run; then the child process is ended",
            style={"description_width": "initial"},
        )  # fmt: skip
        self._samples = ipywidgets.BoundedIntText(
            value=15, min=5, max=1000, description="Samples", tooltip="Timed samples"
        )
        self._on_change = ipywidgets.Checkbox(
            value=True, description="Run on change", indent=False, tooltip="Run again when a macro changes"
        )
        self._edit = ipywidgets.Checkbox(
            value=False, description="Edit the source", indent=False, tooltip="Show the kernel's OpenCL C for changes"
        )
        self._source = ipywidgets.Textarea(
            description="Source", tooltip="OpenCL C of this template; used when Edit the source is on", rows=18,
            layout=ipywidgets.Layout(width="100%", height="24em", display="none"),
        )  # fmt: skip
        self._run = ipywidgets.Button(
            description="Build and run", button_style="primary", tooltip="Build, check against the oracle, time"
        )
        self._cancel = ipywidgets.Button(description="Cancel", disabled=True, tooltip="End the running child process")
        self._new_roofs = ipywidgets.Button(description="New roofs", tooltip="Run, and take this device's roofs anew")
        self._about = ipywidgets.HTML()
        self._sliders = ipywidgets.VBox()
        self._state = ipywidgets.HTML(html.state("Ready", "Build and run starts it"))
        self._result = ipywidgets.HTML()
        self._history = ipywidgets.HTML()

    def _device_known(self, best: DeviceInfo) -> None:
        """The best device here became known: show its template, if nobody has chosen or run anything yet."""
        if self._answer is None and self._template.value == _shaped_for("cpu", self._templates):
            self._template.value = _shaped_for(best.device_class, self._templates)

    def _laid_out(self) -> ipywidgets.VBox:
        buttons = ipywidgets.HBox([self._run, self._cancel, self._new_roofs, self._on_change, self._edit])
        buttons.add_class("rx-buttons")
        box = ipywidgets.VBox(
            [
                html.PanelFrame(),
                html.title(f"Kernel explorer: {self.spec.name}"),
                ipywidgets.HTML(html.paragraph(self.spec.summary)),
                ipywidgets.HBox([self._template, self._device]),
                self._about,
                ipywidgets.HBox(list(self._shape.values())),
                self._sliders,
                ipywidgets.HBox([self._samples, self._limit]),
                buttons,
                self._source,
                self._state,
                self._result,
                self._history,
            ]
        )
        return box.add_class("rx-panel").add_class("rx-kernel")

    def _watch(self) -> None:
        self._run.on_click(lambda _: self.start())
        self._cancel.on_click(lambda _: self.cancel())
        self._new_roofs.on_click(lambda _: self._forget_roofs())
        self._template.observe(lambda change: self._show_template(self.spec.template(change["new"])), "value")
        self._edit.observe(self._toggle_source, "value")

    def _forget_roofs(self) -> None:
        self._roofs.clear()
        self.start()

    def _toggle_source(self, change: Mapping[str, Any]) -> None:
        self._source.layout.display = None if change["new"] else "none"

    def _show_template(self, template: Template) -> None:
        self._about.value = html.paragraph(f"Template {template.name}: {template.precondition}.")
        self._macros = {name: _control(name, values, template) for name, values in template.space.items()}
        for control in self._macros.values():
            control.observe(self._macro_changed, "value")
        self._sliders.children = tuple(self._macros.values())
        self._source.value = (kernels_dir() / f"{template.source}.cl").read_text(encoding="utf-8")

    def _macro_changed(self, _change: Mapping[str, Any]) -> None:
        # A first run is asked for by its button: a panel that was only looked at builds nothing.
        if self._on_change.value and self._answer is not None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(_SETTLE_S, self.start)
            self._timer.daemon = True
            self._timer.start()

    def cancel(self) -> None:
        """End the running child; its end is told in the panel."""
        with self._lock:
            self._rerun = False
            if self._timer is not None:
                self._timer.cancel()
            if self._child is not None:
                self._child.cancel()

    def start(self) -> None:
        """Build and run with what the controls say now; a run at work is ended first, and this one follows."""
        with self._lock:
            if self._child is not None:
                self._rerun = True
                self._child.cancel()
                return
            try:
                self._start()
            except LabError as error:
                self._state.value = html.state("Refused", error.message, "bad")
                self._result.value = ""

    def _start(self) -> None:
        template = self.spec.template(self._template.value)
        params = template.checked({name: int(control.value) for name, control in self._macros.items()})
        edited = self._edit.value
        folder, variables = None, {"POCL_AFFINITY": "1"}
        if edited:
            folder = tempfile.TemporaryDirectory(prefix="rx580lab-kernels-", ignore_cleanup_errors=True)
            variables["RX580LAB_KERNELS"] = _edited_kernels(Path(folder.name), template, self._source.value)
        device = self._device.value.strip() or None
        answer = Answer(
            params, {letter: int(field.value) for letter, field in self._shape.items()},
            self._source.value, float(self._limit.value),
        )  # fmt: skip
        known = self._roofs.get(device or "")
        request = {
            "op": self.spec.name, "template": template.name, "params": params, "shape": answer.shape, "device": device,
            "n_samples": int(self._samples.value), "warmup_max_s": 0.5, "roofs": known,
            # An edited copy of a roof's own kernel would move the roof with it.
            "may_measure_roofs": not (edited and self.spec.name in ROOF_OPS),
        }  # fmt: skip
        answer.roofs = [Roof.model_validate(roof) for roof in known or []]
        self._answer = answer
        self._cancel.disabled = False
        self._state.value = answer.state()

        def on_event(event: dict[str, Any]) -> None:
            answer.take(event)
            if event["kind"] == "roofs":
                self._roofs[device or ""] = event["roofs"]
            self._state.value = answer.state()
            if event["kind"] not in ("stage", "waiting", "device"):
                self._result.value = answer.result()

        def on_end(ending: Ending) -> None:
            answer.ending = ending
            if folder is not None:
                with suppress(OSError):
                    folder.cleanup()
            self._ended(template, answer, edited)

        self._child = Child(
            "rx580lab.widgets.kernel_process", request, on_event, on_end,
            limit_s=answer.limit_s, variables=variables,
        )  # fmt: skip

    def _ended(self, template: Template, answer: Answer, edited: bool) -> None:
        with self._lock:
            self._child = None
            again, self._rerun = self._rerun, False
            self._cancel.disabled = True
            if not again:
                self._state.value = answer.state()
                self._result.value = answer.result()
                self._remember(template, answer, edited)
        if again:
            self.start()

    def _remember(self, template: Template, answer: Answer, edited: bool) -> None:
        macros = " ".join(f"{name}={answer.params[name]}" for name in self._macros if name in answer.params) or "none"
        shape = shape_text(self.spec.name, answer.shape)
        name = template.name + (", edited" if edited else "")
        time = "missing" if answer.median is None else interval(answer.median, "ns")
        self._n_attempts += 1
        self._tried = [[str(self._n_attempts), name, macros, shape, answer.outcome, time], *self._tried][:_KEPT]
        self._history.value = html.table(
            "Tried so far, latest first", ["attempt", "template", "macros", "shape", "outcome", "time"], self._tried
        )


def _shaped_for(device_class: str, templates: list[str]) -> str:
    return device_class if device_class in templates else templates[0]


def _control(name: str, values: tuple[int, ...], template: Template) -> Any:
    """A slider over the values worth trying; a menu where there are two, such as off and on."""
    options = sorted({*values, int(template.default[name])})
    tooltip = f"Macro {name} of {template.source}.cl; default {template.default[name]}"
    if len(options) <= 2:
        return ipywidgets.Dropdown(
            options=options, value=int(template.default[name]), description=name, tooltip=tooltip,
            style={"description_width": "9em"},
        )  # fmt: skip
    return ValueSlider(options, int(template.default[name]), name, tooltip)


def _edited_kernels(folder: Path, template: Template, source: str) -> str:
    """A copy of all kernels with this template's text in it; gives its path for RX580LAB_KERNELS."""
    copy = folder / "kernels"
    copytree(kernels_dir(), copy)
    (copy / f"{template.source}.cl").write_text(source, encoding="utf-8")
    return str(copy)
