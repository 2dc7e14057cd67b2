"""Servers at the start line: ours in several settings, and rivals, all serving one file on one device."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from rx580lab.errors import InputError, PeerUnavailable
from rx580lab.experiment.server_process import ServerProcess
from rx580lab.peers import serving_peer
from rx580lab.peers.serving import unavailable as why_unavailable

__all__ = ["CONTESTANTS", "ServingContestant", "family_cpu_s", "lined_up"]

# Counted at each request, and never reached.
_RAISED = 10_000_000
RAISED_LIMITS: Mapping[str, str] = {
    **{f"RX580LAB_SERVE_LIMITS__{role}": str(_RAISED) for role in ("PUBLIC", "READONLY", "USER", "ADMIN")},
    "RX580LAB_SERVE_LIMITS__ROUTES": json.dumps({"infer": _RAISED}),
}


@dataclass(frozen=True)
class ServingContestant:
    """A server that is ready. ``server``: whose protocol it speaks; ``key``: what it asks for, if anything."""

    name: str
    server: str
    label: str
    url: str
    pid: int
    key: str | None = None


_Start = Callable[[ExitStack, Path, str], ServingContestant]


def _ours(name: str, label: str, variables: Mapping[str, str], *, bare: bool = False) -> _Start:
    def start(stack: ExitStack, model: Path, device: str) -> ServingContestant:
        roles = () if bare else ("user",)
        own = ServerProcess.start(model.parents[2], device=device, roles=roles, variables=variables)
        server = stack.enter_context(own)
        server.wait_ready()
        return ServingContestant(name, "rx580lab", label, server.url, server.pid, server.keys.get("user"))

    return start


def _rival(name: str, server: str, label: str, max_rows: int) -> _Start:
    def start(stack: ExitStack, model: Path, device: str) -> ServingContestant:
        peer = serving_peer(server)
        why = why_unavailable(peer)
        if why is not None:
            raise PeerUnavailable(server, why)
        process = stack.enter_context(peer.start(model, device, max_rows=max_rows))
        return ServingContestant(name, server, f"{peer.REQUIREMENT}, {label}", process.url, process.pid)

    return start


# As many threads for both, so that they differ in what they do with requests that wait together.
_WAITING = {"RX580LAB_SERVE_THREADS": "300", "RX580LAB_SERVE_BATCHING__QUEUE": "256", "RX580LAB_SERVE_BARE": "true"}
CONTESTANTS: Mapping[str, _Start] = {
    "bare": _ours("bare", "rx580lab, no authentication, limits, audit", {"RX580LAB_SERVE_BARE": "true"}, bare=True),
    "full": _ours("full", "rx580lab, with a key, limits evaluated, audit", RAISED_LIMITS),
    "litserve": _rival("litserve", "litserve", "up to 32 requests in a batch", 32),
    "litserve-unbatched": _rival("litserve-unbatched", "litserve", "no batching", 1),
    "mlserver": _rival("mlserver", "mlserver", "one process", 1),
    "batched": _ours("batched", "rx580lab, up to 32 rows in a launch",
                     {**_WAITING, "RX580LAB_SERVE_BATCHING__MAX_ROWS": "32"}, bare=True),
    "unbatched": _ours("unbatched", "rx580lab, one request in a launch",
                       {**_WAITING, "RX580LAB_SERVE_BATCHING__MAX_ROWS": "1"}, bare=True),
}  # fmt: skip


@contextmanager
def lined_up(
    names: Sequence[str], model: Path, device: str
) -> Iterator[tuple[list[ServingContestant], dict[str, str]]]:
    """Those that run, and for the others why not; all end with the block. InputError for a name that is none.

    ``model``: ``FOLDER/mlp/1/model.onnx``; FOLDER is what ours serve.
    """
    unknown = [name for name in names if name not in CONTESTANTS]
    if unknown:
        raise InputError("serving", f"expected contestants among {', '.join(CONTESTANTS)}, got {unknown[0]!r}")
    ready: list[ServingContestant] = []
    unavailable: dict[str, str] = {}
    with ExitStack() as stack:
        for name in names:
            try:
                ready.append(CONTESTANTS[name](stack, model, device))
            except PeerUnavailable as error:
                unavailable[name] = error.message
        yield ready, unavailable


def family_cpu_s(pid: int) -> float:
    """Processor time of a process and all that descend from it, user and system."""
    root = psutil.Process(pid)
    total = 0.0
    for one in (root, *root.children(recursive=True)):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total
