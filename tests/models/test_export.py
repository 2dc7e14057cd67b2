"""Folders of exported models: whole or not there, and replaced in one step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from rx580lab.errors import InputError, ModelError
from rx580lab.formats.safetensors_file import read_safetensors
from rx580lab.formats.torch_checkpoint import read_torch_checkpoint
from rx580lab.models import efficientnet_lite, export, fetch, minilm
from rx580lab.models.onnx_builder import OnnxBuilder, folded_batch_norm
from tests.requirements import require


def test_a_model_that_is_there_is_whole(tmp_path: Path) -> None:
    """Where what belongs to it cannot be written, neither is the model."""
    folder = tmp_path / "fashion-mnist/1"
    (folder / "labels.txt").mkdir(parents=True)
    with pytest.raises(ModelError, match="expected a folder that can be written"):
        export("fashion-mnist", tmp_path)
    assert [path.name for path in folder.iterdir()] == ["labels.txt"]


def test_it_replaces_what_was_there(tmp_path: Path) -> None:
    path = export("fashion-mnist", str(tmp_path), version=7)
    assert path == tmp_path / "fashion-mnist/7/model.onnx"
    whole = path.read_bytes()
    path.write_bytes(b"old")
    held = path.open("rb")  # a server that reads it meanwhile
    export("fashion-mnist", tmp_path, version=7)
    assert (held.read(), path.read_bytes()) == (b"old", whole)
    held.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["labels.txt", "model.onnx"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_versions_count_from_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a version from 1 on, got 0"):
        export("fashion-mnist", tmp_path, version=0)


def test_a_checkpoint_of_another_network_is_refused() -> None:
    require("efficientnet-lite0")
    path = next(iter(fetch("efficientnet-lite0").values()))
    state = read_torch_checkpoint(path)
    name = "_blocks.3._depthwise_conv.weight"
    with pytest.raises(ModelError, match=rf"here\] expected '{name}' of shape \(144, 1, 5, 5\), got \(1,\)"):
        efficientnet_lite.build(state | {name: np.zeros(1)}, {}, "here")
    del state["_fc.bias"]
    with pytest.raises(ModelError, match=r"expected a tensor '_fc.bias', got none of that name"):
        efficientnet_lite.build(state, {}, "here")


def test_the_encoder_has_the_patterns_that_passes_look_for() -> None:
    require("minilm")
    path = next(iter(fetch("minilm").values()))
    model = minilm.build(read_safetensors(path), {"licence": "x"}, "here")
    kinds = [node.op_type for node in model.graph.node]
    counts = {"LayerNormalization": 13, "Erf": 6, "Softmax": 6, "MatMul": 48, "Gather": 1, "Slice": 1}
    assert {kind: kinds.count(kind) for kind in counts} == counts
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "input_ids": ["batch", "tokens"],
        "attention_mask": ["batch", "tokens"],
        "last_hidden_state": ["batch", "tokens", 384],
    }


def test_a_name_stands_for_one_constant() -> None:
    graph = OnnxBuilder("two")
    assert graph.constant("c", 1.0) == graph.constant("c", 1.0)
    with pytest.raises(ModelError, match="expected one value for the constant 'c', got two"):
        graph.constant("c", 2.0)


def test_a_graph_that_is_none_is_not_made() -> None:
    graph = OnnxBuilder("wrong")
    graph.node("Relu", [graph.input("x", np.float32, ["n", 3])], "y")
    with pytest.raises(onnx.shape_inference.InferenceError):
        graph.model({"y": (np.float32, ["n", 4])}, doc="", metadata={})


def test_folding_is_the_norm_after_the_convolution() -> None:
    random = np.random.default_rng(0)
    weight, x = random.normal(size=(4, 3, 1, 1)), random.normal(size=(3,))
    gamma, beta, mean = random.normal(size=(3, 4))
    variance = random.uniform(0.1, 2, 4)
    folded, bias = folded_batch_norm(weight, gamma, beta, mean, variance, 1e-3)
    wanted = gamma * (weight[..., 0, 0] @ x - mean) / np.sqrt(variance + 1e-3) + beta
    np.testing.assert_allclose(folded[..., 0, 0] @ x + bias, wanted, rtol=1e-6)
    assert (folded.dtype.name, bias.dtype.name) == ("float32", "float32")
