"""EfficientNet-lite0 as ONNX, from its PyTorch checkpoint, without torch.

The plain network of the family: no squeeze-and-excitation, ReLU6 for swish, stem and head unscaled (M. Tan, "Higher
accuracy on vision models with EfficientNet-Lite", 2020). Batch norms are folded into the convolutions before them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from rx580lab.models.onnx_builder import OnnxBuilder, folded_batch_norm, tensor_of

__all__ = ["SIZE", "build"]

SIZE = 224
CLASSES = 1000
STEM, HEAD = 32, 1280
EPSILON = 1e-3


@dataclass(frozen=True)
class _Stage:
    """Blocks of one shape: how many, kernel size, stride of the first, expansion, output channels."""

    n_blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


class _Network:
    """Adds convolutions to a graph, and keeps track of how large the picture still is."""

    def __init__(self, state: Mapping[str, NDArray[Any]], where: str) -> None:
        self.state = state
        self.where = where
        self.graph = OnnxBuilder("efficientnet-lite0")
        self.size = SIZE

    def convolution(
        self, value: str, name: str, norm: str, shape: tuple[int, int, int, int], stride: int = 1, group: int = 1
    ) -> str:
        """Convolution with batch norm ``norm``. Padding as TensorFlow's SAME: the odd row and column come last."""
        weight = tensor_of(self.state, f"{name}.weight", self.where, shape)
        gamma, beta, mean, variance = (
            tensor_of(self.state, f"{norm}.{part}", self.where, shape[:1])
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        weight, bias = folded_batch_norm(weight, gamma, beta, mean, variance, EPSILON)
        kernel = shape[2]
        smaller = -(-self.size // stride)
        padding = max((smaller - 1) * stride + kernel - self.size, 0)
        before, after = padding // 2, padding - padding // 2
        self.size = smaller
        inputs = [value, self.graph.constant(f"{name}.weight", weight), self.graph.constant(f"{name}.bias", bias)]
        return self.graph.node(
            "Conv", inputs, name, kernel_shape=[kernel, kernel], strides=[stride, stride],
            pads=[before, before, after, after], group=group, dilations=[1, 1],
        )  # fmt: skip

    def relu6(self, value: str) -> str:
        bounds = [self.graph.constant("zero", 0.0), self.graph.constant("six", 6.0)]
        return self.graph.node("Clip", [value, *bounds], f"{value}.relu6")

    def block(self, value: str, name: str, stage: _Stage, channels: int, stride: int) -> str:
        """Expand, convolve each channel by itself, project; what came in is added where the shapes agree."""
        inner, inside = channels * stage.expansion, value
        if stage.expansion != 1:
            shape = (inner, channels, 1, 1)
            inside = self.relu6(self.convolution(inside, f"{name}._expand_conv", f"{name}._bn0", shape))
        shape = (inner, 1, stage.kernel, stage.kernel)
        depthwise = self.convolution(inside, f"{name}._depthwise_conv", f"{name}._bn1", shape, stride, group=inner)
        shape = (stage.channels, inner, 1, 1)
        projected = self.convolution(self.relu6(depthwise), f"{name}._project_conv", f"{name}._bn2", shape)
        if stride == 1 and channels == stage.channels:
            return self.graph.node("Add", [projected, value], f"{name}.residual")
        return projected


def build(state: Mapping[str, NDArray[Any]], metadata: Mapping[str, str], where: str) -> onnx.ModelProto:
    """The model of a checkpoint's tensors.

    In: ``image`` (batch, 3, 224, 224), float32, RGB, (x - 127) / 128. Out: ``logits`` (batch, 1000), float32.

    Raises:
        ModelError: a tensor is missing or has another shape. ``where`` names the checkpoint.
    """
    network = _Network(state, where)
    graph = network.graph
    value = graph.input("image", np.float32, ["batch", 3, SIZE, SIZE])
    value = network.relu6(network.convolution(value, "_conv_stem", "_bn0", (STEM, 3, 3, 3), stride=2))
    index, channels = 0, STEM
    for stage in STAGES:
        for position in range(stage.n_blocks):
            stride = stage.stride if position == 0 else 1
            value = network.block(value, f"_blocks.{index}", stage, channels, stride)
            index, channels = index + 1, stage.channels
    value = network.relu6(network.convolution(value, "_conv_head", "_bn1", (HEAD, channels, 1, 1)))
    value = graph.node("GlobalAveragePool", [value], "_avg_pooling")
    value = graph.node("Reshape", [value, graph.constant("flat", [0, HEAD], np.int64)], "_flatten")
    weight = graph.constant("_fc.weight", tensor_of(state, "_fc.weight", where, (CLASSES, HEAD)))
    bias = graph.constant("_fc.bias", tensor_of(state, "_fc.bias", where, (CLASSES,)))
    graph.node("Gemm", [value, weight, bias], "logits", transB=1)
    return graph.model(
        {"logits": (np.float32, ["batch", CLASSES])}, doc="EfficientNet-lite0, ImageNet-1k", metadata=metadata
    )
