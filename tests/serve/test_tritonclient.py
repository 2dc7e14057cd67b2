"""Every call of ``tritonclient.http`` outside shared memory, trace and log settings, against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from rx580lab.serve.tensors import DATATYPES
from tests.serve import protocol_models
from tests.serve.protocol_models import LABELS, NUMBERS
from tests.serve.running import Running, start

ROWS = np.random.default_rng(6).random((8, 5), dtype=np.float32)


@pytest.fixture(scope="module")
def client(protocol_server: Running) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(protocol_server.url.removeprefix("http://"), concurrency=4) as made:
        yield made


@pytest.fixture(scope="module")
def key(protocol_server: Running) -> dict[str, str]:
    return {"X-API-Key": protocol_server.keys["admin"]}


def x(array: np.ndarray[Any, Any] = ROWS, name: str = "x", binary: bool = True) -> triton.InferInput:
    kinds = {dtype: kind for kind, dtype in DATATYPES.items()}
    return triton.InferInput(name, list(array.shape), kinds[array.dtype]).set_data_from_numpy(array, binary)


def refused(status: int, message: str) -> Any:
    """InferenceServerException with our status and text, not a parse error of the client's."""
    return pytest.raises(InferenceServerException, match=rf"^\[{status}\] (?!an exception occurred).*{message}")


def test_health(client: triton.InferenceServerClient, key: dict[str, str]) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("scores", headers=key)
    assert client.is_model_ready("scores", "1", headers=key)
    assert not client.is_model_ready("scores", "9", headers=key)
    assert not client.is_model_ready("text", headers=key)
    assert not client.is_model_ready("scores")  # no key


def test_metadata(client: triton.InferenceServerClient, key: dict[str, str]) -> None:
    assert "binary_tensor_data" in client.get_server_metadata(headers=key)["extensions"]
    told = client.get_model_metadata("echo", headers=key)
    assert {one["datatype"] for one in told["inputs"]} == set(NUMBERS)
    assert client.get_model_metadata("echo", "1", headers=key) == told
    assert client.get_model_config("scores", headers=key)["name"] == "scores"
    assert client.get_model_config("scores", "1", headers=key)["name"] == "scores"


def test_statistics(client: triton.InferenceServerClient, key: dict[str, str]) -> None:
    client.infer("scores", [x()], headers={**key})
    [one] = client.get_inference_statistics("scores", headers=key)["model_stats"]
    assert (one["name"], one["version"]) == ("scores", "1")
    assert client.get_inference_statistics("scores", "1", headers=key)["model_stats"][0]["name"] == "scores"
    everything = client.get_inference_statistics(headers=key)["model_stats"]
    assert {"scores", "echo", "pair"} <= {one["name"] for one in everything}


def test_repository(client: triton.InferenceServerClient, key: dict[str, str]) -> None:
    index = {one["name"]: one for one in client.get_model_repository_index(headers=key)}
    assert index["scores"] == {"name": "scores", "version": "1", "state": "READY", "reason": ""}
    assert "STRING" in index["text"]["reason"]
    client.unload_model("pair", headers=key)
    assert not client.is_model_ready("pair", headers=key)
    client.load_model("pair", headers=key)
    assert client.is_model_ready("pair", headers=key)
    client.unload_model("pair", headers=key, unload_dependents=True)
    client.load_model("pair", headers=key, config='{"max_batch_size": 4}')
    assert client.get_model_config("pair", headers=key)["max_batch_size"] == 4
    client.load_model("pair", headers=key)
    assert client.get_model_config("pair", headers=key)["max_batch_size"] > 4


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
@pytest.mark.parametrize("sent", [None, "gzip", "deflate"])
@pytest.mark.parametrize("got", [None, "gzip", "deflate"])
def test_infer(
    client: triton.InferenceServerClient,
    key: dict[str, str],
    binary_in: bool,
    binary_out: bool | None,
    sent: str | None,
    got: str | None,
) -> None:
    outputs = None if binary_out is None else [triton.InferRequestedOutput("y", binary_data=binary_out)]
    result = client.infer(
        "scores", [x(binary=binary_in)], outputs=outputs, request_id="mine", headers={**key},
        request_compression_algorithm=sent, response_compression_algorithm=got,
    )  # fmt: skip
    np.testing.assert_array_equal(result.as_numpy("y"), ROWS)
    told = result.get_response()
    assert told["id"] == "mine"
    assert result.get_output("y")["shape"] == [8, 5]
    assert ("data" in result.get_output("y")) == (binary_out is False)


