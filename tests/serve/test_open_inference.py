"""The V2 protocol over a real socket, byte by byte."""

from __future__ import annotations

import gzip
import json
import urllib.request
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from rx580lab.serve.tensors import DATATYPES
from tests.serve.protocol_models import LABELS, NUMBERS
from tests.serve.running import Running

LENGTH = "Inference-Header-Content-Length"
ROWS = np.array([[0.5, -1.0, 2.0, 0.25, 2.0], [5, 4, 3, 2, 1]], np.float32)


def described(x: np.ndarray[Any, Any] = ROWS, **others: Any) -> dict[str, Any]:
    return {"name": "x", "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist(), **others}


def post(
    server: Running, body: Any, path: str = "/v2/models/scores/infer", headers: Mapping[str, str] | None = None
) -> tuple[int, Any, Mapping[str, str]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.send("POST", path, data, "user", {"Content-Type": "application/json", **(headers or {})})


def with_bytes(head: dict[str, Any], *tensors: bytes) -> tuple[bytes, dict[str, str]]:
    text = json.dumps(head).encode()
    return text + b"".join(tensors), {LENGTH: str(len(text))}


def binary_head(x: np.ndarray[Any, Any] = ROWS, pad: str = "") -> dict[str, Any]:
    parameters = {"binary_data_size": x.nbytes, "pad": pad}
    return {"inputs": [{"name": "x", "shape": list(x.shape), "datatype": "FP32", "parameters": parameters}]}


def split(server: Running, body: bytes, headers: Mapping[str, str]) -> tuple[dict[str, Any], bytes]:
    """The JSON and the bytes after it of an answer in both."""
    own = {"X-API-Key": server.keys["user"], **headers}
    request = urllib.request.Request(f"{server.url}/v2/models/scores/infer", body, own, method="POST")  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        raw = answer.read()
        size = int(answer.headers[LENGTH])
    return json.loads(raw[:size]), raw[size:]


def test_json_in_and_out(protocol_server: Running) -> None:
    status, answer, headers = post(protocol_server, {"id": "mine", "inputs": [described()]})
    assert status == 200, answer
    assert answer["model_name"] == "scores"
    assert answer["model_version"] == "1"
    assert answer["id"] == "mine"
    [one] = answer["outputs"]
    assert one == {"name": "y", "datatype": "FP32", "shape": [2, 5], "data": ROWS.ravel().tolist()}
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("pad", ["", "a", "ab", "abc"])
def test_bytes_at_any_offset(protocol_server: Running, pad: str) -> None:
    body, headers = with_bytes(binary_head(pad=pad), ROWS.tobytes())
    status, answer, _ = post(protocol_server, body, headers=headers)
    assert status == 200, answer
    assert answer["outputs"][0]["data"] == ROWS.ravel().tolist()


@pytest.mark.parametrize(
    ("asked", "binary"),
    [
        ({"parameters": {"binary_data_output": True}}, True),
        ({"outputs": [{"name": "y", "parameters": {"binary_data": True}}]}, True),
        ({"outputs": [{"name": "y"}], "parameters": {"binary_data_output": True}}, True),
        ({"outputs": [{"name": "y", "parameters": {"binary_data": False}}]}, False),
        ({"outputs": [], "parameters": None, "id": None}, False),
    ],
)
def test_both_ways_of_asking_for_bytes(protocol_server: Running, asked: dict[str, Any], binary: bool) -> None:
    body = {"inputs": [described()], **asked}
    if not binary:
        assert post(protocol_server, body)[1]["outputs"][0]["data"] == ROWS.ravel().tolist()
        return
    head, raw = split(protocol_server, json.dumps(body).encode(), {"Content-Type": "application/json"})
    assert head["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [2, 5], "parameters": {"binary_data_size": ROWS.nbytes}}
    ]
    assert raw == ROWS.tobytes()


def test_some_outputs_in_the_order_asked_for(protocol_server: Running) -> None:
    a, b = np.arange(4, dtype=np.float32), np.ones(4, np.float32)
    inputs = [{"name": n, "shape": [1, 4], "datatype": "FP32", "data": v.tolist()} for n, v in (("b", b), ("a", a))]
    outputs = [{"name": "difference"}, {"name": "sum"}]
    answer = post(protocol_server, {"inputs": inputs, "outputs": outputs}, "/v2/models/pair/versions/1/infer")[1]
    assert [(one["name"], one["data"]) for one in answer["outputs"]] == [
        ("difference", (a - b).tolist()),
        ("sum", (a + b).tolist()),
    ]
    answer = post(protocol_server, {"inputs": inputs, "outputs": outputs[1:]}, "/v2/models/pair/infer")[1]
    assert [one["name"] for one in answer["outputs"]] == ["sum"]


def test_classes_with_labels(protocol_server: Running) -> None:
    asked = {"inputs": [described()], "outputs": [{"name": "y", "parameters": {"classification": 2}}]}
    [one] = post(protocol_server, asked)[1]["outputs"]
    assert one["datatype"] == "BYTES"
    assert one["shape"] == [2, 2]
    # Of two equal scores the first index comes first.
    assert one["data"] == [
        f"2.000000:2:{LABELS[2]}",
        f"2.000000:4:{LABELS[4]}",
        f"5.000000:0:{LABELS[0]}",
        f"4.000000:1:{LABELS[1]}",
    ]
    asked["outputs"][0]["parameters"] = {"classification": 99, "binary_data": True}
    head, raw = split(protocol_server, json.dumps(asked).encode(), {"Content-Type": "application/json"})
    assert head["outputs"][0]["shape"] == [2, 5]
    first = f"2.000000:2:{LABELS[2]}".encode()
    assert raw.startswith(len(first).to_bytes(4, "little") + first)


def test_nan_is_refused_in_json_and_sent_as_bytes(protocol_server: Running) -> None:
    x = np.array([[np.nan, np.inf, 1, 2, 3]], np.float32)
    head = binary_head(x)
    body, headers = with_bytes(head, x.tobytes())
    status, answer, _ = post(protocol_server, body, headers=headers)
    assert status == 400
    assert "binary_data" in answer["error"]
    head["parameters"] = {"binary_data_output": True}
    _, raw = split(protocol_server, *with_bytes(head, x.tobytes()))
    assert raw == x.tobytes()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw deflate"])
def test_compressed_bodies(protocol_server: Running, encoding: str) -> None:
    body, headers = with_bytes(binary_head(), ROWS.tobytes())
    if encoding == "gzip":
        sent = gzip.compress(body)
    else:
        sent = zlib.compress(body) if encoding == "deflate" else zlib.compress(body, wbits=-15)
    headers["Content-Encoding"] = encoding.removeprefix("raw ")
    status, answer, _ = post(protocol_server, sent, headers=headers)
    assert status == 200, answer
    assert answer["outputs"][0]["data"] == ROWS.ravel().tolist()


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip", "gzip"), ("deflate", "deflate"), ("gzip;q=0, deflate", "deflate"), ("br", None), ("", None)],
)
def test_compressed_answers(protocol_server: Running, accepted: str, encoding: str | None) -> None:
    own = {"X-API-Key": protocol_server.keys["user"], "Accept-Encoding": accepted, "Content-Type": "application/json"}
    body = json.dumps({"inputs": [described(np.tile(ROWS, (20, 1)))]}).encode()
    request = urllib.request.Request(f"{protocol_server.url}/v2/models/scores/infer", body, own)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        raw = answer.read()
        assert answer.headers["Content-Encoding"] == encoding
        assert "Accept-Encoding" in answer.headers["Vary"]
    plain = gzip.decompress(raw) if encoding == "gzip" else zlib.decompress(raw) if encoding else raw
    assert json.loads(plain)["outputs"][0]["shape"] == [40, 5]


Case = tuple[Any, dict[str, str], int, str]  # body, headers, status, a part of the message
GOOD = described()
RAW, RAW_HEADERS = with_bytes(binary_head(), ROWS.tobytes())
SIZE = int(RAW_HEADERS[LENGTH])


def one(**changed: Any) -> dict[str, Any]:
    return {"inputs": [{**GOOD, **changed}]}


def top(**others: Any) -> dict[str, Any]:
    return {"inputs": [GOOD], **others}


def body(data: Any, status: int, message: str, **headers: str) -> Case:
    return data, {name.replace("_", "-"): value for name, value in headers.items()}, status, message


def sized(data: bytes, text: str, status: int, message: str) -> Case:
    return data, {LENGTH: text}, status, message


REFUSALS: dict[str, Case] = {
    "nothing": body(b"", 400, "empty body"),
    "not JSON": body(b"inputs=1", 400, LENGTH),
    "bytes without the header": body(RAW, 400, LENGTH),
    "only JSON of bytes": body(RAW[:SIZE], 400, LENGTH),
    "NaN": body(json.dumps(one(data=[float("nan")] * 10)).encode(), 400, "JSON"),
    "too large a number": body(b'{"inputs": [1e999]}', 400, "JSON"),
    "levels": body(b"[" * 100_000 + b"]" * 100_000, 400, "JSON"),
    "surrogate": body(b'{"id": "\\ud800", "inputs": []}', 400, "JSON"),
    "bad utf-8": body(b'{"id": "\xff", "inputs": []}', 400, "JSON"),
    "a list": body([], 400, "object"),
    "a name twice": body(b'{"id": "a", "id": "b", ' + json.dumps(top()).encode()[1:], 400, "twice"),
    "a name twice, written otherwise": body(
        b'{"id": "a:b", "i\\u0064": ":", ' + json.dumps(top()).encode()[1:], 400, "twice"
    ),
    "a name twice in a tensor": body(
        json.dumps(top()).replace('"datatype"', '"shape": [2, 5], "datatype"').encode(), 400, "twice"
    ),
    "unknown field": body(top(extra=1), 400, "extra"),
    "unknown field of a tensor": body(one(extra=1), 400, "extra"),
    "no inputs": body({}, 400, "inputs"),
    "inputs null": body({"inputs": None}, 400, "inputs"),
    "input twice": body({"inputs": [GOOD, GOOD]}, 400, "twice"),
    "input unknown": body({"inputs": [GOOD, {**GOOD, "name": "z"}]}, 400, "'z'"),
    "input missing": body({"inputs": []}, 400, "none named x"),
    "output unknown": body(top(outputs=[{"name": "z"}]), 400, "'z'"),
    "output twice": body(top(outputs=[{"name": "y"}] * 2), 400, "twice"),
    "many inputs": body({"inputs": [GOOD] * 100}, 413, "64"),
    "other type": body(one(datatype="INT64"), 400, "FP32"),
    "no type": body(one(datatype="FP33"), 400, "FP32"),
    "a list for a type": body(one(datatype=[]), 400, "FP32"),
    "other shape": body(one(shape=[2, 6]), 400, "[?,5]"),
    "other rank": body(one(shape=[10]), 400, "[?,5]"),
    "no rows": body(one(shape=[0, 5], data=[]), 400, "from 1"),
    "rank": body(one(shape=[1] * 100), 413, "at most 8"),
    "negative": body(one(shape=[-1, 5]), 400, "whole"),
    "a fraction": body(one(shape=[2.0, 5]), 400, "whole"),
    "a truth value in the shape": body(one(shape=[True, 5]), 400, "whole"),
    "2^64": body(one(shape=[2**64, 5]), 400, "whole"),
    "wraps to nothing": body(one(shape=[2**32, 2**32]), 413, "lengths up to"),
    "nothing of much": body(one(shape=[0, 10**12]), 413, "lengths up to"),
    "elements": body(one(shape=[2**26, 5]), 413, "elements"),
    "rows": body(one(shape=[1025, 5]), 413, "rows"),
    "few elements": body(one(data=[1.0] * 9), 400, "10 elements"),
    "truth values": body(one(data=[True] * 10), 400, "FP32"),
    "one truth value": body(one(data=[2.0] * 9 + [True]), 400, "true or false"),
    "text": body(one(data=["1"] * 10), 400, "FP32"),
    "null": body(one(data=[None] * 10), 400, "FP32"),
    "out of range": body(one(data=[1e300] * 10), 400, "FP32"),
    "an object for data": body(one(data={"0": 1}), 400, "data"),
    "nested otherwise": body(one(data=[[1.0] * 2] * 5), 400, "nested"),
    "rows that differ": body(one(data=[[1.0] * 5, [1.0] * 4]), 400, "nested"),
    "nested deeper": body(one(data=[[[1.0]] * 5] * 2), 400, "FP32"),
    "neither data nor bytes": body(one(data=None), 400, "neither"),
    "both data and bytes": body(one(parameters={"binary_data_size": 40}), 400, "both"),
    "size as text": body(one(data=None, parameters={"binary_data_size": "40"}), 400, "number"),
    "size below nothing": body(one(data=None, parameters={"binary_data_size": -1}), 400, "number"),
    "parameters nested": body(top(parameters={"a": {}}), 400, "'a'"),
    "shared memory": body(one(parameters={"shared_memory_region": "r"}), 400, "shared memory"),
    "a sequence": body(top(parameters={"sequence_id": 7}), 400, "sequence_id"),
    "timeout": body(top(parameters={"timeout": -1}), 400, "timeout"),
    "priority": body(top(parameters={"priority": "high"}), 400, "priority"),
    "id": body(top(id=7), 400, "id"),
    "long id": body(top(id="a" * 2000), 400, "id"),
    "classes": body(top(outputs=[{"name": "y", "parameters": {"classification": 10**6}}]), 400, "1000"),
    "other model": body(top(model_name="pair"), 400, "model_name"),
    "length below nothing": sized(RAW, "-1", 400, LENGTH),
    "length with a sign": sized(RAW, "+9", 400, LENGTH),
    "length as text": sized(RAW, "12a", 400, LENGTH),
    "length in other digits": sized(RAW, "\u00b2", 400, LENGTH),
    "length beyond the body": sized(RAW, str(len(RAW) + 1), 400, LENGTH),
    "length beyond the cap": sized(RAW + bytes(1 << 21), str(1 << 20 | 1), 413, "1048576"),
    "length too short": sized(RAW, str(SIZE - 1), 400, "JSON"),
    "too few bytes": sized(RAW[:-1], str(SIZE), 400, "39"),
    "too many bytes": sized(RAW + b"x", str(SIZE), 400, "41"),
    "other bytes": sized(RAW.replace(b"[2, 5]", b"[1, 5]"), str(SIZE), 400, "20 bytes"),
    "encoding": body(top(), 415, "gzip", Content_Encoding="br"),
    "encodings": body(top(), 415, "gzip", Content_Encoding="gzip, gzip"),
    "not gzip": body(top(), 400, "gzip", Content_Encoding="gzip"),
    "content type": body(top(), 415, "application/json", Content_Type="text/plain"),
    "a form of another page": body(
        top(), 415, "application/json", Content_Type="application/x-www-form-urlencoded", Origin="http://a.example"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSALS)
def test_refusals(protocol_server: Running, what: str) -> None:
    sent, headers, status, message = REFUSALS[what]
    got, answer, _ = post(protocol_server, sent, headers=headers)
    assert (got, message in answer["error"]) == (status, True), answer
    assert set(answer) == {"error", "code", "status", "request_id"}


def test_what_clients_say_for_nothing_is_taken(protocol_server: Running) -> None:
    inputs = [described(parameters={"tag": "a", "n": 1, "on": True, "none": None})]
    parameters = {"timeout": 10_000_000, "priority": 1, "a": "b"}
    asked = {"id": "", "inputs": inputs, "outputs": None, "parameters": parameters, "model_name": "scores"}
    asked["model_version"] = ""
    assert post(protocol_server, asked)[0] == 200
    assert post(protocol_server, asked, headers={"Content-Type": "application/x-www-form-urlencoded"})[0] == 200


def test_element_types_come_back(protocol_server: Running) -> None:
    x = {kind: np.array([[0, 1, 1], [1, 0, 1]]).astype(DATATYPES[kind]) for kind in NUMBERS}
    tensors = [
        {"name": f"x_{kind}", "shape": [2, 3], "datatype": kind, "data": one.tolist()} for kind, one in x.items()
    ]
    answer = post(protocol_server, {"inputs": tensors}, "/v2/models/echo/infer")[1]
    assert {(one["name"], one["datatype"], str(one["data"])) for one in answer["outputs"]} == {
        (f"y_{kind}", kind, str(one.ravel().tolist())) for kind, one in x.items()
    }


def test_metadata_and_health(protocol_server: Running) -> None:
    get = protocol_server.get
    assert get("/v2/health/live")[:2] == (200, {"live": True})
    assert get("/v2/health/ready")[:2] == (200, {"ready": True})
    told = get("/v2", "readonly")[1]
    assert {"binary_tensor_data", "statistics", "model_repository"} <= set(told["extensions"])
    told = get("/v2/models/scores/versions/1", "readonly")[1]
    assert told == {
        "name": "scores",
        "versions": ["1"],
        "platform": told["platform"],
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 5]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 5]}],
    }
    assert get("/v2/models/scores/ready", "readonly")[1] == {"name": "scores", "version": "1", "ready": True}
    assert get("/v2/models/scores/config", "readonly")[1]["name"] == "scores"
    [one] = get("/v2/models/scores/stats", "readonly")[1]["model_stats"]
    assert (one["name"], one["version"]) == ("scores", "1")
    assert {one["name"] for one in get("/v2/models/stats", "readonly")[1]["model_stats"]} >= {"echo", "scores"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/absent", 404),
        ("GET", "/v2/models/scores/versions/7/ready", 404),
        ("GET", "/v2/models/scores/versions/x", 404),
        ("GET", "/v2/models/..", 404),
        ("GET", "/v2/models/%2e%2e%2fscores", 404),
        ("POST", "/v2/models/absent/infer", 404),
        ("GET", "/v2/models/scores/infer", 405),
        ("GET", "/v2/trace/setting", 404),
        ("POST", "/v2/logging", 404),
        ("GET", "/v2/systemsharedmemory/status", 404),
        ("POST", "/v2/cudasharedmemory/region/a/register", 404),
    ],
)
def test_what_is_not_there_is_refused_as_json(protocol_server: Running, method: str, path: str, status: int) -> None:
    got, answer, _ = protocol_server.send(method, path, b"{}" if method == "POST" else None, "admin",
                                          {"Content-Type": "application/json"})  # fmt: skip
    assert got == status
    assert answer["status"] == status
    assert isinstance(answer["error"], str)
