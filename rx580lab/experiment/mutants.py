"""Model files with faults by chance, in bytes or in fields of the messages inside; each is made again by its number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import Message

from rx580lab.experiment.small_models import WEIGHTS_BYTES, WEIGHTS_FILE

__all__ = ["PLANTED_FILE", "Mutant", "make_mutant"]

# Lies beside the model's folder; mutants ask for it, and nothing may open it.
PLANTED_FILE = "planted.bin"

Random = np.random.Generator
WHOLE = (0, 1, -1, 2, 3, 7, 64, 1000, 65537, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -(2**31), -(2**63))
REAL = (0.0, -0.0, 1.0, -1.0, 1e-45, 3e38, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    "",
    "x",
    "x" * 3000,
    "..",
    f"../{PLANTED_FILE}",
    "/etc/hostname",
    "a\0b",
    "%s{}",
    "ünï",
    "SAME_LOWER",
    "linear",
)
LOCATIONS = (
    f"../{PLANTED_FILE}",
    f"./../{PLANTED_FILE}",
    f"link/{PLANTED_FILE}",
    "link.bin",
    "..",
    ".",
    "",
    "none",
    WEIGHTS_FILE,
)
OPERATORS = (
    "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "ConstantOfShape", "Conv",
    "ConvInteger", "ConvTranspose", "DequantizeLinear", "Div", "DynamicQuantizeLinear", "Equal", "Erf", "Expand",
    "Gather", "Gemm", "GlobalAveragePool", "HardSigmoid", "Identity", "If", "LayerNormalization", "Loop", "MatMul",
    "MatMulInteger", "Max", "MaxPool", "NoSuchOperator", "Pad", "Pow", "QuantizeLinear", "Range", "ReduceL2",
    "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Resize", "Shape", "Slice", "Softmax", "Split",
    "Squeeze", "Tile", "TopK", "Transpose", "Unsqueeze", "Where",
)  # fmt: skip
OPSETS = (-1, 0, 1, 5, 6, 7, 9, 10, 11, 12, 13, 14, 18, 21, 24, 28, 29, 999, 2**40)


@dataclass(frozen=True)
class Mutant:
    """A damaged file. ``faults``: what was done to it, in order."""

    data: bytes
    faults: tuple[str, ...]


def make_mutant(model: onnx.ModelProto, seed: int, index: int) -> Mutant:
    """The mutant of that number: the same one every time. ``model`` stays as it is."""
    rng = np.random.default_rng((seed, index))
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    faults: list[str] = []
    if index % 6 == 0:
        data = bytearray(changed.SerializeToString())
        for _ in range(int(rng.integers(1, 4))):
            data = _pick(rng, BYTES)(rng, data, faults)
        return Mutant(bytes(data), tuple(faults))
    n_faults = 1 + int(rng.random() < 0.25)
    for _ in range(20):  # some find nothing to change
        if len(faults) < n_faults and _nodes(changed):
            _pick(rng, FIELDS)(rng, changed, faults)
    return Mutant(changed.SerializeToString(), tuple(faults))


def _pick(rng: Random, some: Any) -> Any:
    return some[int(rng.integers(len(some)))]


def _flip(rng: Random, data: bytearray, faults: list[str]) -> bytearray:
    for place in rng.integers(len(data), size=int(rng.integers(1, 9))):
        data[place] ^= 1 << int(rng.integers(8))
    faults.append("bits flipped")
    return data


def _cut(rng: Random, data: bytearray, faults: list[str]) -> bytearray:
    faults.append("cut short")
    return data[: int(rng.integers(1, len(data)))] or data


def _remove(rng: Random, data: bytearray, faults: list[str]) -> bytearray:
    start = int(rng.integers(len(data)))
    faults.append("bytes removed")
    return data[:start] + data[start + int(rng.integers(1, 30)) :] or data


def _repeat(rng: Random, data: bytearray, faults: list[str]) -> bytearray:
    start, stop = sorted(int(place) for place in rng.integers(len(data), size=2))
    faults.append("bytes repeated")
    return data[:stop] + data[start:]


def _overwrite(rng: Random, data: bytearray, faults: list[str]) -> bytearray:
    start = int(rng.integers(len(data)))
    n = int(rng.integers(1, 12))
    data[start : start + n] = _pick(rng, (b"\xff", b"\x00", b"\x80", b"\x7f")) * n
    faults.append("bytes overwritten")
    return data


BYTES = (_flip, _cut, _remove, _repeat, _overwrite)


def _messages(root: Message) -> Iterator[Message]:
    waiting = [root]
    while waiting:
        one = waiting.pop()
        yield one
        for field, value in one.ListFields():
            if field.type == field.TYPE_MESSAGE:
                waiting.extend(value if field.is_repeated else (value,))


def _nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Those of branches and functions as well."""
    return [one for one in _messages(model) if isinstance(one, onnx.NodeProto)]


