from __future__ import annotations

import pytest

from rx580lab.serve.refusal import without_paths


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("cannot read /srv/models/net/1/model.onnx: no such file", "cannot read model.onnx: no such file"),
        ("cannot read m/net/1/model.onnx", "cannot read model.onnx"),
        ("it is truncated, damaged or no ONNX file", "it is truncated, damaged or no ONNX file"),
        ("expected FP32 1/2 of them", "expected FP32 1/2 of them"),
    ],
)
def test_a_client_learns_no_path_of_the_server(message: str, told: str) -> None:
    assert without_paths(message) == told
