"""The process of MLServer; runs in its environment."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

import numpy as np

from rx580lab.peers.serving_child import Rows, end_with_parent

__all__ = ["main"]

mlserver: Any = import_module("mlserver")
codecs: Any = import_module("mlserver.codecs")
settings_of: Any = import_module("mlserver.settings")


class Runtime(mlserver.MLModel):  # type: ignore[misc]  # known in that environment only
    """One model."""

    async def load(self) -> bool:
        """Opens the device."""
        found = self.settings.parameters.extra
        self.rows = Rows(found["path"], found["device"])
        return True

    async def predict(self, payload: Any) -> Any:
        """One launch."""
        x = codecs.NumpyCodec.decode_input(payload.inputs[0])
        y = self.rows.run(np.asarray(x, np.float32))
        return mlserver.types.InferenceResponse(
            model_name=self.name, outputs=[codecs.NumpyCodec.encode_output(self.rows.output, y)]
        )


def main(arguments: list[str]) -> None:
    """``MODEL DEVICE HTTP_PORT GRPC_PORT MAX_ROWS``; serves until it is told to stop."""
    end_with_parent()
    path, device, http, grpc, max_rows = arguments
    settings = mlserver.Settings(
        debug=False,
        parallel_workers=0,
        host="127.0.0.1",
        http_port=int(http),
        grpc_port=int(grpc),
        metrics_endpoint=None,
        load_models_at_startup=False,
    )
    batching = {"max_batch_size": int(max_rows), "max_batch_time": 0.001} if int(max_rows) > 1 else {}
    model = mlserver.ModelSettings(
        name="model",
        implementation=Runtime,
        parameters=settings_of.ModelParameters(extra={"path": path, "device": device}),
        **batching,
    )
    asyncio.run(mlserver.MLServer(settings).start([model]))
