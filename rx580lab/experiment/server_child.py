"""``python -m rx580lab.experiment.server_child serve ...``: the command, for as long as who started it lives.

Standard input ends when that process is gone, however it went; then the server drains as after any SIGTERM. A signal at
the parent's death (``PR_SET_PDEATHSIG``) would not do: it comes when the starting *thread* ends, as a panel's does.
"""

from __future__ import annotations

import os
import runpy
import signal
import threading

__all__ = ["main"]


def main() -> None:
    """Runs ``rx580lab`` with this process's arguments."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    runpy.run_module("rx580lab.cli", run_name="__main__")


def _end_with_parent() -> None:
    while os.read(0, 4096):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
