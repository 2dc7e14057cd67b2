"""LitServe: FastAPI in front of worker processes, fed by queues.

Batching on, up to 32 requests and without a delay, is how its users run a model on one device; ``max_rows=1`` is
without. One worker, as there is one device; its access log is off.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.peers.serving import Ask, ServingProcess, elements, free_port

__all__ = ["REQUIREMENT", "ask", "output", "start"]

REQUIREMENT = "litserve==0.2.19"


def start(model: Path, device: str, *, max_rows: int = 32) -> ServingProcess:
    """It serves when this returns. PeerUnavailable where it cannot run here."""
    port = free_port()
    arguments = [str(model.resolve()), device, str(port), str(max_rows)]
    return ServingProcess.start(REQUIREMENT, "rx580lab.peers.litserve_child", arguments, port=port, ready="/health")


def ask(x: npt.NDArray[Any]) -> Ask:
    """``{"input": [[...]]}``."""
    return Ask("/predict", f'{{"input":[{",".join(map(elements, x))}]}}'.encode())


def output(body: bytes) -> npt.NDArray[Any]:
    """Of ``{"output": [[...]]}``."""
    return np.asarray(json.loads(body)["output"], np.float32)
