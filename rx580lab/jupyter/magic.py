"""``%%opencl``: a cell of OpenCL C becomes kernels in the notebook; with ``--bench`` they are checked and timed.

::

    %load_ext rx580lab

    %%opencl --bench --oracle saxpy --args x y 2.0
    __kernel void scaled(__global const float *x, __global float *y, const float a) { ... }

``%opencl`` lists what the first line takes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rx580lab import errors
from rx580lab.compile import Kernel
from rx580lab.device import Device, open_device
from rx580lab.errors import InputError, LabError, LaunchFailed, MeasureError
from rx580lab.experiment.request import POINT_VARIABLE
from rx580lab.experiment.timing_lock import TimingLock
from rx580lab.jupyter.bench_request import RESULT_FILE, Entry, Oracle, ask_oracle, make_entry, write_request
from rx580lab.jupyter.cell import CellOptions, CellSource, build_cell, macros_of, parse_line, signature, usage
from rx580lab.results.display import Html, card, check_badge, comparison_html, dots, facts, quantity, text
from rx580lab.results.records import Check, Comparison, Series

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["CellResult", "OpenclCell", "register"]


@dataclass
class CellResult:
    """What a cell gave: its kernels by name; after ``--bench`` checks, series and comparisons too."""

    device: Device
    kernels: dict[str, Kernel]
    checks: list[Check] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every output that was checked is right."""
        return all(check.ok for check in self.checks)

    def __repr__(self) -> str:
        lines = [f"{signature(kernel)} for {self.device.selector}" for kernel in self.kernels.values()]
        lines += [f"{check.contestant}: {'right' if check.ok else f'WRONG: {check.reason}'}" for check in self.checks]
        for one in self.series:
            low, value, high = (
                quantity(part, "ns") for part in (one.median_ns.low, one.median_ns.value, one.median_ns.high)
            )
            lines.append(f"{one.contestant}: {value} ({low} to {high}), n = {one.median_ns.n}, {one.clock} clock")
        for item in self.comparisons:
            ratio = f"{item.ratio.value:.3g} x ({item.ratio.low:.3g} to {item.ratio.high:.3g})"
            lines.append(f"{item.contestant} against {item.baseline}: {item.verdict} {ratio}: {item.reason}")
        return "\n".join([*lines, *self.notes])

    def _repr_html_(self) -> str:
        built = [f"<div><code>{text(signature(kernel))}</code></div>" for kernel in self.kernels.values()]
        known: dict[str, object] = {}
        for check in self.checks:
            known[check.contestant] = Html(f"{check_badge(check)} within {text(check.tolerance)}")
        for one in self.series:
            bounds = f"{quantity(one.median_ns.low, 'ns')} to {quantity(one.median_ns.high, 'ns')}"
            known[f"{one.contestant}, time"] = (
                f"{quantity(one.median_ns.value, 'ns')} ({bounds}), n = {len(one.samples_ns)}, {one.clock} clock"
            )
        known |= {f"note {place}": note for place, note in enumerate(self.notes, start=1)}
        return card(
            f"built for {self.device.selector}",
            Html("".join(built)),
            facts(known) if known else Html(""),
            dots([(one.contestant, one.samples_ns, one.median_ns) for one in self.series]) if self.series else Html(""),
            Html(comparison_html(*self.comparisons)) if self.comparisons else Html(""),
        )


