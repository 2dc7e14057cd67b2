"""Small notebooks of these tests' own: they need no OpenCL, so that only a kernel's start costs time."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

PARAMETERS = """\
behaviour: str = "ok"  # what the point does
size: int = 4  # elements
scale: float = 1.0  # a factor
check: bool = True
labels: list[str] = ["a"]
n_samples: int = 3
threads: int = 1
contestants: str = "lab"
folder: str = ""  # where points leave marks for the test
"""

BODY = """\
# act
import os, pathlib, time
from rx580lab.experiment import current_point
from rx580lab.results.records import Check, Environment, Metric, Point, Series, Interval

context = current_point()
marks = pathlib.Path(folder or ".")
began = time.time()
if behaviour == "raise":
    raise ValueError("the cell is at fault")
if behaviour == "die":
    os._exit(7)
if behaviour == "hang":
    time.sleep(600)
if behaviour == "once":
    seen = marks / "once"
    if not seen.exists():
        seen.touch()
        raise OSError("first attempt")
if behaviour == "wait":
    (marks / "started").touch()
    while not (marks / "go").exists():
        time.sleep(0.05)
if behaviour == "brief":
    time.sleep(0.5)
"""

RECORD = """\
# record
def interval(value):
    return Interval(value=value, low=value, high=value, n=1)

socket = get_ipython().kernel.shell_stream.socket if hasattr(get_ipython().kernel, "shell_stream") else None
notes = {"mechanism": str(socket.getsockopt(__import__("zmq").MECHANISM)) if socket else "unknown"}
steering = ("POCL_AFFINITY", "POCL_MAX_PTHREAD_COUNT", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
notes |= {name: os.environ.get(name, "unset") for name in steering}
series = Series(contestant="lab", label="lab", role="lab", clock="wall", clock_reason="test", samples_ns=[1.0],
                order=[0], warmup_ns=[], warmup_settled=True, median_ns=interval(1.0))
right = behaviour != "wrong"
checked = Check(contestant="lab", oracle="none", ok=right, reason=None if right else "differs", tolerance="0",
                n_values=1)
point = Point(
    title="fixture", params={"behaviour": behaviour, "size": size},
    series=[series], checks=[checked],
    metrics={"toy/size": Metric(value=size, unit="elements", higher_is_better=True),
             "toy/began": Metric(value=began, unit="s", higher_is_better=True),
             "toy/ended": Metric(value=time.time(), unit="s", higher_is_better=True)},
    notes=[f"{name}={value}" for name, value in notes.items()],
    environment=Environment(device={}, host={}, packages={}, variables={}),
)
if behaviour != "silent":
    context.record(point)
"""


def write_notebook(path: Path, parameters: str, *cells: str, tags: tuple[str, ...] = ("parameters",)) -> Path:
    """A notebook of code cells; the first one is tagged."""
    sources = [parameters, *cells]
    content = {
        "cells": [
            {
                "cell_type": "code",
                "id": f"c{index}",
                "metadata": {"tags": list(tags)} if index == 0 else {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for index, source in enumerate(sources)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with notebooks/toy.ipynb and an empty experiments/bench/."""
    root = tmp_path_factory.mktemp("lab {braces}")
    write_notebook(root / "notebooks" / "toy.ipynb", PARAMETERS, BODY, RECORD)
    (root / "experiments" / "bench").mkdir(parents=True)
    return root


@pytest.fixture
def spec_file(bench: Path) -> Path:
    """The place of this test's spec: its text is written there by the test."""
    return bench / "experiments" / "bench" / "toy.yml"


def alive_below(folder: Path) -> list[int]:
    """Processes of points whose request lies in ``folder``: the point's process and its kernel."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and str(folder) in process.environ().get("RX580LAB_POINT", ""):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
