"""The child process that loads damaged models and runs them: it may die, hang or run out of memory in nobody's way.

``python -m rx580lab.experiment.mutant_process MODEL DEVICE SECONDS``; each line of standard input says that another
file is at MODEL, each line of standard output says, as JSON, what came of it. The first file has to be whole: it warms
caches up, and may take as long as it likes; the others get SECONDS of processor time.
"""

from __future__ import annotations

import faulthandler
import json
import math
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import psutil

import rx580lab as rx
from rx580lab.errors import LabError
from rx580lab.experiment.mutants import PLANTED_FILE
from rx580lab.graph import Model, TensorInfo

__all__ = ["MEMORY_BYTES", "SECONDS", "main"]

# What one file may take beyond what the first one took; processor time, since the machine may be busy.
MEMORY_BYTES = 2 << 30
SECONDS = 5
MOST_ELEMENTS = 1 << 20
# Lengths that a file leaves open.
OPEN_LENGTH = 3
# What loading a file has no reason to do.
FORBIDDEN = ("compile", "exec", "os.exec", "os.posix_spawn", "os.system", "socket.connect", "subprocess.Popen")


class Watch:
    """Notes what is opened, and what is executed while a model is loaded. Python keeps audit hooks for good."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder.resolve())
        self.planted = str((folder.parent / PLANTED_FILE).resolve())
        self.own = tuple(
            str(Path(place).resolve()) for place in (sys.prefix, sys.base_prefix, Path(rx.__file__).parent)
        )
        self.stage = ""
        self.seen: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.stage:
            return
        if event == "open" and isinstance(arguments[0], str | bytes):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            inside = f"{path}{os.sep}".startswith(f"{self.folder}{os.sep}")
            known = inside or path == "/proc/meminfo" or path.startswith(self.own)
            if path == self.planted or (self.stage == "load" and not known):
                self.seen.append(f"opened {path}")
        elif self.stage == "load" and event in FORBIDDEN and not _importing():
            self.seen.append(f"did {event}")


def _importing() -> bool:
    """Whether Python is at work on a module of its own, which executes code by right."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _inputs(model: Model) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return {name: _array(info, rng) for name, info in model.inputs.items()}


def _array(info: TensorInfo, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    lengths = (OPEN_LENGTH, OPEN_LENGTH) if info.shape is None else info.shape
    shape = tuple(one if isinstance(one, int) else OPEN_LENGTH for one in lengths)
    if math.prod(shape) > MOST_ELEMENTS:  # refused for its shape, as it should be
        shape = tuple(min(one, OPEN_LENGTH) for one in shape)
    values = rng.integers(0, 3, shape) if info.dtype.kind in "iub" else rng.normal(size=shape)
    return np.asarray(values).astype(info.dtype)


def _attempt(path: Path, device: Any, watch: Watch) -> dict[str, Any]:
    """Loads the file and runs it once."""
    began = time.process_time()
    found: dict[str, Any] = {"outcome": "ran", "stage": "load", "error": ""}
    watch.seen.clear()
    try:
        watch.stage = "load"
        model = rx.load(path, device)
        watch.stage = found["stage"] = "run"
        model.run(_inputs(model))
    except LabError as error:
        found |= {"outcome": "refused", "error": f"{type(error).__name__}: {error}"}
        if str(path) not in error.where:
            found |= {"outcome": "wrong", "error": f"no file is named: {found['error']}"}
    except Exception as error:  # noqa: BLE001 - what else comes out is what is looked for
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        found |= {"outcome": "wrong", "error": f"{type(error).__name__} at {place}: {error}"}
    finally:
        watch.stage = ""
    if watch.seen:
        found |= {"outcome": "wrong", "error": "; ".join(sorted(set(watch.seen)))}
    return {**found, "seconds": time.process_time() - began}


def main(arguments: list[str]) -> int:
    """Answers each line of standard input until it ends."""
    path, device, seconds = Path(arguments[0]), rx.open_device(arguments[1]), float(arguments[2])
    watch = Watch(path.parent)
    faulthandler.enable()
    faulthandler.register(signal.SIGPROF, all_threads=False, chain=True)  # says where it hangs, then dies of it
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number, _ in enumerate(sys.stdin):
        signal.setitimer(signal.ITIMER_PROF, seconds if number else 0)
        found = _attempt(path, device, watch)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if not number:
            limit = psutil.Process().memory_info().vms + MEMORY_BYTES
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
