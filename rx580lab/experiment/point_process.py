"""The child process of one point: Papermill in it, progress out of it as JSON lines, dead when its parent is.

``python -m rx580lab.experiment.point_process REQUEST EVENTS_FD``; standard input is a pipe whose other end only the
parent holds: when it closes, the parent is gone, and kernel and process end at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from subprocess import Popen
from typing import Any, TextIO

import psutil

from rx580lab.experiment.grammar import leave_out_iri_grammar
from rx580lab.experiment.request import EXECUTED_FILE, PointRequest

__all__ = ["main"]

# nbclient's default of 4 s fails a healthy notebook on a machine that is busy.
_IOPUB_TIMEOUT_S = 60
_MAX_LABEL = 60


class _Reporter:
    """Writes events for the parent. A parent that does not listen any more is no reason to fail."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.cell = 0
        self.label = ""
        self.kernel: Popen[bytes] | None = None

    def send(self, event: str, **fields: Any) -> None:
        try:
            self.stream.write(json.dumps({"event": event, **fields}) + "\n")
            self.stream.flush()
        except BrokenPipeError:
            return

    def kernel_started(self, process: Popen[bytes]) -> None:
        self.kernel = process
        try:
            started = psutil.Process(process.pid).create_time()
        except psutil.NoSuchProcess:
            return
        self.send("kernel", pid=process.pid, started=started)

    def cell_started(self, cell: Any, cell_index: int) -> None:
        self.cell, self.label = cell_index + 1, _label(cell)
        self.send("cell_start", cell=self.cell, label=self.label)

    def cell_executed(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        del cell, execute_reply
        self.send("cell_end", cell=cell_index + 1)


def _label(cell: Any) -> str:
    if "parameters" in cell.metadata.get("tags", []):
        return "parameters"
    lines = [line.strip("# ").strip() for line in str(cell.source).splitlines()]
    first = next((line for line in lines if line), "")
    return first if len(first) <= _MAX_LABEL else first[: _MAX_LABEL - 3] + "..."


def _end_with_parent() -> None:
    """Runs in a thread: waits for the parent's end of the pipe to close, then ends everything below this process."""
    # The descriptor, not sys.stdin: a thread that holds the stream's lock aborts Python at its exit.
    while os.read(0, 1):
        pass
    for process in psutil.Process().children(recursive=True):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    os.kill(os.getpid(), signal.SIGKILL)


def _execute(request: PointRequest, reporter: _Reporter) -> None:
    leave_out_iri_grammar()
    from papermill import execute_notebook

    from rx580lab.experiment.kernel import LabKernel

    LabKernel.on_start = reporter.kernel_started
    n_cells = len(json.loads(Path(request.notebook).read_bytes())["cells"])
    # Papermill adds a cell with the parameters.
    reporter.send("notebook", n_cells=n_cells + bool(request.params))
    folder = Path(request.folder)
    execute_notebook(
        # Papermill formats paths with str.format: braces in a folder's name must be doubled.
        request.notebook.replace("{", "{{").replace("}", "}}"),
        str(folder / EXECUTED_FILE).replace("{", "{{").replace("}", "}}"),
        request.params,
        kernel_name="python3",
        language="python",
        progress_bar=False,
        cwd=request.folder,
        start_timeout=request.start_timeout_s,
        execution_timeout=request.cell_timeout_s,
        iopub_timeout=_IOPUB_TIMEOUT_S,
        kernel_manager_class=LabKernel,
        on_cell_start=reporter.cell_started,
        on_cell_executed=reporter.cell_executed,
    )


def _describe(error: Exception, request: PointRequest, reporter: _Reporter) -> dict[str, str]:
    """Status, type and message of what stopped the notebook, for the manifest."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    place = f"cell {reporter.cell} ({reporter.label})"
    if isinstance(error, PapermillExecutionError):
        return {"status": "failed", "error_type": str(error.ename), "error": f"{place}: {error.evalue}"}
    if isinstance(error, CellTimeoutError):
        message = f"{place}: ran longer than cell_timeout_s, {request.cell_timeout_s} s"
        return {"status": "timeout", "error_type": "CellTimeoutError", "error": message}
    if isinstance(error, DeadKernelError):
        return {"status": "failed", "error_type": "DeadKernelError", "error": f"{place}: the kernel {_ended(reporter)}"}
    where = place if reporter.cell else "before the first cell"
    return {"status": "failed", "error_type": type(error).__name__, "error": f"{where}: {error}"}


def _ended(reporter: _Reporter) -> str:
    code = reporter.kernel.poll() if reporter.kernel is not None else None
    if code is None:
        return "died"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended itself with exit status {code}"


def main(arguments: list[str]) -> int:
    """Run the point of the request file ``arguments[0]``; events go to the descriptor ``arguments[1]``."""
    request_file, descriptor = Path(arguments[0]), int(arguments[1])
    # The kernel must not inherit it: the parent reads its end as the end of this process.
    os.set_inheritable(descriptor, False)
    reporter = _Reporter(os.fdopen(descriptor, "w", encoding="utf-8"))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        request = PointRequest.load(request_file)
        _execute(request, reporter)
    except Exception as error:  # noqa: BLE001 - whatever stops a notebook becomes the manifest's error
        import traceback

        traceback.print_exc()
        reporter.send("end", **_describe(error, request, reporter))
        return 1
    reporter.send("end", status="ok")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
