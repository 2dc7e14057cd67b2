"""From a spec to a run folder: choose or resume a run, run its points one by one, judge them, report.

Which run the same command continues (``mode``):

- ``new``, the default: the newest run of this experiment whose hashes agree, if it was killed before its end;
  otherwise a new run. A run that ended, ok or failed, is history and stays as it is.
- ``resume``: the newest run whose hashes agree that was killed, or that failed with points which can be repeated
  (a failed cell, a time-out, no record). There must be one.
- ``fresh``: always a new run.

A point that ended ok is never redone, and neither is one whose result failed its oracle check: a wrong result
stands, however often it is asked again.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rx580lab.errors import ExperimentError, ResultError
from rx580lab.experiment.attempt import Stop
from rx580lab.experiment.identity import DeviceChoice, choose_device, point_key, run_hashes
from rx580lab.experiment.judge import CHECK_FAILED, gate_results, recorded_point, run_reason
from rx580lab.experiment.model import Value
from rx580lab.experiment.places import experiments_dir
from rx580lab.experiment.point import PointPlan, PointRunner
from rx580lab.experiment.progress import Progress, ProgressCallback, print_progress
from rx580lab.experiment.spec import Spec, load_spec
from rx580lab.results import RunFolder, reports_root, runs, utc_now
from rx580lab.results.files import sha256_of
from rx580lab.results.points import POINT_FILE, SAMPLES_FILE
from rx580lab.results.records import Manifest, PointEntry, RunStatus, Scalar

__all__ = ["Mode", "RunOutcome", "run_spec"]

Mode = Literal["new", "resume", "fresh"]


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended. ``path`` is its folder; ``reason`` says why it is not ok; ``signal_name`` what ended it."""

    path: Path
    ok: bool
    reason: str | None
    status: RunStatus
    signal_name: str | None = None


def run_spec(
    path: Path | str,
    *,
    device: str | None = None,
    overrides: Mapping[str, str] | None = None,
    ci: bool = False,
    mode: Mode = "new",
    reports: Path | None = None,
    progress: ProgressCallback = print_progress,
) -> RunOutcome:
    """Run the experiment of a YAML file, or resume it; see the module for ``mode``.

    Args:
        path: the spec.
        device: which device, by name; goes to the notebook's parameter ``device`` and to RX580LAB_DEVICE.
        overrides: ``--set`` texts by parameter name.
        ci: run the small version, without enforcing gates on speed.
        mode: "new", "resume" or "fresh".
        reports: where run folders go; None takes RX580LAB_REPORTS, else ``./reports``.
        progress: told each step; by default one line each on standard error.

    SIGINT and SIGTERM end the point's processes and leave the run killed, to be resumed; the outcome is returned.

    Raises:
        SpecError: before anything starts. DeviceNotFound, ProbeFailed: the device cannot be used.
        ExperimentError: ``mode`` is "resume" and there is nothing to resume.
    """
    spec = load_spec(path, overrides=overrides, device=device)
    plans, hashes = _plans(spec, device, ci)
    root = reports_root(reports)
    run = _run_to_resume(root, spec, hashes, mode, progress)
    if run is None:
        run = _create_run(root, spec, plans, hashes, device, ci)
        progress(Progress("run_start", f"run {run.path}", n_points=len(plans)))
    with Stop().on_signals() as stop:
        try:
            _run_points(run, spec, plans, stop, progress)
            _finish(run, spec, plans, stop, ci)
        except BaseException as error:
            # The process may live on (a notebook, a test): without this the run would say running for as long.
            _mark_stopped(run, error)
            raise
    if not stop.requested():
        _report(run.path, root)
        _tell_baseline(run.path, root, progress)
    manifest = run.manifest
    text = f"{manifest.status}: {manifest.reason}" if manifest.reason else manifest.status
    progress(Progress("run_end", text, n_points=len(plans), status=manifest.status))
    return RunOutcome(run.path, manifest.status == "ok", manifest.reason, manifest.status, stop.signal_name)


