"""What is read from a request, and that lists leave out what a key does not reach."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rx580lab.graph.inputs import TensorInfo
from rx580lab.serve.asked import AskedInference, Declared, Wanted, read_request
from rx580lab.serve.refusal import Refusal
from rx580lab.serve.roles import Role
from rx580lab.serve.settings import Caps
from tests.serve import protocol_models
from tests.serve.application import application

F32 = np.dtype(np.float32)
X = TensorInfo("x", F32, ("n", 2))
DECLARED = Declared("m", "1", {"x": X}, {"y": TensorInfo("y", F32, ("n",)), "z": TensorInfo("z", F32, ("n",))}, rows=4)


def asked(declared: Declared = DECLARED, caps: Caps | None = None, **others: Any) -> AskedInference:
    inputs = [{"name": name, "shape": [1, 2], "datatype": "FP32", "data": [1, 2]} for name in declared.inputs]
    return read_request(json.dumps({"inputs": inputs, **others}).encode(), None, declared, caps or Caps())


def test_what_is_asked() -> None:
    z, y = ({"name": "z", "parameters": {"binary_data": False}}, {"name": "y", "parameters": {"classification": 3}})
    found = asked(id="i", parameters={"timeout": 5, "priority": 2, "binary_data_output": True}, outputs=[z, y])
    assert (found.id, found.timeout_us, found.priority, found.binary) == ("i", 5, 2, True)
    assert found.outputs == (Wanted("z", binary=False), Wanted("y", binary=True, classes=3))
    assert found.inputs["x"].tolist() == [[1.0, 2.0]]
    plain = asked()
    assert (plain.id, plain.timeout_us, plain.priority, plain.binary, plain.outputs) == (None, 0, 0, False, None)


def test_lengths_of_one_symbol_agree() -> None:
    two = Declared("m", "1", {"x": X, "w": TensorInfo("w", F32, (1, "n"))}, DECLARED.outputs, 4)
    with pytest.raises(Refusal, match="length n of w to be 1 as in x, got 2"):
        asked(two)


@pytest.mark.parametrize("caps", [Caps(rank=1), Caps(elements=1), Caps(tensors=1, json_bytes=1024)])
def test_caps_are_the_settings(caps: Caps) -> None:
    two = Declared("m", "1", {"x": X, "w": X}, DECLARED.outputs, 4)
    with pytest.raises(Refusal) as caught:
        asked(two, caps)
    assert caught.value.status == 413


def test_what_is_shown_of_a_request_is_short() -> None:
    for others in (
        {"x" * 10**5: 1},
        {"id": ["x"] * 10**5},
        {"outputs": [{"name": "x" * 500}]},
        {"model_name": "é" * 999},
    ):
        with pytest.raises(Refusal) as caught:
            asked(**others)
        assert len(caught.value.message) < 300
        assert caught.value.message.isascii()


def test_lists_leave_out_what_a_key_does_not_reach(tmp_path: Path) -> None:
    protocol_models.write_all(tmp_path / "models")
    held = {"held": {"role": Role.READONLY, "models": ("pair", "elsewhere")}}
    with application(tmp_path, held) as made:
        for role, names in (("held", {"pair"}), ("readonly", {"echo", "fixed", "pair", "scores", "text"})):
            key = {"X-API-Key": made.keys[role]}
            index = made.client.post("/v2/repository/index", headers=key).get_json()
            assert {one["name"] for one in index} == names
            stats = made.client.get("/v2/models/stats", headers=key).get_json()["model_stats"]
            assert {one["name"] for one in stats} == names
        ready = made.client.post("/v2/repository/index", json={"ready": True}, headers=key)
        assert ready.get_json() == []  # nothing is loaded in this application
        wrong: Any
        for wrong in ({"ready": 1}, {"other": True}, []):
            assert made.client.post("/v2/repository/index", json=wrong, headers=key).status_code == 400