def _names(model: onnx.ModelProto) -> list[str]:
    return [name for node in _nodes(model) for name in (*node.input, *node.output)] or [""]


def _whole(rng: Random, old: int) -> int:
    """A number near the old one, or one at the ends of its type."""
    return old + int(rng.integers(-2, 3)) if rng.random() < 0.6 else int(_pick(rng, WHOLE))


def _scalar(rng: Random, field: Any, old: Any) -> Any:
    """Another value of the field's type."""
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return _pick(rng, REAL)
    if field.type == field.TYPE_ENUM:
        return _pick(rng, field.enum_type.values).number
    if field.type == field.TYPE_STRING:
        return _pick(rng, TEXTS)
    if field.type == field.TYPE_BYTES:
        return _pick(rng, (b"", old[:-1], old + b"\0", bytes(rng.bytes(len(old))), b"\xff\xfe"))
    value = _whole(rng, int(old))
    small = field.type == field.TYPE_INT32
    low, high = (-(2**31), 2**31 - 1) if small else (0 if field.type == field.TYPE_UINT64 else -(2**63), 2**63 - 1)
    return min(max(value, low), high)


def _field(rng: Random, model: onnx.ModelProto, faults: list[str]) -> None:
    """One field of one message: another value, one element more or less, gone."""
    message = _pick(rng, list(_messages(model)))
    present = message.ListFields()
    if not present:
        return
    field, value = _pick(rng, present)
    faults.append(f"{message.DESCRIPTOR.name}.{field.name} changed")
    if not field.is_repeated:
        if field.type == field.TYPE_MESSAGE or rng.random() < 0.2:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, _scalar(rng, field, value))
        return
    place = int(rng.integers(len(value)))
    if rng.random() < 0.3:
        del value[place]
    elif field.type == field.TYPE_MESSAGE:
        value.add().CopyFrom(value[place])
    elif rng.random() < 0.3:
        value.append(value[place])
    else:
        value[place] = _scalar(rng, field, value[place])


def _operator(rng: Random, model: onnx.ModelProto, faults: list[str]) -> None:
    node = _pick(rng, _nodes(model))
    node.op_type = _pick(rng, OPERATORS)
    faults.append("operator changed")


def _wire(rng: Random, model: onnx.ModelProto, faults: list[str]) -> None:
    """Inputs and outputs of nodes that read or write something else."""
    node = _pick(rng, _nodes(model))
    side = node.input if rng.random() < 0.8 else node.output
    if not side:
        return
    place = int(rng.integers(len(side)))
    kind = int(rng.integers(4))
    if kind == 0:
        other = int(rng.integers(len(side)))
        side[place], side[other] = side[other], side[place]
    elif kind == 1:
        side[place] = _pick(rng, _names(model))
    elif kind == 2:
        side.append(_pick(rng, (*_names(model), "", "nothing")))
    else:
        del side[place]
    faults.append("wires changed")


def _order(rng: Random, model: onnx.ModelProto, faults: list[str]) -> None:
    nodes = list(model.graph.node)
    kind = int(rng.integers(3))
    place = int(rng.integers(len(nodes))) if nodes else 0
    if kind == 0:
        nodes = [nodes[other] for other in rng.permutation(len(nodes))]
    elif kind == 1:
        nodes = nodes[:place] + nodes[place + 1 :]
    else:
        nodes = nodes[:place] + nodes[place : place + 1] + nodes[place:]
    copies = [onnx.NodeProto.FromString(one.SerializeToString()) for one in nodes]
    model.graph.ClearField("node")
    model.graph.node.extend(copies)
    faults.append(("nodes shuffled", "node removed", "node repeated")[kind])


def _attribute(rng: Random, model: onnx.ModelProto, faults: list[str]) -> None:
    """A value, a kind or a name of an attribute; or one more, or one less."""
    nodes = [node for node in _nodes(model) if node.attribute]
    if not nodes:
        return
    node = _pick(rng, nodes)
    place = int(rng.integers(len(node.attribute)))
    one = node.attribute[place]
    kind = int(rng.integers(5))
    if kind == 0:
        del node.attribute[place]
    elif kind == 1:
        one.type = int(_pick(rng, list(onnx.AttributeProto.AttributeType.values())))
    elif kind == 2:
        one.name = _pick(rng, ("axis", "axes", "perm", "pads", "alpha", "value", "to", "mode", "nothing", ""))
    elif kind == 3:
        node.attribute.add(name=one.name, type=onnx.AttributeProto.INT, i=int(_pick(rng, WHOLE)))
    else:
        if one.HasField("i"):
            one.i = min(max(_whole(rng, one.i), -(2**63)), 2**63 - 1)
        if one.HasField("f"):
            one.f = float(_pick(rng, REAL))
        if one.ints:
            list_place = int(rng.integers(len(one.ints)))
            one.ints[list_place] = min(max(_whole(rng, one.ints[list_place]), -(2**63)), 2**63 - 1)
    faults.append("attribute changed")


