"""Small models of several families of operators, made here: what mutants are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["SMALL_MODELS", "WEIGHTS_BYTES", "WEIGHTS_FILE", "small_model"]

# Of the file that the model ``beside`` reads its weights from.
WEIGHTS_FILE = "weights.bin"
WEIGHTS_BYTES = 160


class _Net:
    """A graph that grows node by node; each call of ``add`` gives the name of the node's result."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, op: str, *inputs: str, n_outputs: int = 1, domain: str = "", **attributes: Any) -> str:
        name = f"{op.lower()}_{len(self.nodes)}"
        outputs = [name, *(f"{name}_{place}" for place in range(1, n_outputs))]
        self.nodes.append(
            helper.make_node(op, list(inputs), outputs, name=f"n{len(self.nodes)}", domain=domain, **attributes)
        )
        return name

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def whole(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def weights(self, *shape: int) -> str:
        return self.constant(self.rng.normal(size=shape) / 4)

    def model(
        self, inputs: Sequence[onnx.ValueInfoProto], *outputs: onnx.ValueInfoProto, **more: Any
    ) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "small", list(inputs), list(outputs), self.constants)
        imports = [helper.make_opsetid("", more.pop("opset", 17)), *more.pop("imports", ())]
        return helper.make_model(graph, opset_imports=imports, ir_version=8, **more)