@pytest.mark.parametrize("binary", [True, False])
def test_every_element_type(client: triton.InferenceServerClient, key: dict[str, str], binary: bool) -> None:
    given = {kind: np.array([[0, 1, 1], [1, 1, 0]]).astype(DATATYPES[kind]) for kind in NUMBERS}
    inputs = [x(array, f"x_{kind}", binary) for kind, array in given.items()]
    outputs = [triton.InferRequestedOutput(f"y_{kind}", binary_data=binary) for kind in NUMBERS]
    result = client.infer("echo", inputs, outputs=outputs, headers={**key})
    for kind, array in given.items():
        found = result.as_numpy(f"y_{kind}")
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


def test_versions_options_and_several_outputs(client: triton.InferenceServerClient, key: dict[str, str]) -> None:
    a, b = np.arange(8, dtype=np.float32).reshape(2, 4), np.ones((2, 4), np.float32)
    inputs = [x(b, "b", binary=False), x(a, "a")]
    result = client.infer("pair", inputs, model_version="1", priority=1, timeout=5_000_000, parameters={"tag": "a"},
                          headers={**key})  # fmt: skip
    np.testing.assert_array_equal(result.as_numpy("sum"), a + b)
    np.testing.assert_array_equal(result.as_numpy("difference"), a - b)
    only = client.infer("pair", inputs, outputs=[triton.InferRequestedOutput("difference")], headers={**key})
    assert only.as_numpy("sum") is None
    np.testing.assert_array_equal(only.as_numpy("difference"), a - b)


def test_each_version_answers(server: Running) -> None:
    """The highest where none is named; the shared server has two of one model."""
    image = x(np.zeros((2, 1, 28, 28), np.float32), "image")
    key = {"X-API-Key": server.keys["user"]}
    with triton.InferenceServerClient(server.url.removeprefix("http://")) as own:
        for version, answers in (("", "2"), ("1", "1"), ("2", "2")):
            result = own.infer("fashion-mnist", [image], model_version=version, headers={**key})
            assert result.get_response()["model_version"] == answers
            assert result.as_numpy("logits").shape == (2, 10)
        assert own.get_model_metadata("fashion-mnist", headers=key)["versions"] == ["1", "2"]
        assert own.is_model_ready("fashion-mnist", "2", headers=key)
        both = own.get_inference_statistics("fashion-mnist", headers=key)["model_stats"]
        assert [one["version"] for one in both] == ["1", "2"]


def test_a_timeout_that_passes_before_the_launch(client: triton.InferenceServerClient, key: dict[str, str]) -> None:
    with refused(504, "deadline"):
        client.infer("scores", [x()], timeout=1, headers={**key})


def test_files_with_the_load_where_that_is_allowed(tmp_path: Path) -> None:
    folder = protocol_models.write_all(tmp_path / "models")
    content = (folder / "scores" / "1" / "model.onnx").read_bytes()
    running = start(folder, tmp_path, variables={"RX580LAB_SERVE_UPLOADS": "true"})
    try:
        key = {"X-API-Key": running.keys["admin"]}
        with triton.InferenceServerClient(running.url.removeprefix("http://")) as own:
            own.load_model("brought", headers=key, config="{}", files={"file:7/model.onnx": content})
            result = own.infer("brought", [x()], model_version="7", headers={**key})
            np.testing.assert_array_equal(result.as_numpy("y"), ROWS)
            with refused(400, "config"):
                own.load_model("brought", headers=key, files={"file:7/model.onnx": content})
            for path in ("file:../7/model.onnx", "file:/etc/passwd", "file:7/../../x", "file:"):
                with refused(400, ""):
                    own.load_model("other", headers=key, config="{}", files={path: content})
            with refused(404, "other"):
                own.get_model_metadata("other", headers=key)
    finally:
        running.stop()


