"""A server of one's own for a notebook, a panel or an experiment: ``rx580lab serve`` in a child process.

::

    with ServerProcess.start("models") as server:
        server.wait_ready()
        server.call("/models", role="readonly")

It listens on loopback, at a free port unless one is asked for, with a fresh key for each role in a folder that goes
with it, and ends with the process that started it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

from rx580lab.errors import ServeError
from rx580lab.experiment.server_keys import last_words, make_key

__all__ = ["Answer", "ServerProcess"]

_LISTENING = re.compile(r"rx580lab serves on (http://\S+)")
_START_S = 120.0
# Of what it prints, the end: an audit log would grow without bound.
_LOG_LINES = 200
_MOST_BYTES = 1 << 26


class Answer(NamedTuple):
    """``body``: JSON as Python has it, or text, or bytes where it is neither."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass
class ServerProcess:
    """A running server.

    Attributes:
        url: without a slash at its end. keys: role -> key; empty for an open server.
        keys_file, pepper_file: where it looks keys up; None for an open server.
        log: the last lines that it printed on standard error.
    """

    process: subprocess.Popen[str] = field(repr=False)
    url: str
    keys: Mapping[str, str] = field(repr=False)
    keys_file: Path | None
    pepper_file: Path | None
    log: deque[str] = field(repr=False)
    _folder: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    @classmethod
    def start(
        cls,
        models: str | Path,
        *,
        device: str | None = None,
        port: int = 0,
        roles: Sequence[str] = ("readonly", "user", "admin"),
        keys_file: Path | None = None,
        pepper_file: Path | None = None,
        label: str = "",
        expires: str | None = None,
        options: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
    ) -> ServerProcess:
        """A server that listens; its models may still be loading.

        Args:
            models: the folder, as ``rx580lab serve --models`` takes it.
            device: a device's name; None takes the best one.
            port: 0 takes any free one.
            roles: a fresh key is made for each. Empty, and no ``keys_file``: open to all on this machine.
            keys_file: keys that are there already; None makes some in a folder that goes when the server has stopped.
            pepper_file: what those are hashed with.
            label: of the fresh keys.
            expires: when those end, as ``rx580lab keys create`` takes it.
            options: further flags of ``rx580lab serve``.
            variables: ``RX580LAB_SERVE_...``, for it alone.

        Raises ServeError, with its last words, when it does not start.
        """
        folder = None
        if keys_file is None and roles:
            folder = tempfile.TemporaryDirectory(prefix="rx580lab-server-")
            keys_file = Path(folder.name) / "keys.jsonl"
            pepper_file = pepper_file or Path(folder.name) / "pepper"
        own = dict(variables or {})
        if pepper_file is not None:
            own["RX580LAB_SERVE_PEPPER_FILE"] = str(pepper_file)
        try:
            keys = {}
            if keys_file is not None:
                keys = {one: make_key(one, keys_file, pepper_file, label=label, expires=expires) for one in roles}
            guard = ["--insecure-no-auth"] if keys_file is None else ["--keys", str(keys_file)]
            where = ["--device", device] if device else []
            command = ["serve", "--models", str(models), *guard, *where, "--port", str(port), *options]
            process, url, log = _listening(command, own)
        except ServeError:
            if folder is not None:
                folder.cleanup()
            raise
        return cls(process, url, keys, keys_file, pepper_file, log, folder)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    @property
    def owns_keys(self) -> bool:
        """Whether its keys go with it."""
        return self._folder is not None

    @property
    def last_words(self) -> str:
        """The end of what it printed, in one line."""
        return last_words(list(self.log))

    def call(
        self,
        path: str,
        body: bytes | None = None,
        *,
        role: str | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
        raw: bool = False,
    ) -> Answer:
        """One request, a POST where there is a body. Any status is an answer; ServeError where none comes.

        ``raw``: leave the answer's body as bytes.
        """
        chosen = key or (self.keys.get(role) if role else None)
        own = {"X-API-Key": chosen} if chosen else {}
        if body is not None:
            own["Content-Type"] = "application/json"
        return _call(self.url + path, body, {**own, **(headers or {})}, timeout_s, raw)

    def wait_ready(self, timeout_s: float = 120.0) -> None:
        """Returns when every model serves. ServeError with its last words if that takes longer, or it has died."""
        end = time.monotonic() + timeout_s
        while True:
            if not self.alive:
                raise ServeError("server", f"expected a server that runs, got exit status {self.process.returncode}: "
                                           f"{self.last_words}")  # fmt: skip
            if self.call("/ready").status == 200:
                return
            if time.monotonic() > end:
                raise ServeError("server", f"expected it to be ready within {timeout_s:.0f} s: {self.last_words}")
            time.sleep(0.05)

    def drain(self) -> None:
        """Asks it to end: it is not ready any more, finishes what is in hand, and ends by itself. Returns at once."""
        if self.alive:
            self.process.send_signal(signal.SIGTERM)

    def stop(self, timeout_s: float = 60.0) -> int:
        """Drains it and returns its exit status; killed if that takes longer than ``timeout_s``."""
        self.drain()
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        if self._folder is not None:
            self._folder.cleanup()
        return code

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.stop()


def _listening(command: list[str], variables: Mapping[str, str]) -> tuple[subprocess.Popen[str], str, deque[str]]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "rx580lab.experiment.server_child", *command],
        stdin=subprocess.PIPE,  # its end is how the server learns that this process is gone
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, **variables},
        process_group=0,  # Ctrl+C, or a notebook's interrupt, is for the cell and not for the server
    )
    log: deque[str] = deque(maxlen=_LOG_LINES)
    listens = threading.Event()
    found: list[str] = []

    def follow(stream: IO[str]) -> None:
        with stream:
            for line in stream:
                log.append(line)
                if not found and (match := _LISTENING.search(line)):
                    found.append(match[1])
                    listens.set()
        listens.set()

    threading.Thread(target=follow, args=(process.stderr,), name="server-log", daemon=True).start()
    listens.wait(_START_S)
    if found:
        return process, found[0], log
    if process.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
    raise ServeError("server", f"expected a server that listens, got: {last_words(list(log)) or 'no word'}")


def _call(url: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float, raw: bool) -> Answer:
    request = urllib.request.Request(url, body, dict(headers))  # noqa: S310 - the server's own address
    try:
        with _DIRECT.open(request, timeout=timeout_s) as answer:
            data = answer.read(_MOST_BYTES)
            return Answer(answer.status, data if raw else _decoded(data), dict(answer.headers))
    except urllib.error.HTTPError as error:
        with error:
            data = error.read(_MOST_BYTES)
            return Answer(error.code, data if raw else _decoded(data), dict(error.headers))
    except OSError as error:
        raise ServeError("server", f"expected an answer of {url}, got: {error}") from error


# A proxy of the environment has no business between a notebook and its own machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
