"""One point of a run, with its attempts: wait for the machine, start the process, judge, keep the manifest true."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rx580lab.experiment.attempt import AttemptResult, Stop, child_environment, run_attempt
from rx580lab.experiment.judge import CHECK_FAILED, judge_point
from rx580lab.experiment.model import Value
from rx580lab.experiment.progress import Kind, Progress, ProgressCallback
from rx580lab.experiment.request import EXECUTED_FILE, PointRequest
from rx580lab.experiment.spec import Spec
from rx580lab.experiment.timing_lock import TimingLock
from rx580lab.results import RunFolder, utc_now
from rx580lab.results.files import sha256_of
from rx580lab.results.points import POINT_FILE, SAMPLES_FILE
from rx580lab.results.records import PointEntry

__all__ = ["PointPlan", "PointRunner"]


@dataclass(frozen=True)
class PointPlan:
    """A point to run: the name of its folder, what it passes to the notebook, and its device's selector."""

    key: str
    params: dict[str, Value]
    device: str | None


@dataclass
class PointRunner:
    """Runs one point to its end and keeps its manifest entry."""

    folder: RunFolder
    spec: Spec
    plan: PointPlan
    entry: PointEntry
    stop: Stop
    progress: ProgressCallback
    number: int
    n_points: int
    _n_cells: int = 0
    _seconds: float = 0.0

    def run(self) -> None:
        """Attempts until one succeeds, ``retries`` are used up, or the run is stopped."""
        limits, entry = self.spec.model.limits, self.entry
        self._tell("point_start", self._title())
        entry.status, entry.started, entry.ended = "running", utc_now(), None
        entry.error_type = entry.error = entry.seconds = None
        entry.files = {}
        result = AttemptResult("killed")
        for attempt in range(limits.retries + 1):
            result = self._attempt()
            # A result that failed its oracle is a result: repeating it until it passes would hide a faulty device.
            if result.status in ("ok", "killed") or result.error_type == CHECK_FAILED:
                break
            if attempt < limits.retries:
                attempts = f"attempt {attempt + 2} of {limits.retries + 1}"
                self._tell("retry", f"{result.error_type}: {result.error}; {attempts}")
        entry.status, entry.error_type, entry.error = result.status, result.error_type, result.error
        entry.ended, entry.seconds = utc_now(), round(self._seconds, 3)
        entry.files = self._file_hashes()
        self.folder.save_manifest()
        text = "ok" if result.status == "ok" else f"{result.status}: {result.error_type}: {result.error}"
        self._tell("point_end", text, status=result.status, seconds=entry.seconds)

    def _attempt(self) -> AttemptResult:
        lock = TimingLock(f"{self.spec.kind}/{self.spec.name} {self.folder.path.name}")
        if not lock.acquire(self._tell_waiting, self.stop.requested):
            return AttemptResult("killed", "Interrupted", f"ended by {self.stop.signal_name}")
        began = time.monotonic()  # not before: waiting for others is no work of this point
        try:
            self._clear()
            self.entry.attempts += 1
            self.folder.save_manifest()
            request_file = self._request().save()
            environment = child_environment(
                request_file=request_file,
                device=self.plan.device,
                threads=self._threads(),
                affinity=self.spec.model.resources.affinity,
            )
            result = run_attempt(
                request_file,
                environment,
                wall_s=self.spec.model.limits.wall_s,
                stop=self.stop,
                on_event=self._on_event,
            )
            return judge_point(self._path) if result.status == "ok" else result
        finally:
            self._seconds += time.monotonic() - began
            lock.release()

    @property
    def _path(self) -> Path:
        return self.folder.point_folder(self.plan.key).resolve()

    def _request(self) -> PointRequest:
        limits = self.spec.model.limits
        return PointRequest(
            key=self.plan.key,
            run=self.folder.manifest.run,
            experiment=f"{self.spec.kind}/{self.spec.name}",
            notebook=str(self.spec.notebook),
            folder=str(self._path),
            params=self.plan.params,
            start_timeout_s=limits.start_timeout_s,
            cell_timeout_s=limits.cell_timeout_s,
        )

    def _threads(self) -> int | None:
        """The notebook's parameter ``threads`` if it has one (0 leaves the pools alone), else resources.threads."""
        if "threads" in self.spec.parameters:
            threads = self.spec.effective(self.plan.params)["threads"]
            return threads if isinstance(threads, int) and threads > 0 else None
        return self.spec.model.resources.threads

    def _clear(self) -> None:
        """Put an earlier attempt's notebook aside and remove its record: nothing old may count as this attempt's."""
        path = self._path
        path.mkdir(parents=True, exist_ok=True)
        executed = path / EXECUTED_FILE
        if executed.exists():
            executed.rename(path / f"executed-attempt{self.entry.attempts}.ipynb")
        for name in (POINT_FILE, SAMPLES_FILE):
            (path / name).unlink(missing_ok=True)

    def _file_hashes(self) -> dict[str, str]:
        path = self._path
        if not path.is_dir():
            return {}
        return {p.name: sha256_of(p.read_bytes()) for p in sorted(path.iterdir()) if p.is_file()}

    def _title(self) -> str:
        params = self.plan.params
        if "op" in params and "shape" in params:
            return f"{params['op']} {params['shape']}"
        swept = {name: value for name, value in params.items() if self._varies(name)}
        return ", ".join(f"{name}={value}" for name, value in (swept or params).items()) or self.spec.name

    def _varies(self, name: str) -> bool:
        first = self.folder.manifest.points[0].params.get(name)
        return any(entry.params.get(name) != first for entry in self.folder.manifest.points)

    def _tell_waiting(self, holder: str) -> None:
        self._tell("waiting", f"waiting: {holder} is being timed on this machine")

    def _on_event(self, event: dict[str, Any]) -> None:
        if event["event"] == "notebook":
            self._n_cells = int(event["n_cells"])
        elif event["event"] == "cell_start":
            self._tell("cell_start", str(event["label"]), cell=int(event["cell"]))
        elif event["event"] == "cell_end":
            self._tell("cell_end", "", cell=int(event["cell"]))

    def _tell(
        self, kind: Kind, text: str, cell: int = 0, status: str | None = None, seconds: float | None = None
    ) -> None:
        step = Progress(
            kind=kind,
            text=text,
            point=self.number,
            n_points=self.n_points,
            cell=cell,
            n_cells=self._n_cells,
            status=status,
            seconds=seconds,
            params=self.plan.params,
        )
        self.progress(step)