@pytest.mark.parametrize("binary", [True, False])
def test_class_count(client: triton.InferenceServerClient, key: dict[str, str], binary: bool) -> None:
    outputs = [triton.InferRequestedOutput("y", binary_data=binary, class_count=2)]
    found = client.infer("scores", [x()], outputs=outputs, headers={**key}).as_numpy("y")
    assert found.shape == (8, 2)
    for row, texts in zip(ROWS, found, strict=True):
        for text, index in zip(texts, np.argsort(-row)[:2], strict=True):
            text = text.decode() if isinstance(text, bytes) else text
            assert text == f"{row[index].item():f}:{index}:{LABELS[index]}"


def test_async_infer(client: triton.InferenceServerClient, key: dict[str, str]) -> None:
    waiting = [
        client.async_infer("scores", [x(ROWS + n)], request_id=str(n), headers={**key},
                           request_compression_algorithm="gzip", response_compression_algorithm="deflate")
        for n in range(8)
    ]  # fmt: skip
    for n, one in enumerate(waiting):
        result = one.get_result()
        assert result.get_response()["id"] == str(n)
        np.testing.assert_array_equal(result.as_numpy("y"), ROWS + n)
    lost = client.async_infer("absent", [x()], headers={**key})
    with refused(404, "absent"):
        lost.get_result()


def test_static_bodies(protocol_server: Running) -> None:
    body, size = triton.InferenceServerClient.generate_request_body([x()], request_id="7")
    status, _, headers = protocol_server.send(
        "POST", "/v2/models/scores/infer", body, "user", {"Inference-Header-Content-Length": str(size)}
    )
    assert status == 200
    assert int(headers["Inference-Header-Content-Length"]) > 0


def test_refusals_come_as_our_words(client: triton.InferenceServerClient, key: dict[str, str]) -> None:
    with refused(401, "key"):
        client.infer("scores", [x()])
    with refused(404, "absent"):
        client.infer("absent", [x()], headers={**key})
    with refused(404, "version 3"):
        client.infer("scores", [x()], model_version="3", headers={**key})
    with refused(400, "FP32"):
        client.infer("scores", [x(ROWS.astype(np.float64))], headers={**key})
    with refused(400, "shape"):
        client.infer("scores", [x(ROWS[:, :4].copy())], headers={**key})
    with refused(400, "named b"):
        client.infer("pair", [x(ROWS[:, :4].copy(), "a")], headers={**key})
    with refused(400, "shape"):
        client.infer("fixed", [x(np.ones((3, 3), np.int64))], headers={**key})
    with refused(400, "sequence"):
        client.infer("scores", [x()], sequence_id=3, sequence_start=True, headers={**key})
    with refused(400, "binary_data"):
        client.infer("scores", [x(np.full((1, 5), np.nan, np.float32))],
                     outputs=[triton.InferRequestedOutput("y", binary_data=False)], headers={**key})  # fmt: skip
    with refused(403, "uploads"):
        client.load_model("pair", headers=key, config="{}", files={"file:1/model.onnx": b"x"})
    with refused(400, "JSON"):
        client.load_model("pair", headers=key, config="{")
    with refused(404, "absent"):
        client.load_model("absent", headers=key)
    with refused(404, "absent"):
        client.unload_model("absent", headers=key)
    shared = x()
    shared.set_shared_memory("region", ROWS.nbytes)
    with refused(400, "shared memory"):
        client.infer("scores", [shared], headers={**key})


def test_text_is_refused_clearly(client: triton.InferenceServerClient, key: dict[str, str]) -> None:
    with refused(400, "STRING"):
        client.load_model("text", headers=key)
    words = np.array([b"a", b"bc"], np.object_)
    with refused(503, "STRING"):
        client.infer("text", [x(words, "x_BYTES")], headers={**key})
    with refused(400, "FP32"):
        client.infer("scores", [x(words)], headers={**key})


@pytest.mark.parametrize(
    "call",
    ["get_trace_settings", "get_log_settings", "get_system_shared_memory_status", "get_cuda_shared_memory_status"],
)
def test_what_is_not_done_is_said_as_json(client: triton.InferenceServerClient, key: dict[str, str], call: str) -> None:
    with refused(404, "not found"):
        getattr(client, call)(headers=key)
