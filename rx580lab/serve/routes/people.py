"""Doors for people and for monitoring: plain names, plain JSON."""

from __future__ import annotations

import time
from typing import Any, Literal

from flask import Response, request
from pydantic import Field

from rx580lab.graph.model import TensorInfo
from rx580lab.serve.call import current, may_use
from rx580lab.serve.pipeline import json_response
from rx580lab.serve.repository import Served, State
from rx580lab.serve.roles import Role
from rx580lab.serve.routes import predict
from rx580lab.serve.routing import Content, Route
from rx580lab.serve.schemas import Answer
from rx580lab.serve.service import service
from rx580lab.serve.tensors import datatype

__all__ = ["ROUTES"]


class Health(Answer):
    """The process answers."""

    status: Literal["ok"]
    uptime_s: float = Field(ge=0)


class Ready(Answer):
    """Whether it takes inference."""

    ready: bool
    draining: bool = Field(description="Whether the server is on its way out.")
    reason: str = Field(description="Why it is not ready; empty where it is.")


class ModelVersion(Answer):
    """One version of a model."""

    name: str
    version: str
    state: State
    reason: str = Field(description="Why it is not ready; empty where it is.")


class Models(Answer):
    """All versions of all models that the key may use."""

    models: list[ModelVersion]


class Tensor(Answer):
    """An input or output."""

    name: str
    datatype: str = Field(description="As the V2 protocol names it: FP32, INT64, ...")
    shape: list[int | str | None] | None = Field(
        description="A length, the name of an open one, or null where unknown."
    )


class Batching(Answer):
    """How requests share a launch."""

    max_rows: int = Field(description="Of one launch; 0 where requests never share one.")


class Statistics(Answer):
    """What came of the requests so far. Means are of those that succeeded; null before there is one."""

    succeeded: int
    failed: int
    rows: int
    launches: int
    queue_ms: float | None = Field(description="Mean wait for the launch.")
    compute_ms: float | None = Field(description="Mean time of the launch.")


class ModelDetail(Answer):
    """One model: what the version that answers takes and makes, and the states of all versions."""

    name: str
    version: str = Field(description="The one that answers where none is named.")
    versions: list[ModelVersion]
    inputs: list[Tensor] = Field(description="None before it was loaded for the first time.")
    outputs: list[Tensor]
    labels: int = Field(description="Names of classes that it has.")
    batching: Batching
    statistics: Statistics


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
    return json_response({"models": [_version(one) for one in service().repository.index() if may_use(one.name)]})


def model(model: str) -> Response:
    """Its versions, and what the one that answers takes and makes."""
    repository = service().repository
    served = repository.find(model)
    return json_response(
        {
            "name": model,
            "version": served.version,
            "versions": [_version(one) for one in repository.index() if one.name == model],
            "inputs": [_tensor(info) for info in served.inputs.values()],
            "outputs": [_tensor(info) for info in served.outputs.values()],
            "labels": len(served.labels),
            "batching": {"max_rows": served.max_rows},
            "statistics": _statistics(served.statistics()),
        }
    )


def metrics() -> Response:
    """For Prometheus."""
    call = current()
    models = call.principal.models if call else frozenset()
    text, content_type = service().metrics.exposition(request.headers.get("Accept", ""), models)
    return Response(text, content_type=content_type)


def _version(one: Served) -> dict[str, str]:
    return {"name": one.name, "version": one.version, "state": one.state, "reason": one.reason}


def _tensor(info: TensorInfo) -> dict[str, Any]:
    shape = None if info.shape is None else list(info.shape)
    return {"name": info.name, "datatype": datatype(info.dtype), "shape": shape}


def _statistics(found: dict[str, Any]) -> dict[str, Any]:
    """From the V2 protocol's statistics of one version."""
    stats = found.get("inference_stats", {})

    def mean_ms(name: str) -> float | None:
        one = stats.get(name, {})
        return round(one["ns"] / one["count"] / 1e6, 6) if one.get("count") else None

    return {
        "succeeded": stats.get("success", {}).get("count", 0),
        "failed": stats.get("fail", {}).get("count", 0),
        "rows": found.get("inference_count", 0),
        "launches": found.get("execution_count", 0),
        "queue_ms": mean_ms("queue"),
        "compute_ms": mean_ms("compute_infer"),
    }


ROUTES: tuple[Route, ...] = (
    Route("GET", "/health", "health", Role.PUBLIC, "health", health, "Whether the process answers", "people",
          replies={200: Health}),
    Route("GET", "/ready", "ready", Role.PUBLIC, "health", ready, "Whether it takes inference", "people",
          replies={200: Ready, 503: Ready}),
    Route("GET", "/models", "models", Role.READONLY, "models", models, "Models and their states", "people",
          replies={200: Models}),
    Route("GET", "/models/<model:model>", "model", Role.READONLY, "models", model, "One model", "people",
          replies={200: ModelDetail}),
    Route("GET", "/metrics", "metrics", Role.READONLY, "metrics", metrics, "Counters for Prometheus", "people",
          replies={200: Content({"text/plain": None, "application/openmetrics-text": None}, "As Accept asks.")}),
    predict.ROUTE,
)  # fmt: skip
