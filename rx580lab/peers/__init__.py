"""Rivals that we are compared with: one file each, which says why it is unavailable or how to run it beside us.

A peer is a module with ``unavailable(device)``, ``OPS`` and ``entrant(device, op, inputs, keywords)``; ``peer(name)``
finds it. Rivals that are servers run no ops: ``serving_peer(name)`` finds those.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from rx580lab.errors import InputError
from rx580lab.peers.entrant import NONE, Entrant, Inputs, Keywords
from rx580lab.peers.serving import SERVING, ServingPeer, ServingProcess, serving_peer

if TYPE_CHECKING:
    from rx580lab.device import Device

NAMES = ("openblas", "clblast", "onnxruntime", "tinygrad", "numpy")

__all__ = [
    "NAMES",
    "SERVING",
    "Entrant",
    "Inputs",
    "Peer",
    "ServingPeer",
    "ServingProcess",
    "available",
    "peer",
    "serving_peer",
]


class Peer(Protocol):
    """What each module ``peers/<name>.py`` offers. ``OPS``: the ops that it can run."""

    OPS: tuple[str, ...]

    def unavailable(self, device: Device) -> str | None:
        """Why it cannot run beside ``device``, with the cure; None when it can."""

    def entrant(self, device: Device, op: str, inputs: Inputs, keywords: Keywords = NONE) -> Entrant:
        """It at the start line of a race. PeerUnavailable when it cannot run here, or not that op."""


def peer(name: str) -> Peer:
    """The peer of that name. InputError if there is none."""
    if name not in NAMES:
        raise InputError("peers", f"expected one of {', '.join(NAMES)}, got {name!r}")
    module: Any = import_module(f"rx580lab.peers.{name}")
    found: Peer = module
    return found


def available(device: Device) -> dict[str, str | None]:
    """Each peer's name -> None where it can run beside ``device``, else the reason why not."""
    return {name: peer(name).unavailable(device) for name in NAMES}
