"""Rival servers: each serves the same file by the same ``rx580lab.load`` on the same device, so only servers differ.

A serving peer is a module of this folder with ``REQUIREMENT``, ``start(model, device)``, ``ask(x)`` and
``output(body)``; ``serving_peer`` finds it, ``unavailable`` says why it cannot run here. It runs as a process of its
own on loopback, and in an environment of its own: their requirements contradict ours. Its own packages come first
there, and ours after them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

import numpy.typing as npt
import psutil

import rx580lab
from rx580lab.device import cache_dir
from rx580lab.errors import InputError, PeerUnavailable

__all__ = ["SERVING", "Ask", "ServingPeer", "ServingProcess", "environment", "serving_peer", "unavailable"]

SERVING = ("litserve", "mlserver")
_INSTALL_S = 600
# Where the environments look for our packages, after their own: every Python there reads it as it starts, since the
# device is probed by a child process.
_PATH = "LAB_PATH_OF_PEERS"
_READS_PATH = f"import os, sys; sys.path.extend(filter(None, os.environ.get('{_PATH}', '').split(os.pathsep)))\n"
_START_S = 120.0


@dataclass(frozen=True)
class Ask:
    """A request to infer, as this server wants it."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


class ServingPeer(Protocol):
    """What each serving peer's module offers."""

    REQUIREMENT: str

    def start(self, model: Path, device: str, *, max_rows: int = 32) -> ServingProcess:
        """It serves that file when this returns. ``max_rows``: of requests that it may put together; 1 for none.

        PeerUnavailable where it cannot run here.
        """

    def ask(self, x: npt.NDArray[Any]) -> Ask:
        """A request for the rows of ``x``, the model's only input."""

    def output(self, body: bytes) -> npt.NDArray[Any]:
        """The rows of an answer's only output."""


def serving_peer(name: str) -> ServingPeer:
    """The serving peer of that name. InputError if there is none."""
    if name not in SERVING:
        raise InputError("peers", f"expected one of {', '.join(SERVING)}, got {name!r}")
    module: Any = import_module(f"rx580lab.peers.{name}")
    found: ServingPeer = module
    return found


def unavailable(peer: ServingPeer) -> str | None:
    """Why it cannot run here, with the cure; None when it can. Its environment is made at the first call."""
    try:
        environment(peer.REQUIREMENT)
    except PeerUnavailable as error:
        return error.message
    return None


@lru_cache
def environment(requirement: str) -> Path:
    """The interpreter of an environment that holds ``requirement``, such as ``a==1.0``; made once, in the cache folder.

    PeerUnavailable where it cannot be made.
    """
    folder = cache_dir("peers") / f"{requirement.replace('==', '-')}-py{sys.version_info[0]}{sys.version_info[1]}"
    python, complete = folder / "bin" / "python", folder / "complete"
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if complete.is_file() and python.exists():
            return python
        shutil.rmtree(folder, ignore_errors=True)
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement],
        ):
            try:
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_INSTALL_S, check=False
                )
                words = (done.stderr or done.stdout).strip().splitlines()
            except (OSError, subprocess.TimeoutExpired) as error:
                raise _not_made(requirement, str(error)) from error
            if done.returncode:
                raise _not_made(requirement, words[-1] if words else f"exit status {done.returncode}")
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "rx580lab.pth").write_text(_READS_PATH, encoding="utf-8")
        complete.touch()
    return python


def _not_made(requirement: str, why: str) -> PeerUnavailable:
    return PeerUnavailable(
        "peers", f"needs {requirement} in an environment of its own ({why[:300]}); python -m venv and pip have to work"
    )


@dataclass
class ServingProcess:
    """A rival at work. ``url``: without a slash at its end; ``log``: its last words."""

    process: subprocess.Popen[str]
    url: str
    log: deque[str]

    @classmethod
    def start(cls, requirement: str, module: str, arguments: Sequence[str], *, port: int, ready: str) -> ServingProcess:
        """Calls ``module.main(arguments)`` in the environment of ``requirement``.

        ``ready``: a path that answers 200 once it serves. PeerUnavailable, with its last words, where it does not.
        """
        python = environment(requirement)
        ours = [str(Path(rx580lab.__file__).parents[1]), *(one for one in sys.path if "-packages" in Path(one).name)]
        inherited = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
        process = subprocess.Popen(
            [str(python), "-P", "-c", f"import sys; from {module} import main; main(sys.argv[1:])", *arguments],
            stdin=subprocess.PIPE,  # its end is how it learns that this process is gone
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=python.parents[1],
            env={**inherited, _PATH: os.pathsep.join(ours)},
            process_group=0,
        )
        log: deque[str] = deque(maxlen=100)
        threading.Thread(target=_follow, args=(process.stderr, log), name="peer-log", daemon=True).start()
        found = cls(process, f"http://127.0.0.1:{port}", log)
        try:
            found._wait(ready)
        except PeerUnavailable:
            found.stop()
            raise
        return found

    @property
    def pid(self) -> int:
        """Of its first process; others are its children."""
        return self.process.pid

    def stop(self, timeout_s: float = 15.0) -> None:
        """Ends it and all processes that it started."""
        try:
            family = psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(family, timeout=5)
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()

    def _wait(self, ready: str) -> None:
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                with _DIRECT.open(self.url + ready, timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (OSError, urllib.error.URLError):
                pass  # it does not listen yet, or says that it is not ready
            time.sleep(0.1)
        said = " ".join(line.strip() for line in list(self.log)[-6:])[-600:]
        raise PeerUnavailable("peers", f"expected a server at {ready}, got none; its last words: {said}")

    def __enter__(self) -> ServingProcess:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.stop()


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _follow(stream: IO[str], log: deque[str]) -> None:
    with stream:
        log.extend(stream)


def elements(x: npt.NDArray[Any]) -> str:
    """All of ``x`` in a row as JSON, each in the fewest digits that mean the same value of its type."""
    return f"[{','.join(map(str, x.ravel()))}]"


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
