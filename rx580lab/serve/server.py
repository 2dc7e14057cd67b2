"""The process: waitress, tuned to bear slow and many clients, and a drain that loses no request."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import Any

from waitress.server import create_server

from rx580lab.serve.app import create_app
from rx580lab.serve.service import EXTENSION, Service
from rx580lab.serve.settings import Settings

__all__ = ["serve"]


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then drains. ServeError where it cannot start."""
    app = create_app(settings)
    serving: Service = app.extensions[EXTENSION]
    server: Any = create_server(
        app,
        host=settings.host,
        port=settings.port,
        threads=settings.n_threads,
        connection_limit=settings.connections,
        asyncore_use_poll=True,
        channel_timeout=settings.waiting.idle_s,
        cleanup_interval=2,
        max_request_body_size=settings.caps.body_bytes + 1,
        channel_request_lookahead=1,
        ident=None,
    )
    if hasattr(server, "active_channels"):  # a server of several sockets tells none
        serving.metrics.watch_connections(lambda: len(server.active_channels))

    def stop(_number: int, _frame: Any) -> None:
        threading.Thread(target=_drain, args=(server, serving), name="drain").start()

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, stop)
    sys.stderr.write(f"rx580lab serves on http://{server.effective_host}:{server.effective_port}\n")
    server.run()


def _drain(server: Any, serving: Service) -> None:
    serving.lifecycle.drain()
    time.sleep(serving.settings.waiting.notice_s)
    serving.lifecycle.wait_idle(serving.settings.waiting.drain_s)
    server.close()
