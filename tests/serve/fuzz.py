"""Schemathesis over the server's own document, as each role.

``python -m tests.serve.fuzz 180`` gives each role so many seconds on a server of its own; the test gives it few cases.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.serve.conftest import UNLIMITED
from tests.serve.demo import write_demo
from tests.serve.running import Running, start

# The admin last: what it unloads stays unloaded.
ROLES = ("anonymous", "readonly", "user", "admin")
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


@contextmanager
def fuzzed_server(folder: Path) -> Iterator[Running]:
    """A server that may be changed: of the demo model alone, in throw-away folders."""
    for name in ("models", "keys"):
        (folder / name).mkdir()
    write_demo(folder / "models")
    running = start(folder / "models", folder / "keys", variables=UNLIMITED)
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


def fuzz(server: Running, role: str, *options: str) -> tuple[int, str]:
    """Exit status and what it says; 0 only if every check of every case held."""
    key = [] if role == "anonymous" else ["-H", f"X-API-Key: {server.keys[role]}"]
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run",
               f"{server.url}/openapi.json", *key, "--no-color", "--continue-on-failure", *options]  # fmt: skip
    # It leaves what it remembers in the folder where it runs.
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    return done.returncode, done.stdout + done.stderr


def cases(said: str) -> int:
    """How many requests it made up."""
    found = re.search(r"(\d+) generated", said)
    return int(found[1]) if found else 0


def faults(server: Running) -> list[str]:
    """What a server that is never at fault does not count: answers of 500 by route."""
    text = server.get("/metrics", "readonly")[1]
    return [line for line in text.splitlines() if line.startswith("http_requests_total{") and 'code="500"' in line]


def main(seconds: str) -> int:
    """The long way, by hand."""
    worst = 0
    with tempfile.TemporaryDirectory() as folder, fuzzed_server(Path(folder)) as server:
        for role in ROLES:
            code, said = fuzz(server, role, "--max-time", seconds, "--generation-database", "none")
            sys.stdout.write(f"{said}\n{role}: {cases(said)} cases, exit status {code}\n")
            worst = max(worst, code)
        sys.stdout.write(f"answers of 500: {faults(server)}\n")
        return max(worst, len(faults(server)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
