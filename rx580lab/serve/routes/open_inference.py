"""The Open Inference Protocol V2 over HTTP, with its binary tensor extension.

Source: the protocol's required API and Triton's extensions for binary data, repository, statistics and schedule policy.
"""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response, request

import rx580lab
from rx580lab.serve.inference import Inference
from rx580lab.serve.pipeline import json_response
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.roles import Role
from rx580lab.serve.routing import Content, Route
from rx580lab.serve.service import service
from rx580lab.serve.tensors import datatype, from_bytes, from_json

__all__ = ["ROUTES"]

EXTENSIONS = ["binary_tensor_data", "model_repository"]
HEADER_LENGTH = "Inference-Header-Content-Length"


def server_metadata() -> Response:
    """Name, version, and the extensions that are really there."""
    return json_response({"name": "rx580lab", "version": rx580lab.__version__, "extensions": EXTENSIONS})


def live() -> Response:
    """Whether the process answers."""
    return json_response({"live": True})


def ready() -> Response:
    """Whether it takes inference."""
    serving = service()
    good = not serving.lifecycle.draining and serving.repository.ready()
    return json_response({"ready": good}, 200 if good else 503)


def infer(model: str, version: str | None = None) -> Response:
    """JSON, or JSON followed by raw tensors."""
    served = service().repository.find(model, version)
    data = memoryview(request.get_data())
    length = request.headers.get(HEADER_LENGTH)
    head = orjson.loads(data[: int(length)] if length else data)
    place = int(length) if length else len(data)
    inputs = {}
    for one in head["inputs"]:
        size = one.get("parameters", {}).get("binary_data_size")
        shape = tuple(one["shape"])
        if size is None:
            inputs[one["name"]] = from_json(one["data"], one["name"], one["datatype"], shape)
        else:
            inputs[one["name"]] = from_bytes(data[place : place + size], one["name"], one["datatype"], shape)
            place += size
    wanted = head.get("outputs")
    names = tuple(one["name"] for one in wanted) if wanted else None
    result = served.infer(Inference(inputs, names))
    return _answer(head, served.name, served.version, result.outputs)


def _answer(head: dict[str, Any], model: str, version: str, outputs: Any) -> Response:
    by_default = head.get("parameters", {}).get("binary_data_output", False)
    asked = {one["name"]: one.get("parameters", {}).get("binary_data", False) for one in head.get("outputs", [])}
    described, raw = [], []
    for name, one in outputs.items():
        entry = {"name": name, "datatype": datatype(one.dtype), "shape": list(one.shape)}
        if asked.get(name, False) if asked else by_default:
            raw.append(one.tobytes())
            entry["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            entry["data"] = one.ravel().tolist()
        described.append(entry)
    answer = {"model_name": model, "model_version": version, "outputs": described}
    if "id" in head:
        answer["id"] = head["id"]
    text = orjson.dumps(answer)
    if not raw:
        return Response(text, mimetype="application/json")
    response = Response(text + b"".join(raw), mimetype="application/octet-stream")
    response.headers[HEADER_LENGTH] = str(len(text))
    return response


def load(model: str) -> Response:
    """Loads, or loads again."""
    service().repository.load(model)
    served = service().repository.find(model)
    if served.state != "READY":
        raise Refusal(400, model, f"the model did not load: {served.reason}")
    return json_response({})


def unload(model: str) -> Response:
    """Finishes what waits, then gives the memory back."""
    service().repository.unload(model)
    return json_response({})


_INFER = Content({"application/json": None, "application/octet-stream": None})
ROUTES: tuple[Route, ...] = (
    Route("GET", "/v2", "server_metadata", Role.READONLY, "models", server_metadata, "The server", "v2"),
    Route("GET", "/v2/health/live", "live", Role.PUBLIC, "health", live, "Whether the process answers", "v2"),
    Route("GET", "/v2/health/ready", "server_ready", Role.PUBLIC, "health", ready, "Whether it infers", "v2"),
    *(
        Route("POST", f"/v2/models/<model:model>{rule}/infer", f"infer{name}", Role.USER, "infer", infer,
              "Infer, with JSON or binary tensors", "v2", body=_INFER, replies={200: _INFER},
              failures=(404, 503, 504), queues=True)
        for rule, name in (("", ""), ("/versions/<version:version>", "_version"))
    ),
    Route("POST", "/v2/repository/models/<model:model>/load", "load", Role.ADMIN, "load", load, "Load", "repository"),
    Route("POST", "/v2/repository/models/<model:model>/unload", "unload", Role.ADMIN, "unload", unload, "Unload",
          "repository"),
)  # fmt: skip
