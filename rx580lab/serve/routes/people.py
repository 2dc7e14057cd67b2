"""Doors for people and for monitoring: plain names, plain JSON."""

from __future__ import annotations

import time
from typing import Any

import orjson
from flask import Response, request
from pydantic import BaseModel

from rx580lab.serve.call import current, may_use
from rx580lab.serve.inference import Inference
from rx580lab.serve.pipeline import json_response
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.repository import Served
from rx580lab.serve.roles import Role
from rx580lab.serve.routing import Content, Route
from rx580lab.serve.service import service
from rx580lab.serve.tensors import datatype, from_json

__all__ = ["ROUTES"]


class Health(BaseModel):
    """Whether the process answers."""

    status: str
    uptime_s: float


class Ready(BaseModel):
    """Whether it takes inference."""

    ready: bool
    draining: bool
    reason: str


class ModelSummary(BaseModel):
    """One version of a model."""

    name: str
    version: str
    state: str
    reason: str


class Models(BaseModel):
    """All versions of all models."""

    models: list[ModelSummary]


class Prediction(BaseModel):
    """Outputs by name, nested lists."""

    model: str
    version: str
    outputs: dict[str, Any]


class PredictBody(BaseModel):
    """Inputs by name, nested lists."""

    inputs: dict[str, Any]


def health() -> Response:
    """Never waits for a model."""
    return json_response({"status": "ok", "uptime_s": round(time.time() - service().lifecycle.started, 3)})


def ready() -> Response:
    """503 while a required model is not loaded, and while the server drains."""
    serving = service()
    why = serving.why_not_ready()
    body = {"ready": not why, "draining": serving.lifecycle.draining, "reason": why}
    return json_response(body, 503 if why else 200)


def models() -> Response:
    """Those that the key may use."""
    return json_response({"models": [_summary(one) for one in service().repository.index() if may_use(one.name)]})


def model(model: str) -> Response:
    """The version that answers if none is named."""
    return json_response(_summary(service().repository.find(model)))


def metrics() -> Response:
    """For Prometheus."""
    call = current()
    models = call.principal.models if call else frozenset()
    text, content_type = service().metrics.exposition(request.headers.get("Accept", ""), models)
    return Response(text, content_type=content_type)


def predict(model: str) -> Response:
    """One or more rows in, as many out."""
    served = service().repository.find(model)
    given = orjson.loads(request.get_data())["inputs"]
    if served.model is None:
        raise Refusal(503, model, f"the model is not ready: {served.reason}", retry_after_s=1)
    inputs = {}
    for name, info in served.model.inputs.items():
        import numpy as np

        shape = np.asarray(given[name]).shape
        inputs[name] = from_json(given[name], name, datatype(info.dtype), shape)
    result = served.infer(Inference(inputs))
    return json_response(
        {
            "model": model,
            "version": served.version,
            "outputs": {name: one.tolist() for name, one in result.outputs.items()},
        }
    )


def _summary(one: Served) -> dict[str, str]:
    return {"name": one.name, "version": one.version, "state": one.state, "reason": one.reason}


ROUTES: tuple[Route, ...] = (
    Route("GET", "/health", "health", Role.PUBLIC, "health", health, "Whether the process answers", "people",
          replies={200: Health}),
    Route("GET", "/ready", "ready", Role.PUBLIC, "health", ready, "Whether it takes inference", "people",
          replies={200: Ready, 503: Ready}),
    Route("GET", "/models", "models", Role.READONLY, "models", models, "Models and their states", "people",
          replies={200: Models}),
    Route("GET", "/models/<model:model>", "model", Role.READONLY, "models", model, "One model", "people",
          replies={200: ModelSummary}, failures=(404,)),
    Route("GET", "/metrics", "metrics", Role.READONLY, "metrics", metrics, "Counters for Prometheus", "people",
          replies={200: Content({"text/plain": None, "application/openmetrics-text": None})}),
    Route("POST", "/models/<model:model>/predict", "predict", Role.USER, "infer", predict,
          "Infer, with inputs as nested lists", "people", body=PredictBody, replies={200: Prediction},
          failures=(404, 503, 504), queues=True),
)  # fmt: skip
