"""Damaged models by the hundred: each has to run or to be refused by a clear error, within time and memory."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import onnx

from rx580lab.device import Device, sensors
from rx580lab.errors import ExperimentError
from rx580lab.experiment.mutant_process import MEMORY_BYTES, SECONDS
from rx580lab.experiment.mutant_seeds import seeds
from rx580lab.experiment.mutants import PLANTED_FILE, make_mutant
from rx580lab.experiment.small_models import WEIGHTS_BYTES, WEIGHTS_FILE
from rx580lab.measure import environment
from rx580lab.results.records import Check, Metric, Point

__all__ = ["Outcome", "mutated_models", "try_mutants"]

Progress = Callable[[str], None]
# A child that answers nothing for so long is stuck without using the processor.
SILENCE_S = 60.0
START_S = 300.0
# Files that one child tries; then another begins, so that no leak adds up.
FILES_OF_A_CHILD = 150


@dataclass(frozen=True)
class Outcome:
    """What came of one damaged file.

    Attributes:
        index: ``make_mutant(model, seed, index)`` makes it again. faults: what was done to it.
        outcome: ran, refused (by an error of ours that names the file) or wrong. stage: load or run.
        error: what was said, or how the process ended. seconds: of processor time. model: what it was made of.
    """

    index: int
    faults: tuple[str, ...]
    outcome: str
    stage: str
    error: str
    seconds: float
    model: str = ""

    def __str__(self) -> str:
        return f"{self.model} mutant {self.index} ({', '.join(self.faults)}), {self.stage}: {self.error}"


class _Child:
    """A process that tries files, in a folder beside which a file is planted that no model may read."""

    def __init__(self, folder: Path, device: str, seconds: float, model: bytes) -> None:
        self.seconds = seconds
        self.path = folder / "model" / "m.onnx"
        self.log = folder / "stderr.txt"
        with self.log.open("wb") as errors:
            command = [sys.executable, "-m", "rx580lab.experiment.mutant_process", str(self.path), device, str(seconds)]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        first = self.attempt(model, START_S)
        if first["outcome"] != "ran":
            self.end()
            raise ExperimentError("mutated_models", f"expected the whole model to run, got {first['error']}")

    def __enter__(self) -> _Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Ends the process and closes its pipes."""
        self.process.kill()
        self.process.communicate()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def attempt(self, data: bytes, silence_s: float = SILENCE_S) -> dict[str, Any]:
        self.path.write_bytes(data)
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise ExperimentError("mutated_models", "the child has no pipes")
        try:
            stdin.write(b"\n")
            stdin.flush()
        except BrokenPipeError:
            return self._ended()
        if not select.select([stdout], [], [], silence_s)[0]:
            self.process.kill()
            return {"outcome": "wrong", "error": f"no answer within {silence_s:g} s", "seconds": silence_s}
        line = stdout.readline()
        found: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else self._ended()
        return found

    def _ended(self) -> dict[str, Any]:
        status = self.process.wait()
        told = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-12:]
        how = f"the process ended with status {status}: {' | '.join(told)}"
        return {"outcome": "wrong", "error": how, "seconds": self.seconds}


def _prepare(folder: Path) -> None:
    """The model's folder, with weights in it and links that lead out of it; beside it, the planted file."""
    beside = folder / "model"
    beside.mkdir()
    weights = np.linspace(-1, 1, WEIGHTS_BYTES // 4, dtype="<f4")
    (beside / WEIGHTS_FILE).write_bytes(weights.tobytes())
    (folder / PLANTED_FILE).write_bytes(weights.tobytes())
    (beside / "link.bin").symlink_to(Path("..") / PLANTED_FILE)
    (beside / "link").symlink_to("..")
    os.mkfifo(beside / "pipe")


def try_mutants(
    model: onnx.ModelProto,
    *,
    device: str,
    n_mutants: int,
    seed: int = 0,
    seconds: float = SECONDS,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Tries that many damaged forms of ``model`` on the device of that selector, each for ``seconds`` at most.

    Raises ExperimentError if the model itself does not run, which would make every refusal worthless.
    """
    found: list[Outcome] = []
    spoken = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rx580lab-mutants-") as name:
        folder = Path(name).resolve()
        _prepare(folder)
        while len(found) < n_mutants:
            with _Child(folder, device, seconds, model.SerializeToString()) as child:
                for _ in range(FILES_OF_A_CHILD):
                    if len(found) == n_mutants or not child.alive:
                        break
                    mutant = make_mutant(model, seed, len(found))
                    got = child.attempt(mutant.data)
                    stage = str(got.get("stage", "load or run"))
                    found.append(
                        Outcome(len(found), mutant.faults, got["outcome"], stage, got["error"], got["seconds"])
                    )
                    if progress is not None and time.monotonic() - spoken >= 5:
                        spoken = time.monotonic()
                        progress(f"{len(found)} of {n_mutants}, {_n(found, 'wrong')} wrong")
    return found


def _n(found: list[Outcome], outcome: str) -> int:
    return sum(one.outcome == outcome for one in found)


def mutated_models(
    name: str,
    *,
    device: Device,
    n_mutants: int,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    progress: Progress = print,
) -> Point:
    """Damages the models of that name ``n_mutants`` times in all and tries each file within limits of its own."""
    before = sensors(device)
    models = seeds(name)
    found: list[Outcome] = []
    for place, (called, model) in enumerate(models.items()):
        n = (n_mutants - len(found)) // (len(models) - place)
        tried = try_mutants(model, device=device.selector, n_mutants=n, seed=seed, progress=progress)
        found += [replace(one, model=called) for one in tried]
    wrong = [one for one in found if one.outcome == "wrong"]
    refusals = Counter(one.error.partition("]")[2].strip()[:100] for one in found if one.outcome == "refused")
    counts = {
        "mutants/n_files": (len(found), True),
        "mutants/n_wrong": (len(wrong), False),
        "mutants/n_refused": (_n(found, "refused"), True),
        "mutants/n_ran": (_n(found, "ran"), True),
    }
    metrics = {path: Metric(value=value, unit="1", higher_is_better=better) for path, (value, better) in counts.items()}
    slowest = max((one.seconds for one in found), default=0.0)
    metrics["mutants/slowest"] = Metric(value=slowest, unit="s", higher_is_better=False)
    return Point(
        title=f"{n_mutants:,} damaged forms of {name} on {device.selector}",
        params=dict(params or {"name": name, "n_mutants": n_mutants, "seed": seed}),
        checks=[
            Check(
                contestant=name,
                oracle="the rule: every file runs, or is refused by an error that names it; nothing outside is opened",
                ok=not wrong,
                reason=f"{len(wrong)} of {len(found)} went wrong, the first: {wrong[0]}" if wrong else None,
                tolerance=f"none; {SECONDS} s of processor time and {MEMORY_BYTES >> 30} GiB of memory a file",
                n_values=len(found),
            )
        ],
        metrics=metrics,
        notes=[
            *(f"wrong: {one}" for one in wrong[:50]),
            *(f"refused {n} times: {message}" for message, n in refusals.most_common(20)),
        ],
        sensors_before=before,
        sensors_after=sensors(device),
        environment=environment(device),
    )
