"""Small models in bad faith, and what is said of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rx580lab as rx
from rx580lab.errors import LabError

__all__ = ["F", "Types", "around", "refusal"]

F: int = TensorProto.FLOAT
Types = Mapping[str, tuple[int, list[Any]]]


def around(*nodes: onnx.NodeProto, inputs: Types | None = None, **constants: Any) -> onnx.ModelProto:
    """A model of those nodes that gives ``y``, of no declared shape."""
    infos = [helper.make_tensor_value_info(name, kind, dims) for name, (kind, dims) in (inputs or {}).items()]
    graph = helper.make_graph(
        list(nodes),
        "g",
        infos,
        [helper.make_tensor_value_info("y", F, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def refusal(folder: Path, made: onnx.ModelProto, device: rx.Device | None = None) -> str:
    """What loading says; with a device, what loading or the first run says. Five seconds are the most it may take."""
    path = folder / "m.onnx"
    path.write_bytes(made.SerializeToString())
    began = time.process_time()
    with pytest.raises(LabError) as caught:
        attempt(path, device)
    assert time.process_time() - began < 5
    assert str(path) in caught.value.where
    return str(caught.value).replace(str(path), "m.onnx")


def attempt(path: Path, device: rx.Device | None) -> None:
    loaded = rx.load(path, device)
    if device is not None:
        inputs = {}
        for name, info in loaded.inputs.items():
            lengths = [n if isinstance(n, int) else 2 for n in info.shape or (2,)]
            inputs[name] = np.zeros(lengths, info.dtype)
        loaded.run(inputs)
