"""The Open Inference Protocol V2 over HTTP, with its binary tensor extension.

Source: the protocol's required API and Triton's extensions for binary data, classification, model configuration,
repository and statistics.
"""

from __future__ import annotations

import time
from typing import Any

from flask import Response, request

import rx580lab
from rx580lab.errors import InputError, LimitExceeded
from rx580lab.graph.inputs import TensorInfo
from rx580lab.serve import protocol
from rx580lab.serve.answered import answer
from rx580lab.serve.asked import HEADER_LENGTH, AskedInference, Declared, read_request
from rx580lab.serve.bodies import compressed, read_body
from rx580lab.serve.call import current
from rx580lab.serve.inference import Inference
from rx580lab.serve.pipeline import json_response
from rx580lab.serve.refusal import body_of, refusal_of
from rx580lab.serve.repository import Served
from rx580lab.serve.roles import Role
from rx580lab.serve.routing import Content, Route
from rx580lab.serve.service import service
from rx580lab.serve.tensors import datatype

__all__ = ["ROUTES", "declared", "may_use", "not_ready"]

EXTENSIONS = ["binary_tensor_data", "classification", "model_configuration", "model_repository",
              "model_repository(unload_dependents)", "schedule_policy", "statistics"]  # fmt: skip
PLATFORM = "onnx_rx580lab"


def server_metadata() -> Response:
    """Name, version, and the extensions that are really there."""
    return json_response({"name": "rx580lab", "version": rx580lab.__version__, "extensions": EXTENSIONS})


def live() -> Response:
    """Whether the process answers."""
    return json_response({"live": True})


def ready() -> Response:
    """Whether it takes inference."""
    why = service().why_not_ready()
    return not_ready(why) if why else json_response({"ready": True})


def not_ready(why: str) -> Response:
    """503 that says ``ready: false`` too, for clients that read the body."""
    call = current()
    response = json_response({**body_of(503, why, call.id if call else None), "ready": False}, 503)
    response.headers["Retry-After"] = "1"
    return response


def model_metadata(model: str, version: str | None = None) -> Response:
    """Versions, inputs and outputs."""
    repository = service().repository
    served = repository.find(model, version)
    told = declared(served)
    return json_response(
        {
            "name": served.name,
            "versions": [one.version for one in repository.index() if one.name == served.name],
            "platform": PLATFORM,
            "inputs": [_described(one) for one in told.inputs.values()],
            "outputs": [_described(one) for one in told.outputs.values()],
        }
    )


def _described(info: TensorInfo) -> dict[str, object]:
    shape = [-1] if info.shape is None else [n if isinstance(n, int) else -1 for n in info.shape]
    return {"name": info.name, "datatype": datatype(info.dtype), "shape": shape}


def model_ready(model: str, version: str | None = None) -> Response:
    """Whether this version, or any, takes inference."""
    served = service().repository.find(model, version)
    if served.state != "READY":
        return not_ready(f"version {served.version} of {served.name} is not ready: {served.reason or served.state}")
    return json_response({"name": served.name, "version": served.version, "ready": True})


def model_config(model: str, version: str | None = None) -> Response:
    """The model's configuration."""
    served = service().repository.find(model, version)
    declared(served)
    return json_response(served.config())


def model_stats(model: str, version: str | None = None) -> Response:
    """What one version, or all of a model, did so far."""
    repository = service().repository
    repository.find(model, version)
    found = [one for one in repository.index() if one.name == model and version in (None, one.version)]
    return json_response({"model_stats": [one.statistics() for one in found]})


def all_stats() -> Response:
    """What every model that the key reaches did so far."""
    found = [one for one in service().repository.index() if may_use(one)]
    return json_response({"model_stats": [one.statistics() for one in found]})


def may_use(served: Served) -> bool:
    """Whether the key of this request reaches a model; lists leave the others out."""
    call = current()
    return call is not None and call.principal.may_use(served.name)


def declared(served: Served) -> Declared:
    """What requests to a version are held to, loaded for them where that is on demand. Refusal 503 where it is not."""
    served.prepare()
    rows = service().settings.caps.rows
    return Declared(served.name, served.version, served.inputs, served.outputs, rows)


