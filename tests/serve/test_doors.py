"""Both doors, over a real socket."""

from __future__ import annotations

import json

import numpy as np

from tests.serve.running import Running


def image(rows: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(0).random((rows, 1, 28, 28), dtype=np.float32)


def test_the_doors_agree(server: Running) -> None:
    x = image(2)
    body = json.dumps({"inputs": {"image": x.tolist()}}).encode()
    status, answer, _ = server.send("POST", "/models/fashion-mnist/predict", body, role="user")
    assert status == 200, answer
    tensor = {"name": "image", "shape": x.shape, "datatype": "FP32", "parameters": {"binary_data_size": x.nbytes}}
    head = json.dumps({"inputs": [tensor]}).encode()
    status, v2, _ = server.send(
        "POST",
        "/v2/models/fashion-mnist/infer",
        head + x.tobytes(),
        role="user",
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
    assert status == 200, v2
    np.testing.assert_allclose(np.ravel(answer["outputs"]["logits"]), v2["outputs"][0]["data"], rtol=1e-6)


def test_without_a_key_nothing_but_health(server: Running) -> None:
    assert server.get("/health")[0] == 200
    assert server.get("/models")[0] == 401
    assert server.send("POST", "/v2/repository/models/fashion-mnist/unload", b"", role="user")[0] == 403
