"""The calls of ``open-inference-openapi``, a client made from the protocol's own description."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from open_inference.openapi.client import OpenInferenceClient
from open_inference.openapi.core.api_error import ApiError
from open_inference.openapi.errors.not_found_error import NotFoundError
from open_inference.openapi.errors.service_unavailable_error import ServiceUnavailableError
from open_inference.openapi.types.inference_request import InferenceRequest

from tests.serve.running import Running


@pytest.fixture(scope="module")
def client(protocol_server: Running) -> Iterator[OpenInferenceClient]:
    with httpx.Client(headers={"X-API-Key": protocol_server.keys["user"]}, timeout=30) as http:
        yield OpenInferenceClient(base_url=protocol_server.url, httpx_client=http)


def asked(**others: Any) -> InferenceRequest:
    inputs = [{"name": "x", "shape": [1, 5], "datatype": "FP32", "data": [1.5, 2, 3, 4, 5]}]
    return InferenceRequest.parse_obj({"id": "7", "inputs": inputs, **others})


def test_health(client: OpenInferenceClient) -> None:
    client.check_server_liveness()
    client.check_server_readiness()
    client.check_model_readiness("scores")
    client.check_model_version_readiness("scores", "1")


def test_metadata(client: OpenInferenceClient) -> None:
    assert client.read_server_metadata().name == "rx580lab"
    for told in (client.read_model_metadata("scores"), client.read_model_version_metadata("scores", "1")):
        assert told.name == "scores"
        assert told.versions == ["1"]
        assert [(one.datatype, one.shape) for one in told.inputs or ()] == [("FP32", [-1, 5])]


def test_infer(client: OpenInferenceClient) -> None:
    for answer in (
        client.model_infer("scores", request=asked()),
        client.model_version_infer("scores", "1", request=asked(outputs=[{"name": "y", "parameters": {"a": 1}}])),
    ):
        assert answer.id == "7"
        [one] = answer.outputs
        assert json.loads(one.json())["data"] == [1.5, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.read_model_metadata("absent"),
        lambda client: client.check_model_readiness("absent"),
        lambda client: client.model_infer("absent", request=asked()),
        lambda client: client.model_version_infer("scores", "9", request=asked()),
    ],
)
def test_what_is_not_there(client: OpenInferenceClient, call: Callable[[OpenInferenceClient], Any]) -> None:
    with pytest.raises(ApiError) as caught:
        call(client)
    assert caught.value.status_code == 404
    assert "got" in caught.value.body["error"]


def test_named_errors(client: OpenInferenceClient) -> None:
    with pytest.raises(NotFoundError):
        client.check_model_readiness("absent")
    with pytest.raises(ServiceUnavailableError):
        client.check_model_readiness("text")