def infer(model: str, version: str | None = None) -> Response:
    """JSON, or JSON followed by raw tensors."""
    serving = service()
    served = serving.repository.find(model, version)
    told = declared(served)
    caps = serving.settings.caps
    asked = read_request(read_body(caps), request.headers.get(HEADER_LENGTH), told, caps)
    try:
        result = served.infer(_inference(asked, serving.settings.waiting.request_s))
    except (InputError, LimitExceeded) as error:
        raise refusal_of(error, 400) from error
    return compressed(answer(asked, told, served.labels, result.outputs))


def _inference(asked: AskedInference, longest_s: float) -> Inference:
    wait_s = min(asked.timeout_us / 1e6, longest_s) if asked.timeout_us else longest_s
    gone = request.environ.get("waitress.client_disconnected")
    return Inference(
        asked.inputs,
        tuple(one.name for one in asked.outputs) if asked.outputs else None,
        deadline=time.monotonic() + wait_s,
        priority=asked.priority,
        **({"abandoned": gone} if gone else {}),
    )


_INFER = Content(
    {"application/json": protocol.InferenceRequest, "application/octet-stream": None},
    f"JSON; or JSON and then the tensors' bytes, with {HEADER_LENGTH} saying how long the JSON is.",
)
_ANSWER = Content(
    {"application/json": protocol.InferenceAnswer, "application/octet-stream": None},
    "JSON; or JSON and then bytes, for outputs that were asked for so.",
    headers={HEADER_LENGTH: "Bytes of JSON, where tensors follow it."},
)
_BY_VERSION = (("", ""), ("/versions/<version:version>", "_version"))
_M = "/v2/models/<model:model>"
_LENGTH = {HEADER_LENGTH: "Bytes of JSON, where tensors follow it."}
_EXAMPLES: dict[str, dict[str, Any]] = {
    "one row": {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0.5, 1.5, -2.0, 1.0]}]},
    "two rows, nested, by name": {
        "id": "mine",
        "inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP32", "data": [[0, 1, 2, 3], [4, 5, 6, 7]]}],
        "outputs": [{"name": "y"}],
    },
}  # fmt: skip
ROUTES: tuple[Route, ...] = (
    Route("GET", "/v2", "server_metadata", Role.READONLY, "models", server_metadata, "The server", "v2",
          replies={200: protocol.ServerMetadata}),
    Route("GET", "/v2/health/live", "live", Role.PUBLIC, "health", live, "Whether the process answers", "v2",
          replies={200: protocol.Live}),
    Route("GET", "/v2/health/ready", "server_ready", Role.PUBLIC, "health", ready, "Whether it infers", "v2",
          replies={200: protocol.ServerReady, 503: protocol.NotReady}),
    Route("GET", "/v2/models/stats", "all_stats", Role.READONLY, "models", all_stats, "What all models did", "v2",
          replies={200: protocol.Statistics}),
    *(
        route
        for rule, name in _BY_VERSION
        for route in (
            Route("GET", f"{_M}{rule}", f"model_metadata{name}", Role.READONLY, "models", model_metadata,
                  "Inputs and outputs", "v2", replies={200: protocol.ModelMetadata}, failures=(503,)),
            Route("GET", f"{_M}{rule}/ready", f"model_ready{name}", Role.READONLY, "models", model_ready,
                  "Whether it infers", "v2", replies={200: protocol.ModelReady, 503: protocol.NotReady}),
            Route("GET", f"{_M}{rule}/config", f"model_config{name}", Role.READONLY, "models", model_config,
                  "Its configuration", "v2", replies={200: protocol.ModelConfiguration}, failures=(503,)),
            Route("GET", f"{_M}{rule}/stats", f"model_stats{name}", Role.READONLY, "models", model_stats,
                  "What it did", "v2", replies={200: protocol.Statistics}),
            Route("POST", f"{_M}{rule}/infer", f"infer{name}", Role.USER, "infer", infer,
                  "Infer, with JSON or binary tensors", "v2", body=_INFER, headers=_LENGTH, examples=_EXAMPLES,
                  replies={200: _ANSWER}, queues=True),
        )
    ),
)  # fmt: skip
