"""Inference over the Open Inference Protocol V2 by hand: JSON header, then raw tensors, with nothing but urllib.

Any client of the protocol does the same (``tritonclient``, KServe's); this one is here so that a notebook needs none.
Source: the protocol's binary tensor data extension: tensors are little-endian and row-major, in the header's order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.errors import ServeError
from rx580lab.experiment.server_process import ServerProcess

__all__ = ["HEADER_LENGTH", "binary_request", "infer", "outputs_of"]

HEADER_LENGTH = "Inference-Header-Content-Length"
_DATATYPES = {
    "BOOL": "?", "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "<i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_NAMES = {np.dtype(text): name for name, text in _DATATYPES.items()}

Tensor = npt.NDArray[Any]


def binary_request(inputs: Mapping[str, Tensor]) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an infer request that asks for all outputs in binary. ServeError for other element types."""
    described, raw = [], []
    for name, one in inputs.items():
        little = one.astype(one.dtype.newbyteorder("<"), copy=False)
        if little.dtype not in _NAMES:
            raise ServeError("server", f"expected numbers or booleans in {name}, got {one.dtype}")
        raw.append(little.tobytes())
        described.append(
            {"name": name, "datatype": _NAMES[little.dtype], "shape": list(one.shape),
             "parameters": {"binary_data_size": len(raw[-1])}}
        )  # fmt: skip
    head = json.dumps({"inputs": described, "parameters": {"binary_data_output": True}}).encode()
    headers = {HEADER_LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
    return head + b"".join(raw), headers


def outputs_of(body: bytes, header_length: int) -> dict[str, Tensor]:
    """Outputs by name from the body of an answer. ServeError where it does not hold what its header says."""
    try:
        head = json.loads(body[:header_length])
        place, found = header_length, {}
        for one in head["outputs"]:
            size, dtype = one["parameters"]["binary_data_size"], np.dtype(_DATATYPES[one["datatype"]])
            found[one["name"]] = np.frombuffer(body[place : place + size], dtype).reshape(one["shape"])
            place += size
    except (KeyError, TypeError, ValueError) as error:
        raise ServeError("server", f"expected an answer with binary outputs, got: {error}") from error
    return found


def infer(server: ServerProcess, model: str, inputs: Mapping[str, Tensor], *, role: str = "user") -> dict[str, Tensor]:
    """One inference with the key of ``role``. ServeError, with the server's words, where it refuses."""
    body, headers = binary_request(inputs)
    answer = server.call(f"/v2/models/{model}/infer", body, role=role, headers=headers, raw=True)
    if answer.status != 200:
        raise ServeError("server", f"expected an answer for {model}, got {answer.status}: {answer.body[:500]!r}")
    return outputs_of(answer.body, int(answer.headers[HEADER_LENGTH]))