def _plans(spec: Spec, device: str | None, ci: bool) -> tuple[list[PointPlan], dict[str, str]]:
    """The points with their devices and keys, and the hashes of the run.

    A notebook that declares no parameter ``device`` gets the one asked for by RX580LAB_DEVICE alone, if any was.
    """
    declared = "device" in spec.parameters
    chosen: list[tuple[dict[str, Value], DeviceChoice | None]] = []
    found: dict[str, DeviceChoice] = {}
    for params in spec.points(ci):
        name = str(spec.effective(params)["device"]) if declared else device
        if name is None:
            chosen.append((params, None))
            continue
        choice = found.setdefault(name, found.get(name) or choose_device(name))
        chosen.append(({**params, "device": choice.selector} if declared else params, choice))
    hashes = run_hashes(spec, {choice.selector: choice.hash for _, choice in chosen if choice}, ci=ci)
    plans = {
        key: PointPlan(key, params, choice.selector if choice else None)
        for params, choice in chosen
        # Two names of one device give one point.
        for key in [point_key(hashes, params, choice)]
    }
    return list(plans.values()), hashes


def _redoable(entry: PointEntry) -> bool:
    return entry.status != "ok" and entry.error_type != CHECK_FAILED


def _run_to_resume(
    root: Path, spec: Spec, hashes: Mapping[str, str], mode: Mode, progress: ProgressCallback
) -> RunFolder | None:
    if mode == "fresh":
        return None
    differing: tuple[RunFolder, list[str]] | None = None
    for run in runs(root, spec.kind, spec.name):
        try:
            manifest = run.manifest
        except ResultError:
            continue  # damaged: nothing to continue, and the report's index names it
        if manifest.status == "running":
            continue  # another process is at work on it
        unlike = sorted(name for name in hashes if manifest.hashes.get(name) != hashes[name])
        if unlike:
            if manifest.status == "killed" and differing is None:
                differing = (run, unlike)
            continue
        unfinished = any(_redoable(entry) for entry in manifest.points)
        if manifest.status == "killed" or (mode == "resume" and manifest.status == "failed" and unfinished):
            if _claimed(run):
                _tell_resumed(run, progress)
                return run
        elif mode == "new":
            return None  # a run that ended is newer than any that was killed: repeat, do not revive
    if mode == "resume":
        raise ExperimentError("experiment", _nothing_to_resume(root, spec, differing))
    if differing is not None:
        run, unlike = differing
        progress(Progress("note", f"{run.path.name} was killed, but {', '.join(unlike)} changed since: starting anew"))
    return None


def _claimed(run: RunFolder) -> bool:
    try:
        run.claim()
    except ResultError:
        return False  # another process resumed it a moment ago
    return True


def _tell_resumed(run: RunFolder, progress: ProgressCallback) -> None:
    points = run.manifest.points
    n_done = sum(not _redoable(entry) for entry in points)
    text = f"resuming {run.path}: {n_done} of {len(points)} points are done (--fresh starts anew)"
    progress(Progress("run_start", text, n_points=len(points)))


def _nothing_to_resume(root: Path, spec: Spec, differing: tuple[RunFolder, list[str]] | None) -> str:
    place = root / spec.kind / spec.name
    if differing is None:
        return f"expected an unfinished run of this experiment in {place}, got none; run it without --resume"
    run, unlike = differing
    return f"{run.path.name} is unfinished, but {', '.join(unlike)} changed since; run it without --resume"


def _create_run(
    root: Path, spec: Spec, plans: list[PointPlan], hashes: dict[str, str], device: str | None, ci: bool
) -> RunFolder:
    return RunFolder.create(
        root,
        kind=spec.kind,
        name=spec.name,
        title=spec.model.title,
        question=spec.model.question,
        ci=ci,
        device=device,
        spec=spec.model.model_dump(mode="json", exclude_unset=True),
        spec_file=str(spec.path),
        command=_command(spec, device, ci),
        hashes=hashes,
        points=[PointEntry(key=plan.key, params=_scalars(plan.params)) for plan in plans],
    )


