"""The answer to an inference in the V2 protocol: JSON, or JSON followed by raw tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from flask import Response

from rx580lab.serve.asked import HEADER_LENGTH, AskedInference, Declared, Wanted
from rx580lab.serve.inference import Tensor
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.tensors import datatype, strings_to_bytes

__all__ = ["answer", "classes"]


def answer(asked: AskedInference, declared: Declared, labels: Sequence[str], outputs: Mapping[str, Tensor]) -> Response:
    """The answer, its outputs in the order in which they were asked for.

    Refusal 400 where JSON is asked for and a number is NaN or infinite, which JSON has no way to write.
    """
    wanted = asked.outputs or tuple(Wanted(name, asked.binary) for name in outputs)
    described: list[dict[str, Any]] = []
    raw: list[Any] = []
    for one in wanted:
        found = outputs[one.name]
        if one.classes:
            described.append(_strings(one, classes(found, one.classes, labels), raw))
            continue
        entry: dict[str, Any] = {"name": one.name, "datatype": datatype(found.dtype), "shape": found.shape}
        if one.binary:
            raw.append(np.ascontiguousarray(found))
            entry["parameters"] = {"binary_data_size": found.nbytes}
        else:
            entry["data"] = _numbers(one.name, found)
        described.append(entry)
    whole: dict[str, Any] = {"model_name": declared.name, "model_version": declared.version}
    if asked.id is not None:
        whole["id"] = asked.id
    whole["outputs"] = described
    text = orjson.dumps(whole, option=orjson.OPT_SERIALIZE_NUMPY)
    if not raw:
        return Response(text, content_type="application/json")
    response = Response(b"".join((text, *raw)), content_type="application/octet-stream")
    response.headers[HEADER_LENGTH] = str(len(text))
    return response


def _numbers(name: str, found: Tensor) -> Tensor:
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise Refusal(
            400, "infer", f"output {name} holds NaN or infinity, which JSON cannot; ask for it as bytes: "
            'parameters {"binary_data": true} of the output',
        )  # fmt: skip
    return np.ascontiguousarray(found).reshape(-1)


def _strings(one: Wanted, found: Tensor, raw: list[Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": one.name, "datatype": "BYTES", "shape": found.shape}
    texts = found.reshape(-1).tolist()
    if one.binary:
        raw.append(strings_to_bytes([text.encode() for text in texts]))
        entry["parameters"] = {"binary_data_size": len(raw[-1])}
    else:
        entry["data"] = texts
    return entry


def classes(scores: Tensor, n: int, labels: Sequence[str] = ()) -> Tensor:
    """Texts "score:index" or "score:index:label" of the ``n`` largest elements of each row, largest first.

    Rows lie along the first axis; an output of one axis or none is one row. Of equal scores the first comes first.
    Source: Triton's classification extension.
    """
    rows = scores.reshape(scores.shape[0], -1) if scores.ndim > 1 else scores.reshape(1, -1)
    n = min(n, rows.shape[1])
    # The order of what is left when the largest are taken one by one: a stable sort of the reversed row, reversed.
    order = rows.shape[1] - 1 - np.argsort(rows[:, ::-1], axis=1, kind="stable")[:, ::-1][:, :n]
    found = np.empty(order.shape, np.object_)
    for row, best in enumerate(order.tolist()):
        for place, index in enumerate(best):
            score = rows[row, index].item()
            text = f"{score:f}" if isinstance(score, float) else f"{int(score)}"
            found[row, place] = f"{text}:{index}:{labels[index]}" if index < len(labels) else f"{text}:{index}"
    return found if scores.ndim > 1 else found.reshape(-1)
