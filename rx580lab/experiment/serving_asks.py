"""What a benchmark asks a server, and whether the answer is right: requests of ours and of rivals for the same rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rx580lab.errors import InputError
from rx580lab.loadgen import Answer, Request
from rx580lab.peers import SERVING, serving_peer

__all__ = ["PAYLOADS", "RightOutputs", "decoded", "rows_of", "serving_request"]

Rows = npt.NDArray[np.float32]
HEADER_LENGTH = "Inference-Header-Content-Length"
PAYLOADS = ("json-1", "json-64", "binary-1", "binary-64")


def rows_of(payload: str) -> int:
    """Rows in one request: 64 for ``json-64``. InputError for a payload that is none of ``PAYLOADS``."""
    if payload not in PAYLOADS:
        raise InputError("serving", f"expected a payload among {', '.join(PAYLOADS)}, got {payload!r}")
    return int(payload.rpartition("-")[2])


def serving_request(server: str, payload: str, x: Rows, *, model: str = "mlp", key: str | None = None) -> Request:
    """Inference of ``x``, as a server of ours or a rival (``litserve``, ``mlserver``) takes it."""
    if server in SERVING:
        if not payload.startswith("json"):
            raise InputError("serving", f"expected JSON for {server}, which takes nothing else, got {payload}")
        ask = serving_peer(server).ask(x)
        return Request(ask.path, "POST", ask.headers, ask.body)
    own = {"X-API-Key": key} if key else {}
    path = f"/v2/models/{model}/infer"
    if payload.startswith("json"):
        body = serving_peer("mlserver").ask(x).body  # the same protocol
        return Request(path, "POST", {"Content-Type": "application/json", **own}, body)
    tensor = {"name": "x", "shape": x.shape, "datatype": "FP32", "parameters": {"binary_data_size": x.nbytes}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head)), **own}
    return Request(path, "POST", headers, head + x.tobytes())


def decoded(server: str, answer: Answer) -> Rows:
    """The only output of an answer of status 200."""
    if server in SERVING:
        return serving_peer(server).output(answer.body)
    length = answer.headers.get(HEADER_LENGTH.lower())
    if length is None:
        return serving_peer("mlserver").output(answer.body)
    head = json.loads(answer.body[: int(length)])
    return np.frombuffer(answer.body[int(length) :], "<f4").reshape(head["outputs"][0]["shape"])


@dataclass(frozen=True)
class RightOutputs:
    """Looks at answers for a load generator: request ``n`` has to be answered by ``expected[n]``, to a tolerance."""

    server: str
    expected: Sequence[npt.NDArray[np.float64]]
    tolerance: float

    def __call__(self, which: int, answer: Answer) -> str | None:
        """What is wrong; None for a right answer."""
        try:
            got = decoded(self.server, answer)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            return f"an answer that cannot be read: {error}"
        wanted = self.expected[which]
        if got.shape != wanted.shape:
            return f"expected outputs of shape {wanted.shape}, got {got.shape}"
        worst = float(np.abs(got - wanted).max())
        return None if worst <= self.tolerance else f"differs by {worst:.3g} where {self.tolerance:.3g} is allowed"
