"""The audit log: who asked for what and how it ended, one JSON line each, never a credential."""

from __future__ import annotations

import logging
import logging.handlers
import queue
from pathlib import Path
from typing import Any

import structlog

__all__ = ["Audit"]


class Audit:
    """Lines are written by a thread of its own, so that a slow disk holds up no request."""

    def __init__(self, path: Path | None) -> None:
        handler = logging.StreamHandler() if path is None else logging.FileHandler(path, encoding="utf-8")
        waiting: queue.Queue[Any] = queue.Queue(10_000)
        self._listener = logging.handlers.QueueListener(waiting, handler)
        self._listener.start()
        logger = logging.Logger("rx580lab.audit", logging.INFO)
        logger.addHandler(logging.handlers.QueueHandler(waiting))
        self._log = structlog.wrap_logger(
            logger,
            processors=[structlog.processors.TimeStamper(fmt="iso"), structlog.processors.JSONRenderer()],
        )

    def event(self, event: str, **fields: Any) -> None:
        """One line. ``event`` is what happened, in one word or two; None fields are left out."""
        self._log.info(event, **{name: value for name, value in fields.items() if value is not None})

    def close(self) -> None:
        """Writes what waits."""
        self._listener.stop()
