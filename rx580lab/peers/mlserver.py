"""MLServer: the V2 protocol on FastAPI, its own reader and writer of JSON, one process.

``parallel_workers=0``: its worker processes fail beside uvloop 0.22 and later, and a second process would cost more.
Access log, metrics and tracing are off. It has no binary tensors over HTTP.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.peers.serving import Ask, ServingProcess, elements, free_port

__all__ = ["REQUIREMENT", "ask", "output", "start"]

REQUIREMENT = "mlserver==1.7.1"


def start(model: Path, device: str, *, max_rows: int = 1) -> ServingProcess:
    """It serves when this returns; it puts no requests together unless ``max_rows`` says so.

    PeerUnavailable where it cannot run here.
    """
    ports = [free_port() for _ in range(2)]
    arguments = [str(model.resolve()), device, *map(str, ports), str(max_rows)]
    return ServingProcess.start(
        REQUIREMENT, "rx580lab.peers.mlserver_child", arguments, port=ports[0], ready="/v2/health/ready"
    )


def ask(x: npt.NDArray[Any]) -> Ask:
    """V2, with the elements as one flat list."""
    head = f'{{"inputs":[{{"name":"x","shape":{list(x.shape)},"datatype":"FP32","data":'
    return Ask("/v2/models/model/infer", f"{head}{elements(x)}}}]}}".encode())


def output(body: bytes) -> npt.NDArray[Any]:
    """Of the first output."""
    one = json.loads(body)["outputs"][0]
    return np.asarray(one["data"], np.float32).reshape(one["shape"])
