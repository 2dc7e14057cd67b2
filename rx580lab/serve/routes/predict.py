"""The thin door: inputs as nested lists, outputs likewise, one handler behind it and behind the V2 protocol."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from flask import Response, request
from pydantic import Field

from rx580lab.errors import InputError, LimitExceeded
from rx580lab.serve.asked import check_shape
from rx580lab.serve.bodies import compressed
from rx580lab.serve.inference import Inference, Result, Tensor
from rx580lab.serve.pipeline import json_response
from rx580lab.serve.refusal import Refusal, refusal_of
from rx580lab.serve.repository import Served
from rx580lab.serve.roles import Role
from rx580lab.serve.routes.asking import asked
from rx580lab.serve.routing import Content, Route
from rx580lab.serve.schemas import Answer, Asked, Elements, TensorName, Values, VersionNumber
from rx580lab.serve.service import service
from rx580lab.serve.tensors import datatype, from_json, shape_of

__all__ = ["ROUTE", "PredictBody", "Prediction"]


class PredictBody(Asked):
    """An inference: whole inputs by name, batch axis first."""

    inputs: dict[TensorName, Elements] = Field(min_length=1, description="All inputs, by name.")
    outputs: list[TensorName] | None = Field(None, min_length=1, description="Those wanted; all without it.")
    version: VersionNumber | None = Field(None, description="Of the model; the highest that is ready without it.")
    timeout_ms: int | None = Field(None, ge=1, le=86_400_000, description="After which the answer is of no use.")
    classes: int | None = Field(None, ge=1, le=1000, description="Name so many of the largest elements of each row.")


class Class(Answer):
    """One of the largest elements of a row."""

    index: int = Field(description="Along the last axis.")
    label: str | None = Field(description="The class's name, if the model has names.")
    value: float | None = Field(description="The element.")


class Prediction(Answer):
    """Outputs by name, as nested lists. null stands for what JSON has no number for: infinite, or not a number."""

    model: str
    version: str
    outputs: dict[str, Values]
    classes: dict[str, list[list[Class]]] | None = Field(
        None, description="For each row of each output of two axes, its largest elements, largest first."
    )


def predict(model: str) -> Response:
    """One or more rows in, as many out.

    Lists nest once for each axis, and the batch axis is the first. Nothing is converted that would lose something:
    whole numbers may stand for floating ones, but not the other way round.
    """
    body = asked(PredictBody)
    served = service().repository.find(model, body.version)
    if not served.inputs:
        raise Refusal(503, model, f"version {served.version} is not ready: {served.reason}")
    with _unprocessable():
        _check_outputs(served, body.outputs)
        inputs = _tensors(served, body.inputs)
        outputs = tuple(body.outputs) if body.outputs else None
        gone = request.environ.get("waitress.client_disconnected", _here)
        result = served.infer(Inference(inputs, outputs, _deadline(body.timeout_ms), abandoned=gone))
    return compressed(json_response(_answer(served, result, body.classes)))


def _here() -> bool:
    return False


def _tensors(served: Served, given: Mapping[str, Any]) -> dict[str, Tensor]:
    """Inputs as arrays; a refusal that says what the model takes, if there are too few or too many."""
    missing = [name for name in served.inputs if name not in given]
    unknown = len(given.keys() - served.inputs.keys())
    if missing or unknown:
        takes = ", ".join(str(info) for info in served.inputs.values())
        lacks = f"no {', '.join(missing)}" if missing else f"{unknown} more"
        raise Refusal(422, served.name, f"expected inputs {takes}, got {lacks}")
    caps = service().settings.caps
    lengths: dict[str, tuple[int, str]] = {}
    made = {}
    for name, info in served.inputs.items():
        shape = shape_of(given[name], caps.rank)
        if math.prod(shape) > caps.elements:
            raise Refusal(413, "predict", f"expected at most {caps.elements} elements in {name}, got more")
        check_shape(info, shape, lengths, caps.rows)
        made[name] = from_json(given[name], name, datatype(info.dtype), shape)
    return made


def _deadline(timeout_ms: int | None) -> float:
    longest_s = service().settings.waiting.request_s
    return time.monotonic() + (longest_s if timeout_ms is None else min(longest_s, timeout_ms / 1000))


def _check_outputs(served: Served, names: list[str] | None) -> None:
    if names is None:
        return
    if len(set(names)) < len(names) or not served.outputs.keys() >= set(names):
        raise Refusal(422, served.name, f"expected outputs among {', '.join(served.outputs)}, each once, got others")


@contextmanager
def _unprocessable() -> Iterator[None]:
    """What the V2 protocol calls a bad request is well-formed here, but not what the model takes."""
    try:
        yield
    except Refusal as refusal:
        if refusal.status != 400:
            raise
        raise Refusal(422, refusal.where, refusal.message) from refusal
    except (InputError, LimitExceeded) as error:
        raise refusal_of(error, 422) from error


def _answer(served: Served, result: Result, classes: int | None) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "model": served.name,
        "version": result.version or served.version,
        "outputs": {name: one.tolist() if one.ndim == 0 else one for name, one in result.outputs.items()},
    }
    if classes is not None:
        labels = served.labels
        named = {name: one for name, one in result.outputs.items() if one.ndim == 2 and one.dtype.kind in "fiu"}
        answer["classes"] = {name: [_largest(row, classes, labels) for row in one] for name, one in named.items()}
    return answer


def _largest(row: Tensor, n: int, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """The ``n`` largest elements of a row, the first of equals first; not-a-numbers last, as numpy sorts them."""
    order = np.argsort(-row.astype(np.float64), kind="stable")[:n]
    named = labels if len(labels) == len(row) else ()
    return [{"index": int(i), "label": named[i] if named else None, "value": row[i].item()} for i in order]


ROUTE = Route(
    "POST", "/models/<model:model>/predict", "predict", Role.USER, "infer", predict,
    "Infer, with inputs as nested lists", "people",
    body=PredictBody,
    examples={
        "one row": {"inputs": {"x": [[0.5, 1, -2, 3]]}},
        "two rows, one output, half a second at most": {
            "inputs": {"x": [[0, 1, 2, 3], [4, 5, 6, 7]]}, "outputs": ["y"], "timeout_ms": 500, "version": "1",
        },
        "the largest two of each row": {"inputs": {"x": [[1, 4, 2, 3]]}, "classes": 2},
    },
    replies={200: Content({"application/json": Prediction}, "Outputs by name.")},
    queues=True,
)  # fmt: skip
