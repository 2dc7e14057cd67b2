"""Small ONNX models to try the protocol with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from rx580lab.serve.tensors import DATATYPES

LABELS = ("ant", "bee", "cat: a pet", "dog", "elk")
NUMBERS = tuple(kind for kind in DATATYPES if kind != "BYTES")


Ends = dict[str, list[onnx.ValueInfoProto]]


def write(folder: Path, name: str, nodes: Sequence[onnx.NodeProto], ends: Ends) -> Path:
    """``folder/name/1/model.onnx``."""
    graph = helper.make_graph(list(nodes), name, ends["inputs"], ends["outputs"])
    path = folder / name / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def identities(kinds: Mapping[str, int], shape: Sequence[str | int]) -> tuple[list[onnx.NodeProto], Ends]:
    """An input x_KIND and an output y_KIND for each element type."""
    nodes = [helper.make_node("Identity", [f"x_{kind}"], [f"y_{kind}"], name=f"y_{kind}") for kind in kinds]
    ends = {
        side: [helper.make_tensor_value_info(f"{letter}_{kind}", code, shape) for kind, code in kinds.items()]
        for side, letter in (("inputs", "x"), ("outputs", "y"))
    }
    return nodes, ends


def write_all(folder: Path) -> Path:
    """The folder, with five models of one version each.

    ``echo``: each element type [n, 3] to itself. ``pair``: a + b and a - b, float32 [n, 4]. ``scores``: x to y, float32
    [n, 5], with labels. ``fixed``: x to y, int64 [2, 3]. ``text``: of strings, which no graph here takes.
    """
    codes = {kind: helper.np_dtype_to_tensor_dtype(np.dtype(DATATYPES[kind])) for kind in NUMBERS}
    write(folder, "echo", *identities(codes, ["n", 3]))
    write(folder, "text", *identities({"BYTES": TensorProto.STRING}, ["n"]))
    one = TensorProto.FLOAT
    rows = [helper.make_tensor_value_info(name, one, ["n", 4]) for name in ("a", "b", "sum", "difference")]
    both = [
        helper.make_node("Add", ["a", "b"], ["sum"], name="s"),
        helper.make_node("Sub", ["a", "b"], ["difference"], name="d"),
    ]
    write(folder, "pair", both, {"inputs": rows[:2], "outputs": rows[2:]})
    others: dict[str, tuple[int, list[str | int]]] = {"scores": (one, ["n", 5]), "fixed": (TensorProto.INT64, [2, 3])}
    for name, (code, shape) in others.items():
        x, y = (helper.make_tensor_value_info(end, code, shape) for end in ("x", "y"))
        node = helper.make_node("Identity", ["x"], ["y"], name="y")
        write(folder, name, [node], {"inputs": [x], "outputs": [y]})
    (folder / "scores" / "1" / "labels.txt").write_text("\n".join(LABELS) + "\n")
    return folder