def _version(rng: Random, model: onnx.ModelProto, faults: list[str]) -> None:
    if not model.opset_import or rng.random() < 0.1:
        model.ClearField("opset_import")
    else:
        _pick(rng, model.opset_import).version = _pick(rng, OPSETS)
    faults.append("operator set changed")


def _type(rng: Random, model: onnx.ModelProto, faults: list[str]) -> None:
    """What the file declares of a value or says of a constant: another dtype, other lengths."""
    some = [one for one in _messages(model) if isinstance(one, onnx.TensorProto | onnx.TypeProto.Tensor)]
    if not some:
        return
    one = _pick(rng, some)
    kind = int(rng.integers(2))
    number = int(_pick(rng, list(onnx.TensorProto.DataType.values())))
    if isinstance(one, onnx.TypeProto.Tensor):
        dims = one.shape.dim
        if kind == 0 or not dims:
            one.elem_type = number
        elif rng.random() < 0.7:
            _pick(rng, dims).dim_value = int(_pick(rng, WHOLE))
        else:
            dims.add(dim_value=int(_pick(rng, WHOLE)))
    elif kind == 0 or not one.dims:
        one.data_type = number
    else:
        place = int(rng.integers(len(one.dims)))
        one.dims[place] = int(_pick(rng, WHOLE)) if rng.random() < 0.7 else one.dims[place] * 2
    faults.append("type changed")


def _outside(rng: Random, model: onnx.ModelProto, faults: list[str]) -> None:
    """A constant whose data lie in another file, most often one that is no business of the model."""
    constants = [one for one in _messages(model) if isinstance(one, onnx.TensorProto)]
    if not constants:
        return
    one = _pick(rng, constants)
    for name in ("raw_data", "float_data", "int32_data", "int64_data", "external_data"):
        one.ClearField(name)
    one.data_location = onnx.TensorProto.EXTERNAL
    one.external_data.add(key="location", value=_pick(rng, LOCATIONS))
    if rng.random() < 0.5:
        one.external_data.add(key="offset", value=str(_pick(rng, (*WHOLE, WEIGHTS_BYTES, "x", ""))))
    if rng.random() < 0.5:
        one.external_data.add(key="length", value=str(_pick(rng, (*WHOLE, WEIGHTS_BYTES, "x", ""))))
    faults.append("data elsewhere")


def _numbers(rng: Random, model: onnx.ModelProto, faults: list[str]) -> None:
    """Elements of a constant of whole numbers: axes, lengths, pads, repeats, indices."""
    some = [one for one in _messages(model) if isinstance(one, onnx.TensorProto) and one.data_type == one.INT64]
    some = [one for one in some if one.raw_data and len(one.raw_data) % 8 == 0]
    if not some:
        return
    one = _pick(rng, some)
    values = np.frombuffer(one.raw_data, "<i8").copy()
    place = int(rng.integers(len(values)))
    values[place] = min(max(_whole(rng, int(values[place])), -(2**63)), 2**63 - 1)
    one.raw_data = values.tobytes()
    faults.append("whole numbers changed")


def _nest(rng: Random, model: onnx.ModelProto, faults: list[str]) -> None:
    """A branch inside a node, a function that calls itself, or a graph within itself."""
    node = _pick(rng, _nodes(model))
    if rng.random() < 0.5 and model.functions:
        function = _pick(rng, model.functions)
        call = function.node.add(op_type=function.name, domain=function.domain, name="again")
        call.input.extend(function.input)
        call.output.append("inner")
        function.opset_import.add(domain=function.domain, version=1)
        faults.append("function calls itself")
        return
    copy = onnx.GraphProto.FromString(model.graph.SerializeToString())
    copy.ClearField("input")
    branches = [one for one in _messages(model) if isinstance(one, onnx.AttributeProto) and one.HasField("g")]
    if branches:
        _pick(rng, branches).g.CopyFrom(copy)
    else:
        node.op_type = "If"
        node.ClearField("attribute")
        for name in ("then_branch", "else_branch"):
            node.attribute.add(name=name, type=onnx.AttributeProto.GRAPH).g.CopyFrom(copy)
    faults.append("graph within itself")


Fault = Callable[[Random, onnx.ModelProto, list[str]], None]
FIELDS: tuple[Fault, ...] = (
    _field, _field, _field, _operator, _operator, _wire, _wire, _order, _attribute, _attribute, _attribute, _version,
    _type, _type, _outside, _numbers, _numbers, _numbers, _numbers, _nest,
)  # fmt: skip
