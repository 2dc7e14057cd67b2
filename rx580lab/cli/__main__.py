"""``python -m rx580lab.cli``: the command, without its script."""

from __future__ import annotations

from rx580lab.cli import main

main()
