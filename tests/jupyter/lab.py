"""JupyterLab as ``make lab`` starts it, in folders of its own, for the tests that look at it from outside."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil

from tests.requirements import require

START_S = 90


@dataclass(frozen=True)
class Lab:
    """A running server: ``folder`` is its root, ``reports`` where its notebooks keep their runs."""

    port: int
    token: str
    folder: Path
    reports: Path
    log: Path

    @property
    def address(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, *, token: bool = True) -> tuple[int, dict[str, str], str]:
        """Status, headers and body as they come: nothing is followed, nothing in ``path`` is tidied."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path, headers={"Authorization": f"token {self.token}"} if token else {})
        response = connection.getresponse()
        body = response.read().decode("utf-8", "replace")
        connection.close()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, body

    def api(self, path: str) -> Any:
        """An answer of Jupyter's own API."""
        import json

        request = Request(f"{self.address}{path}", headers={"Authorization": f"token {self.token}"})  # noqa: S310
        with urlopen(request, timeout=30) as response:  # noqa: S310 - loopback
            return json.load(response)


@contextmanager
def running_lab(folder: Path, *, settings: Path | None = None) -> Iterator[Lab]:
    """JupyterLab with ``folder`` as its root, which holds its configuration too; ended with all that it started."""
    require("jupyterlab")
    reports = folder / "reports"
    token = secrets.token_hex(16)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = folder.parent / f"{folder.name}-jupyter"
    variables = {f"JUPYTER_{name}_DIR": str(own / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    variables |= {f"JUPYTERLAB_{name}_DIR": str(own / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    variables |= {"IPYTHONDIR": str(own / "ipython"), "MPLCONFIGDIR": str(own / "matplotlib")}
    if settings is not None:
        variables["JUPYTERLAB_SETTINGS_DIR"] = str(settings)
    own.mkdir()
    command = [
        sys.executable, "-m", "rx580lab.jupyter", "--no-browser", "--ip=127.0.0.1", f"--port={port}",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}",
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    log = own / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **variables, "RX580LAB_REPORTS": str(reports)},
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip
    lab = Lab(port, token, folder, reports, log)
    try:
        _wait_for(lab, process)
        yield lab
    finally:
        _end(process)


def _wait_for(lab: Lab, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, lab.log.read_text(encoding="utf-8")
        try:
            lab.api("/api/status")
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"JupyterLab did not answer within {START_S} s:\n{lab.log.read_text(encoding='utf-8')}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """As a person would (Ctrl-C twice), then by force; kernels in groups of their own too."""
    try:
        below = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        below = []
    for _ in range(2):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.3)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for child in below:
        if child.is_running():
            child.kill()