def _floats(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _ints(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, shape)


def _convolutions() -> onnx.ModelProto:
    net = _Net(1)
    one = net.add("Conv", "x", net.weights(4, 3, 3, 3), net.weights(4), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    ones = net.constant(np.ones(4))
    one = net.add("BatchNormalization", one, ones, net.weights(4), net.weights(4), ones, epsilon=1e-3)
    one = net.add("Relu", one)
    two = net.add("Conv", one, net.weights(4, 1, 3, 3), group=4, strides=[2, 2], auto_pad="SAME_UPPER")
    two = net.add("Clip", two, net.constant(0.0), net.constant(6.0))
    pooled = net.add("MaxPool", one, kernel_shape=[2, 2], strides=[2, 2])
    one = net.add("GlobalAveragePool", net.add("Add", two, pooled))
    one = net.add("Reshape", one, net.whole(0, -1))
    one = net.add("Gemm", one, net.weights(5, 4), net.weights(5), transB=1, alpha=0.5)
    net.add("Softmax", one, axis=-1)
    return net.model([_floats("x", "N", 3, 8, 8)], _floats(net.nodes[-1].output[0], "N", 5))


def _encoder() -> onnx.ModelProto:
    net = _Net(2)
    one = net.add("Gather", net.weights(16, 8), "ids")
    normed = net.add("LayerNormalization", one, net.weights(8), net.weights(8), axis=-1)
    keys = net.add("Transpose", net.add("MatMul", normed, net.weights(8, 8)), perm=[0, 2, 1])
    scores = net.add("Div", net.add("MatMul", normed, keys), net.constant(2.8))
    masked = net.add("Where", net.add("Equal", "ids", net.whole(0)), net.constant(-1e4), net.constant(0.0))
    masked = net.add("Unsqueeze", masked, net.whole(1))
    mixed = net.add("MatMul", net.add("Softmax", net.add("Add", scores, masked), axis=2), normed)
    half = net.add("Mul", mixed, net.constant(0.5))
    gelu = net.add("Erf", net.add("Mul", mixed, net.constant(0.70710678)))
    one = net.add("Mul", half, net.add("Add", gelu, net.constant(1.0)))
    one = net.add("ReduceMean", one, axes=[1], keepdims=0)
    norm = net.add("ReduceL2", one, axes=[-1], keepdims=1)
    last = net.add("Div", one, net.add("Max", norm, net.constant(1e-6)))
    return net.model([_ints("ids", "N", "T")], _floats(last, "N", 8))


def _shapes() -> onnx.ModelProto:
    net = _Net(3)
    shape = net.add("Shape", "x")
    rows = net.add("Gather", shape, net.whole(0), axis=0)
    columns = net.add("Slice", shape, net.whole(1), net.whole(2))
    zeros = net.add("ConstantOfShape", shape, value=numpy_helper.from_array(np.array([0.5], np.float32)))
    wide = net.add("Expand", net.weights(1, 1), net.add("Concat", rows, columns, axis=0))
    one = net.add("Sub", net.add("Add", "x", zeros), wide)
    padded = net.add("Pad", one, net.whole(0, 1, 0, 1), net.constant(0.0), mode="constant")
    left = net.add("Split", padded, net.whole(2, 4), n_outputs=2, axis=1)
    tiled = net.add("Tile", left, net.whole(1, 3))
    count = net.add("Squeeze", columns, net.whole(0))
    steps = net.add("Range", net.constant(0, np.int64), count, net.constant(1, np.int64))
    steps = net.add("Cast", steps, to=TensorProto.FLOAT)
    first = net.add("Concat", tiled, f"{left}_1", axis=1)
    cut = net.add("Slice", first, net.whole(0), net.whole(4), net.whole(1), net.whole(1))
    net.add("Add", cut, steps)
    return net.model([_floats("x", "R", 4)], _floats(net.nodes[-1].output[0], "R", 4))


def _branches() -> onnx.ModelProto:
    """A condition that follows from shapes, branches that read from around them, and a function of the file's own."""
    net = _Net(4)
    size = net.add("Size", "x")
    large = net.add("Less", net.constant(2, np.int64), size)
    yes = helper.make_graph(
        [helper.make_node("Mul", ["x", "x"], ["yes"], name="inside")], "then", [], [_floats("yes", "N")]
    )
    no = helper.make_graph([helper.make_node("Neg", ["x"], ["no"])], "otherwise", [], [_floats("no", "N")])
    chosen = net.add("If", large, then_branch=yes, else_branch=no)
    doubled = net.add("Doubled", chosen, domain="own", slope=0.25)
    body = [
        helper.make_node("Add", ["v", "v"], ["s"]),
        helper.make_node("LeakyRelu", ["s"], ["w"]),
    ]
    body[1].attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    function = helper.make_function(
        "own", "Doubled", ["v"], ["w"], body, [helper.make_opsetid("", 17)], attributes=["slope"]
    )
    imports = [helper.make_opsetid("own", 1)]
    return net.model([_floats("x", "N")], _floats(doubled, "N"), imports=imports, functions=[function])


def _integers() -> onnx.ModelProto:
    net = _Net(5)
    codes = net.add("DynamicQuantizeLinear", "x", n_outputs=3)
    weights = net.constant(net.rng.integers(-127, 128, (6, 4)), np.int8)
    sums = net.add("MatMulInteger", codes, weights, f"{codes}_2", net.constant(0, np.int8))
    scaled = net.add("Mul", net.add("Cast", sums, to=TensorProto.FLOAT), f"{codes}_1")
    low = net.add("QuantizeLinear", scaled, net.constant(0.1), net.constant(3, np.int8))
    high = net.add("DequantizeLinear", low, net.constant(0.1), net.constant(3, np.int8))
    return net.model([_floats("x", 3, 6)], _floats(high, 3, 4))


def _pictures() -> onnx.ModelProto:
    net = _Net(6)
    one = net.add("ConvTranspose", "x", net.weights(2, 3, 2, 2), net.weights(3), strides=[2, 2])
    one = net.add("HardSigmoid", one, alpha=0.2, beta=0.5)
    one = net.add(
        "Resize", one, "", net.constant([1, 1, 2, 2]), mode="linear", coordinate_transformation_mode="asymmetric"
    )
    one = net.add("AveragePool", one, kernel_shape=[2, 2], pads=[1, 1, 0, 0], count_include_pad=1)
    one = net.add("Sigmoid", net.add("Pow", one, net.constant(2.0)))
    last = net.add("ReduceMax", one, axes=[2, 3], keepdims=0)
    return net.model([_floats("x", 1, 2, 4, 5)], _floats(last, 1, 3))


def _beside() -> onnx.ModelProto:
    """A model whose weights lie in a file beside it, ``weights.bin``, of ``WEIGHTS_BYTES``."""
    net = _Net(7)
    last = net.add("Add", net.add("MatMul", "x", net.weights(4, 8)), net.weights(8))
    model = net.model([_floats("x", "N", 4)], _floats(last, "N", 8))
    offset = 0
    for one in model.graph.initializer:
        size = len(one.raw_data)
        one.ClearField("raw_data")
        one.data_location = TensorProto.EXTERNAL
        for key, value in (("location", WEIGHTS_FILE), ("offset", str(offset)), ("length", str(size))):
            one.external_data.add(key=key, value=value)
        offset += size
    return model


SMALL_MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "convolutions": _convolutions,
    "encoder": _encoder,
    "shapes": _shapes,
    "branches": _branches,
    "integers": _integers,
    "pictures": _pictures,
    "beside": _beside,
}


def small_model(name: str) -> onnx.ModelProto:
    """The model of that name, the same every time. Raises KeyError for another name."""
    return SMALL_MODELS[name]()
