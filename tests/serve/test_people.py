"""Doors for people: what they answer, and what they refuse in which words."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.serve.running import Running

MARK = "m4rk-of-the-client"


def predict(server: Running, body: Any, model: str = "demo", **options: Any) -> tuple[int, Any, Mapping[str, str]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.send("POST", f"/models/{model}/predict", data, role="user", **options)


def test_rows_in_and_rows_out(demo_server: Running) -> None:
    status, answer, _ = predict(demo_server, {"inputs": {"x": [[-1, 2, 0.5, -4], [1, 2, 3, 4]]}})
    assert status == 200
    outputs = {"y": [[0, 2, 0.5, 0], [1, 2, 3, 4]]}
    assert answer == {"model": "demo", "version": "2", "outputs": outputs}


def test_a_version_may_be_named(demo_server: Running) -> None:
    body = {"inputs": {"x": [[1, 2, 3, 4]]}, "outputs": ["y"], "version": "1", "timeout_ms": 10_000}
    assert predict(demo_server, body)[1]["version"] == "1"
    assert predict(demo_server, body | {"version": "7"})[0] == 404


def test_the_largest_classes_by_name(demo_server: Running) -> None:
    answer = predict(demo_server, {"inputs": {"x": [[1, 4, 2, 4], [0, 0, 0, 1]]}, "classes": 2})[1]
    first, second = answer["classes"]["y"]
    assert first == [
        {"index": 1, "label": "east", "value": 4.0},
        {"index": 3, "label": "west", "value": 4.0},
    ]
    assert [one["label"] for one in second] == ["west", "north"]


REFUSED = {
    "broken JSON": (b'{"inputs": ', 400),
    "nothing": (b"", 400),
    "not a number": (b'{"inputs": {"x": [[NaN, 1, 2, 3]]}}', 400),
    "too deep": (b'{"inputs": {"x": ' + b"[" * 5000 + b"]" * 5000 + b"}}", 400),
    "too many axes": ({"inputs": {"x": json.loads("[" * 40 + "1" + "]" * 40)}}, 422),
    "an axis too few": ({"inputs": {"x": [1, 2, 3, 4]}}, 422),
    "rows of two lengths": ({"inputs": {"x": [[1, 2, 3, 4], [1, 2]]}}, 422),
    "a list among numbers": ({"inputs": {"x": [[1, 2, [3], 4]]}}, 422),
    "another width": ({"inputs": {"x": [[1, 2, 3]]}}, 422),
    "text": ({"inputs": {"x": [["1", "2", "3", MARK]]}}, 422),
    "an object for an input": ({"inputs": {"x": {MARK: 1}}}, 400),
    "an object among numbers": ({"inputs": {"x": [[1, 2, 3, {MARK: 1}]]}}, 400),
    "a name twice": (b'{"inputs": {"x": [[1, 2, 3, 4]], "x": [[1, 2, 3, 4]]}}', 400),
    "null": ({"inputs": {"x": None}}, 422),
    "null among numbers": ({"inputs": {"x": [[1, 2, None, 4]]}}, 422),
    "no input": ({"inputs": {}}, 422),
    "an unknown input": ({"inputs": {"x": [[1, 2, 3, 4]], MARK: [1]}}, 422),
    "another input": ({"inputs": {MARK: [1]}}, 422),
    "an unknown field": ({"inputs": {"x": [[1, 2, 3, 4]]}, MARK: 1}, 422),
    "an unknown output": ({"inputs": {"x": [[1, 2, 3, 4]]}, "outputs": [MARK]}, 422),
    "an output twice": ({"inputs": {"x": [[1, 2, 3, 4]]}, "outputs": ["y", "y"]}, 422),
    "a number as text": ({"inputs": {"x": [[1, 2, 3, 4]]}, "timeout_ms": "5"}, 422),
    "a truth value as a number": ({"inputs": {"x": [[1, 2, 3, 4]]}, "timeout_ms": True}, 422),
    "a number as a version": ({"inputs": {"x": [[1, 2, 3, 4]]}, "version": 1}, 422),
    "a path as a version": ({"inputs": {"x": [[1, 2, 3, 4]]}, "version": "../1"}, 422),
    "a list as the body": ([MARK], 422),
    "a word as the body": (MARK, 422),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_without_an_echo(demo_server: Running, case: str) -> None:
    body, expected = REFUSED[case]
    status, answer, headers = predict(demo_server, body)
    assert (status, answer["status"]) == (expected, expected), answer
    assert set(answer) == {"error", "code", "status", "request_id"}
    assert answer["request_id"] in headers.values()
    assert MARK not in json.dumps(answer)
    assert "expected" in answer["error"]
    assert len(answer["error"]) < 400


def test_a_refusal_says_what_the_model_takes(demo_server: Running) -> None:
    assert "x float32 batchx4" in predict(demo_server, {"inputs": {"z": 1}})[1]["error"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_only_json_is_taken(demo_server: Running, kind: str) -> None:
    status, answer, _ = predict(demo_server, {"inputs": {"x": [[1, 2, 3, 4]]}}, headers={"Content-Type": kind})
    assert status == 415
    assert "application/json" in answer["error"]


@pytest.mark.parametrize(
    "name", ["nobody", "..%2fdemo", "%2e%2e", "demo%00", "a" * 65, "x'%20OR%201=1--", "%7B%7B7*7%7D%7D"]
)
def test_a_model_that_is_not_there(demo_server: Running, name: str) -> None:
    assert predict(demo_server, {"inputs": {"x": 1}}, model=name)[0] == 404
    assert demo_server.get(f"/models/{name}", "readonly")[0] == 404


def test_a_model_tells_what_it_takes_and_makes(demo_server: Running) -> None:
    predict(demo_server, {"inputs": {"x": [[1, 2, 3, 4]] * 3}})
    found = demo_server.get("/models/demo", "readonly")[1]
    tensor = {"datatype": "FP32", "shape": ["batch", 4]}
    assert found["inputs"] == [{"name": "x", **tensor}]
    assert found["outputs"] == [{"name": "y", **tensor}]
    assert found["labels"] == 4
    assert [(one["version"], one["state"]) for one in found["versions"]] == [("1", "READY"), ("2", "READY")]


@pytest.mark.parametrize(
    "path", ["/", "/health", "/ready", "/models", "/models/demo", "/metrics", "/openapi.json", "/docs"]
)
def test_head_answers_as_get_does(demo_server: Running, path: str) -> None:
    heads = []
    for method in ("GET", "HEAD"):
        connection = http.client.HTTPConnection(demo_server.url.removeprefix("http://"))
        connection.request(method, path, headers={"X-API-Key": demo_server.keys["readonly"]})
        answer = connection.getresponse()
        body = answer.read()
        heads.append((answer.status, answer.headers["Content-Type"], {name.lower() for name in answer.headers}))
        assert bool(body) == (method == "GET")
        connection.close()
    assert heads[0] == heads[1]
    assert heads[0][0] == 200
