"""Our own small classifier: the clothes of Fashion-MNIST, trained by ``rx580lab.models.train_fashion_mnist``.

Small enough to be committed, with a slice of labelled pictures: what quantizing or a kernel costs in accuracy can be
measured anywhere, within seconds and without a download. The data set is H. Xiao, K. Rasul and R. Vollgraf,
"Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms", 2017.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from rx580lab.errors import ModelError
from rx580lab.models.onnx_builder import OnnxBuilder, tensor_of

__all__ = ["DEBIAN_FOLDER", "LABELS", "SLICE", "Labelled", "build", "input_of", "read_set", "read_slice", "top_1"]

LABELS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
SIDE, CLASSES = 28, 10
# Pixels of 0 to 255 become 0 to 1 less the mean of the training pictures.
MEAN = 0.286
# Where Debian's package dataset-fashion-mnist puts it.
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
SLICE = Path(__file__).parent / "data" / "fashion_mnist_slice.npz"


@dataclass(frozen=True)
class Layer:
    """A 3x3 or 1x1 convolution with batch norm and ReLU6. ``depthwise``: each channel by itself."""

    name: str
    n_in: int
    n_out: int
    kernel: int = 1
    stride: int = 1
    depthwise: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of its weight: (output channels, input channels of a group, kernel, kernel)."""
        return (self.n_out, 1 if self.depthwise else self.n_in, self.kernel, self.kernel)


LAYERS = (
    Layer("stem", 1, 24, kernel=3),
    Layer("depth1", 24, 24, kernel=3, stride=2, depthwise=True),
    Layer("point1", 24, 48),
    Layer("depth2", 48, 48, kernel=3, stride=2, depthwise=True),
    Layer("point2", 48, 96),
    Layer("depth3", 96, 96, kernel=3, depthwise=True),
    Layer("point3", 96, 96),
)


@dataclass(frozen=True)
class Labelled:
    """Pictures (n, 28, 28), uint8, and what each shows: (n,), uint8."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def build(weights: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> onnx.ModelProto:
    """The model of ``<layer>.weight``, ``<layer>.bias`` (batch norm folded in), ``linear.weight``, ``linear.bias``.

    In: ``image`` (batch, 1, 28, 28), float32, see ``input_of``. Out: ``logits`` (batch, 10), float32.

    Raises:
        ModelError: a tensor is missing or has another shape.
    """
    graph = OnnxBuilder("fashion-mnist")

    def weight(name: str, *shape: int) -> str:
        return graph.constant(name, tensor_of(weights, name, "fashion-mnist", shape))

    value = graph.input("image", np.float32, ["batch", 1, SIDE, SIDE])
    bounds = [graph.constant("zero", 0.0), graph.constant("six", 6.0)]
    for layer in LAYERS:
        inputs = [value, weight(f"{layer.name}.weight", *layer.shape), weight(f"{layer.name}.bias", layer.n_out)]
        value = graph.node(
            "Conv", inputs, layer.name, kernel_shape=[layer.kernel] * 2, strides=[layer.stride] * 2,
            pads=[layer.kernel // 2] * 4, group=layer.n_in if layer.depthwise else 1, dilations=[1, 1],
        )  # fmt: skip
        value = graph.node("Clip", [value, *bounds], f"{layer.name}.relu6")
    width = LAYERS[-1].n_out
    value = graph.node("GlobalAveragePool", [value], "pool")
    value = graph.node("Reshape", [value, graph.constant("flat", [0, width], np.int64)], "flatten")
    linear = [weight("linear.weight", CLASSES, width), weight("linear.bias", CLASSES)]
    graph.node("Gemm", [value, *linear], "logits", transB=1)
    return graph.model({"logits": (np.float32, ["batch", CLASSES])}, doc="Clothes of Fashion-MNIST", metadata=metadata)


def input_of(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures (n, 28, 28) of 0 to 255 as the model's ``image``: (n, 1, 28, 28), x / 255 - .286."""
    scaled: NDArray[np.float32] = pictures.astype(np.float32) / np.float32(255) - np.float32(MEAN)
    return scaled[:, None]


def top_1(run: Callable[[NDArray[np.float32]], NDArray[Any]], data: Labelled, *, batch: int = 500) -> float:
    """Share of the pictures whose label has the largest logit. ``run``: image (n, 1, 28, 28) -> logits (n, 10)."""
    n_right = 0
    for first in range(0, len(data.labels), batch):
        some = slice(first, first + batch)
        n_right += int((run(input_of(data.pictures[some])).argmax(axis=1) == data.labels[some]).sum())
    return n_right / len(data.labels)


def read_slice() -> Labelled:
    """The first 2,000 test pictures, which come with rx580lab."""
    with np.load(SLICE, allow_pickle=False) as held:
        return Labelled(held["pictures"], held["labels"])


def read_set(name: str, folder: Path = DEBIAN_FOLDER) -> Labelled:
    """A set of the data: "train", 60,000 pictures, or "t10k", 10,000.

    Raises:
        ModelError: it is not there, with what to do; or its files are damaged.
    """
    pictures = _idx(folder / f"{name}-images-idx3-ubyte.gz")
    labels = _idx(folder / f"{name}-labels-idx1-ubyte.gz")
    if pictures.shape != (len(labels), SIDE, SIDE) or labels.ndim != 1:
        got = f"{pictures.shape} and {labels.shape}"
        raise ModelError(str(folder), f"expected (n, {SIDE}, {SIDE}) pictures and (n,) labels, got {got}")
    return Labelled(pictures, labels)


def _idx(path: Path) -> NDArray[np.uint8]:
    """An array of bytes in LeCun's IDX format: two zeros, type 8, number of axes, big-endian lengths, elements."""
    if not path.is_file():
        raise ModelError(str(path), "the file is missing; on Debian: apt-get install dataset-fashion-mnist")
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ModelError(str(path), f"expected a gzip file, got one that cannot be read: {error}") from error
    if data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * data[3]:
        raise ModelError(str(path), f"expected an IDX file of bytes, got one that begins with {data[:4].hex()}")
    shape = struct.unpack_from(f">{data[3]}I", data, 4)
    elements = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
    if elements.size != np.prod(shape, dtype=object):
        raise ModelError(str(path), f"expected elements of shape {shape}, got {elements.size}")
    return elements.reshape(shape)
