"""The command ``rx580lab``: look at devices, check them, run experiments, draw reports, get models, serve them.

Every error of ours ends with one line on standard error and exit status 1; wrong usage with 2. What a program would
read goes to standard output (``--json``), everything for people goes to standard error.
"""

from __future__ import annotations

import os
import sys

from rx580lab.cli import devices, fit, keys, models, profile, runs, serve
from rx580lab.cli.common import app

__all__ = ["app", "devices", "fit", "keys", "main", "models", "profile", "runs", "serve"]


def main() -> None:
    """Entry point of the installed command."""
    # A closed pipe (`rx580lab devices | head`) ends us quietly, as it does other commands.
    try:
        app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