class OpenclCell:
    """The magic, with what it remembers: the device that it opened, and the last bench of each kernel."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self._device: Device | None = None
        self._benched: dict[str, Entry] = {}

    def __call__(self, line: str, cell: str) -> CellResult | None:
        """Runs one cell; errors of ours are shown in a few lines, without the way through this module."""
        options = CellOptions()
        try:
            options = parse_line(line)
            result = self._run(options, cell)
        except LabError as error:
            shown = f"{type(error).__name__}: {error}"
            if options.goes_wrong:
                sys.stdout.write(f"{shown}\n")
                return None
            error.__dict__["_render_traceback_"] = lambda: shown.splitlines()
            raise error from None
        if options.goes_wrong:
            raise InputError("%%opencl", "expected this cell to go wrong, as its first line says, got no error")
        return result

    def _run(self, options: CellOptions, cell: str) -> CellResult | None:
        if options.help:
            sys.stdout.write(usage())
            return None
        device = self._chosen_device(options)
        macros = macros_of(options.define, self._evaluate)
        source, kernels = build_cell(device, cell, macros, tuple(options.option))
        result = CellResult(device, kernels)
        for name, kernel in kernels.items():
            held = self.shell.user_ns.get(name)
            if held is not None and not isinstance(held, Kernel):
                result.notes.append(f"{name} was a {type(held).__name__} and is the kernel now")
            self.shell.user_ns[name] = kernel
        if options.bench:
            self._bench(options, source, result)
        return result

    def _evaluate(self, expression: str) -> Any:
        return self.shell.ev(expression)

    def _chosen_device(self, options: CellOptions) -> Device:
        asked = self._evaluate(options.device) if options.device else self.shell.user_ns.get("device")
        if isinstance(asked, Device):
            return asked
        if options.device:
            if not isinstance(asked, str):
                raise InputError("%%opencl", f"expected a Device or its name, got {type(asked).__name__}")
            return open_device(asked)
        if self._device is None:
            self._device = open_device()
        return self._device

    def _bench(self, options: CellOptions, source: CellSource, result: CellResult) -> None:
        name = options.kernel or next(iter(result.kernels))
        if name not in result.kernels or (options.kernel is None and len(result.kernels) > 1):
            raise InputError("%%opencl", f"expected which of {', '.join(result.kernels)} to time, got {options.kernel}")
        entry = make_entry(name, result.kernels[name], source, options, self._evaluate)
        rival = self._rival(options, entry)
        oracle = ask_oracle(entry, options, self._evaluate)
        answer = run_child(result.device, [entry, *([rival] if rival else [])], oracle, options)
        result.checks = [Check.model_validate(one) for one in answer["checks"]]
        result.series = [Series.model_validate(one) for one in answer["series"]]
        found = [Comparison.model_validate(one) for one in answer["comparisons"]]
        result.comparisons = [one for one in found if one.contestant == name]
        if not result.ok:
            self._show(result)
            wrong = next(check for check in result.checks if not check.ok)
            raise MeasureError(wrong.contestant, f"its output is wrong, so it was not timed: {wrong.reason}")
        self._benched[name] = entry

    def _rival(self, options: CellOptions, entry: Entry) -> Entry | None:
        if options.against is None:
            return None
        rival = self._benched.get(options.against)
        if rival is None:
            known = ", ".join(self._benched) or "none yet"
            raise InputError(
                "%%opencl", f"expected --against a kernel that was benched ({known}), got {options.against!r}"
            )
        if rival.values[rival.out].shape != entry.values[entry.out].shape:
            raise InputError("%%opencl", f"expected {options.against} to have been benched at the same output shape")
        return replace(rival, name=f"{rival.name} (before)") if rival.name == entry.name else rival

    def _show(self, result: CellResult) -> None:
        from IPython.display import display

        display(result)


def run_child(device: Device, entries: Sequence[Entry], oracle: Oracle, options: CellOptions) -> dict[str, Any]:
    """The answer of ``cell_bench``. MeasureError if it does not end in time, LaunchFailed if it dies."""
    name = entries[0].name
    if not options.time_limit > 0:
        raise InputError("%%opencl", f"expected a --time-limit above 0 s, got {options.time_limit:g}")
    with tempfile.TemporaryDirectory(prefix="rx580lab-cell-") as place:
        folder = Path(place)
        write_request(folder, device, entries, oracle, options, options.time_limit / 4)
        command = [sys.executable, "-P", "-m", "rx580lab.jupyter.cell_bench", place]
        # Threads that wander from core to core time the scheduler.
        env = {"POCL_AFFINITY": "1", **os.environ}
        with (folder / "output").open("w+b") as output, _turn(name):
            code = _ended_in_time(command, env, output, options.time_limit)
            output.seek(0)
            tail = output.read().decode("utf-8", "replace").strip()[-1000:]
        if code is None:
            raise MeasureError(
                name, f"did not end within {options.time_limit:g} s; its process was ended, this notebook goes on"
            )
        if code != 0 or not (folder / RESULT_FILE).is_file():
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
            raise LaunchFailed(name, f"its process {how}: {tail or 'no message'}")
        answer: dict[str, Any] = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
    failed = answer.get("error")
    if failed is not None:
        raise getattr(errors, failed["kind"])(failed["where"], failed["message"])
    return answer


def _ended_in_time(command: Sequence[str], env: dict[str, str], output: Any, limit_s: float) -> int | None:
    """The exit status, or None where it had to be ended; nothing of it is left either way."""
    # A group of its own: what it started ends with it, and Ctrl-C in a terminal reaches only us.
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    )
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class _turn:  # noqa: N801 - reads as a word in a with statement
    """The machine's timing lock, unless the runner of this very notebook holds it already."""

    def __init__(self, name: str) -> None:
        self._lock = None if os.environ.get(POINT_VARIABLE) else TimingLock(f"the bench of {name} in a notebook")

    def __enter__(self) -> None:
        if self._lock is not None:
            self._lock.acquire(lambda holder: print(f"waiting for {holder} to end", file=sys.stderr), lambda: False)  # noqa: T201

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.release()


def _explain(line: str) -> None:
    """``%opencl`` on a line of its own, since IPython refuses a cell magic without a cell."""
    del line
    sys.stdout.write(usage())


def register(shell: InteractiveShell) -> None:
    """Teach a shell ``%%opencl``, and ``%opencl`` which explains it."""
    shell.magics_manager.register_function(_explain, magic_kind="line", magic_name="opencl")
    shell.magics_manager.register_function(OpenclCell(shell), magic_kind="cell", magic_name="opencl")


def unregister(shell: InteractiveShell) -> None:
    """Forget it again."""
    for kind in ("cell", "line"):
        shell.magics_manager.magics[kind].pop("opencl", None)
