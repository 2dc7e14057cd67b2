"""The process of LitServe; runs in its environment."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from rx580lab.peers.serving_child import Rows, end_with_parent

__all__ = ["main"]

litserve: Any = import_module("litserve")


class Api(litserve.LitAPI):  # type: ignore[misc]  # known in that environment only
    """One model. ``path`` and ``where`` travel to the worker, which opens the device."""

    path: str
    where: str

    def setup(self, _device: str) -> None:
        """In the worker."""
        self.rows = Rows(self.path, self.where)

    def decode_request(self, request: dict[str, Any]) -> Any:
        """The rows of one request."""
        return np.asarray(request["input"], np.float32)

    # LitServe would take an annotation for a schema to hold requests against; it reads plain JSON without.
    decode_request.__annotations__.clear()

    def batch(self, inputs: list[Any]) -> Any:
        """Rows of all requests in a row."""
        self.lengths = [len(one) for one in inputs]
        return np.concatenate(inputs)

    def predict(self, x: Any) -> Any:
        """One launch."""
        return self.rows.run(x)

    def unbatch(self, output: Any) -> list[Any]:
        """To each request its rows."""
        return np.split(output, np.cumsum(self.lengths)[:-1])

    def encode_response(self, output: Any) -> dict[str, Any]:
        """As JSON."""
        return {"output": output.tolist()}


def main(arguments: list[str]) -> None:
    """``MODEL DEVICE PORT MAX_ROWS``; serves until it is told to stop."""
    end_with_parent()
    api = Api(max_batch_size=int(arguments[3]), batch_timeout=0.0)
    api.path, api.where = arguments[0], arguments[1]
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(arguments[2]), num_api_servers=1, log_level="warning", generate_client_file=False
    )
