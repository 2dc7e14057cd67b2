"""A real server for tests: ``rx580lab serve`` as a process on loopback, with keys of every role."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from rx580lab.serve.keys import make_key
from rx580lab.serve.pepper import make_pepper
from rx580lab.serve.roles import Role

_LISTENING = re.compile(r"rx580lab serves on (http://\S+)")


@dataclass
class Running:
    """``keys``: role -> key. ``log``: what it printed on standard error so far."""

    process: subprocess.Popen[str]
    url: str
    keys: Mapping[str, str]
    log: list[str] = field(default_factory=list)

    def get(self, path: str, role: str | None = None, timeout_s: float = 30.0) -> tuple[int, Any, Mapping[str, str]]:
        """Status, JSON (or text), headers."""
        return self.send("GET", path, role=role, timeout_s=timeout_s)

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        role: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> tuple[int, Any, Mapping[str, str]]:
        """One request with the key of ``role``; a body is JSON unless ``headers`` say otherwise."""
        own = {"X-API-Key": self.keys[role]} if role else {}
        if body is not None:
            own["Content-Type"] = "application/json"
        place = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=timeout_s)
        with contextlib.closing(connection):
            # A body that is refused by its length is cut off while it is sent; the answer came before that.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, {**own, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, _decoded(answer.read()), dict(answer.headers)

    def wait_ready(self, timeout_s: float = 120.0) -> None:
        """Returns when ready answers 200."""
        end = time.monotonic() + timeout_s
        while self.get("/ready")[0] != 200:
            assert time.monotonic() < end, "".join(self.log)
            time.sleep(0.05)

    def stop(self, timeout_s: float = 60.0) -> int:
        """SIGTERM, and the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")


def make_keys(folder: Path) -> dict[str, str]:
    """``keys.jsonl`` and ``pepper`` in a folder: role -> key."""
    pepper = make_pepper(folder / "pepper")
    made = {role.label: make_key(pepper, role) for role in Role if role is not Role.PUBLIC}
    (folder / "keys.jsonl").write_text("".join(f"{record.model_dump_json()}\n" for _, record in made.values()))
    (folder / "keys.jsonl").chmod(0o600)
    return {role: key for role, (key, _) in made.items()}


def start(
    models: Path, folder: Path, *options: str, variables: Mapping[str, str] | None = None, fresh_keys: bool = True
) -> Running:
    """A server that listens; ``folder`` gets its keys, or has them. Stop it by ``stop``."""
    keys = make_keys(folder) if fresh_keys else {}
    command = [sys.executable, "-m", "rx580lab.cli", "serve", "--models", str(models), "--keys",
               str(folder / "keys.jsonl"), "--device", "pocl", "--port", "0", *options]  # fmt: skip
    environment = {**os.environ, "RX580LAB_SERVE_PEPPER_FILE": str(folder / "pepper"), **(variables or {})}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    log: list[str] = []
    for line in process.stderr:
        log.append(line)
        if found := _LISTENING.search(line):
            threading.Thread(target=_drain, args=(process.stderr, log), daemon=True).start()
            return Running(process, found[1], keys, log)
    raise AssertionError(f"the server ended with {process.wait()}: {''.join(log)}")


def _drain(stream: IO[str], log: list[str]) -> None:
    with stream:
        log.extend(stream)
