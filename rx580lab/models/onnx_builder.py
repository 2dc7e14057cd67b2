"""ONNX models put together node by node, with the nodes' and tensors' names that a reader of the graph would expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

import rx580lab
from rx580lab.errors import ModelError

__all__ = ["OPSET", "OnnxBuilder", "folded_batch_norm", "tensor_of"]

OPSET = 17
# The file format that came with opset 17: older readers take it too.
IR_VERSION = 8

Axis = int | str


class OnnxBuilder:
    """One graph in the making; ``name`` becomes the graph's. A node's output carries the node's name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, dtype: Any, shape: Sequence[Axis]) -> str:
        """A graph input; an axis of unknown size is named by a str."""
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        """An initializer. The name is new, or stands for the same value already."""
        array = np.ascontiguousarray(np.asarray(value, dtype)).reshape(np.shape(value))
        tensor = numpy_helper.from_array(array, name)
        if self._constants.setdefault(name, tensor) != tensor:
            raise ModelError(self.name, f"expected one value for the constant {name!r}, got two")
        return name

    def node(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """A node with one output, which is returned."""
        self._nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def model(
        self, outputs: Mapping[str, tuple[Any, Sequence[Axis]]], *, doc: str, metadata: Mapping[str, str]
    ) -> onnx.ModelProto:
        """The whole model, held to onnx's own checker. ``outputs``: type and shape of each by its name."""
        declared = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))
            for name, (dtype, shape) in outputs.items()
        ]
        graph = helper.make_graph(
            self._nodes, self.name, self._inputs, declared, initializer=list(self._constants.values()), doc_string=doc
        )
        made = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
            producer_name="rx580lab", producer_version=rx580lab.__version__, doc_string=doc,
        )  # fmt: skip
        helper.set_model_props(made, dict(metadata))
        onnx.checker.check_model(made, full_check=True)
        return made


def tensor_of(tensors: Mapping[str, NDArray[Any]], name: str, where: str, shape: Sequence[int] | None = None) -> Any:
    """The tensor ``name`` of a checkpoint, which has the ``shape`` that the architecture asks for.

    Raises:
        ModelError: there is none of that name, or its shape is another one.
    """
    if name not in tensors:
        raise ModelError(where, f"expected a tensor {name!r}, got none of that name")
    array = tensors[name]
    if shape is not None and array.shape != tuple(shape):
        raise ModelError(where, f"expected {name!r} of shape {tuple(shape)}, got {array.shape}")
    return array


def folded_batch_norm(
    weight: NDArray[Any], gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight and bias of a convolution that includes the batch norm after it.

    gamma (conv(x) - mean) / sqrt(variance + epsilon) + beta, in float64, with ``weight`` (output channels, ...).
    """
    scale = np.asarray(gamma, np.float64) / np.sqrt(np.asarray(variance, np.float64) + epsilon)
    folded = np.asarray(weight, np.float64) * scale.reshape(-1, *[1] * (weight.ndim - 1))
    bias = np.asarray(beta, np.float64) - np.asarray(mean, np.float64) * scale
    return folded.astype(np.float32), bias.astype(np.float32)