def _scalars(params: Mapping[str, Value]) -> dict[str, Scalar]:
    return {name: json.dumps(value) if isinstance(value, list) else value for name, value in params.items()}


def _command(spec: Spec, device: str | None, ci: bool) -> str:
    """The command that runs it again, from the same folder; emulated limits come from the environment."""
    limits = os.environ.get("RX580LAB_LIMITS")
    words = [f"RX580LAB_LIMITS={limits}"] if limits else []
    words += ["rx580lab", "run", _spec_argument(spec.path.resolve())]
    words += [word for name, text in spec.overrides.items() for word in ("--set", f"{name}={text}")]
    words += ["--device", device] if device is not None else []
    words += ["--ci"] if ci else []
    return shlex.join(words)


def _spec_argument(path: Path) -> str:
    """A path below this folder as it is; a shipped experiment by its name; anything else in full."""
    if path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    if path.is_relative_to(experiments_dir()):
        return path.relative_to(experiments_dir()).with_suffix("").as_posix()
    return str(path)


def _run_points(run: RunFolder, spec: Spec, plans: list[PointPlan], stop: Stop, progress: ProgressCallback) -> None:
    entries = {entry.key: entry for entry in run.manifest.points}
    for number, plan in enumerate(plans, start=1):
        entry = entries[plan.key]
        if not _redoable(entry) and _is_intact(run, entry):
            continue
        if stop.requested():
            return
        runner = PointRunner(run, spec, plan, entry, stop, progress, number, len(plans))
        runner.run()


def _is_intact(run: RunFolder, entry: PointEntry) -> bool:
    """Whether a finished point's record is still the one that it ended with."""
    folder = run.point_folder(entry.key)
    try:
        return all(
            sha256_of((folder / name).read_bytes()) == entry.files.get(name) for name in (POINT_FILE, SAMPLES_FILE)
        )
    except OSError:
        return False


def _finish(run: RunFolder, spec: Spec, plans: list[PointPlan], stop: Stop, ci: bool) -> None:
    manifest: Manifest = run.manifest
    manifest.ended = utc_now()
    if stop.requested():
        manifest.status, manifest.reason = "killed", f"ended by {stop.signal_name}; the same command resumes it"
        run.save_manifest()
        return
    manifest.gates = []
    for plan in plans:
        point = recorded_point(run.point_folder(plan.key))
        metrics = point.metrics if point is not None else None
        manifest.gates += gate_results(spec.model.gates, plan.key, spec.effective(plan.params), metrics, ci=ci)
    manifest.reason = run_reason(manifest.points, manifest.gates)
    manifest.status = "ok" if manifest.reason is None else "failed"
    run.save_manifest()


def _mark_stopped(run: RunFolder, error: BaseException) -> None:
    manifest = run.manifest
    reason = f"the runner stopped: {type(error).__name__}: {error}"
    manifest.status, manifest.reason, manifest.ended = "failed", reason, utc_now()
    for entry in manifest.points:
        if entry.status == "running":
            entry.status, entry.error_type, entry.error = "failed", "RunnerStopped", reason
    run.save_manifest()


def _report(path: Path, root: Path) -> None:
    # Drawing needs none of what measuring needs, and the other way round: it is loaded when there is something to draw.
    from rx580lab import report

    report.render_run(path)
    report.render_index(root)


def _tell_baseline(path: Path, root: Path, progress: ProgressCallback) -> None:
    """How the run stands against ``baseline/<experiment>.json``, if there is one; the report has it point by point."""
    from rx580lab.report.compare import compare_with_baseline
    from rx580lab.results.baseline import read_evidence

    found = compare_with_baseline(read_evidence(path), root)
    if found is None:
        return
    if isinstance(found, str):
        words = found
    else:
        words = f"against the baseline (run {found.a.run}): {found.summary.removeprefix('B against A: ')}"
        if not found.same_device:
            words = f"another device or driver than the baseline's; {words}"
    progress(Progress("note", words))
