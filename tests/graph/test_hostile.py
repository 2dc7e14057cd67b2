"""Models that somebody damaged or made in bad faith: one clear error each, soon, that names node and cause."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rx580lab as rx
from rx580lab.errors import ModelError
from tests.graph.hostile import F, around, refusal

Change = Callable[[onnx.ModelProto], object]


def model(opset: int = 17) -> onnx.ModelProto:
    """``y = relu(x @ w + b)``, [2, 3] to [2, 4]."""
    rng = np.random.default_rng(0)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["xw"], name="product"),
            helper.make_node("Add", ["xw", "b"], ["sum"], name="shift"),
            helper.make_node("Relu", ["sum"], ["y"], name="cut"),
        ],
        "g",
        [helper.make_tensor_value_info("x", F, [2, 3])],
        [helper.make_tensor_value_info("y", F, [2, 4])],
        [
            numpy_helper.from_array(rng.normal(size=(3, 4)).astype(np.float32), "w"),
            numpy_helper.from_array(rng.normal(size=4).astype(np.float32), "b"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def changed(change: Change) -> onnx.ModelProto:
    made = model()
    change(made)
    return made


def operator(made: onnx.ModelProto, op: str, domain: str = "") -> onnx.ModelProto:
    made.graph.node[2].op_type = op
    made.graph.node[2].domain = domain
    return made


def add_import(made: onnx.ModelProto, domain: str, version: int) -> onnx.ModelProto:
    made.opset_import.add(domain=domain, version=version)
    return made


def set_opset(made: onnx.ModelProto, version: int) -> onnx.ModelProto:
    made.opset_import[0].version = version
    return made


def whole(made: onnx.ModelProto, name: str, kind: int, **value: Any) -> onnx.ModelProto:
    made.graph.node[2].attribute.add(name=name, type=kind, **value)
    return made


def lengths_of(made: onnx.ModelProto, place: int, *lengths: int) -> onnx.ModelProto:
    made.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros(lengths, np.float32), "w"))
    made.graph.initializer[0].name = ("w", "b")[place]
    return made


def wires(made: onnx.ModelProto, place: int, inputs: list[str], outputs: list[str] | None = None) -> onnx.ModelProto:
    node = made.graph.node[place]
    node.ClearField("input")
    node.input.extend(inputs)
    if outputs is not None:
        node.ClearField("output")
        node.output.extend(outputs)
    return made


BAD: dict[str, tuple[Change, str]] = {
    "unknown operator": (
        lambda m: operator(m, "Rleu"),
        "[m.onnx: node 'cut' (Rleu)] operator Rleu of ai.onnx is not supported",
    ),
    "operator of another domain": (
        lambda m: (operator(m, "Gelu", "com.elsewhere"), add_import(m, "com.elsewhere", 1)),
        "[m.onnx: node 'cut' (Gelu)] operator Gelu of com.elsewhere is not supported",
    ),
    "domain that is not imported": (
        lambda m: operator(m, "Relu", "com.elsewhere"),
        "[m.onnx: node 'cut' (Relu)] expected its domain com.elsewhere among the file's operator sets",
    ),
    "operator of ours": (
        lambda m: (operator(m, "Conv", "rx580lab"), add_import(m, "rx580lab", 1)),
        "[m.onnx: node 'cut' (Conv)] expected a domain other than rx580lab, which is this program's own",
    ),
    "operator set too new": (lambda m: set_opset(m, 29), "expected operator set 1 to 28 of ai.onnx, got 29"),
    "operator set of 0": (lambda m: set_opset(m, 0), "expected operator set 1 to 28 of ai.onnx, got 0"),
    "no operator set": (
        lambda m: m.ClearField("opset_import"),
        "[m.onnx] expected the versions of its operator sets (opset_import), got none",
    ),
    "two operator sets": (
        lambda m: add_import(m, "ai.onnx", 11),
        "[m.onnx] expected one operator set of ai.onnx, got 17 and 11",
    ),
    "cycle": (
        lambda m: wires(m, 0, ["sum", "w"]),
        "it waits for its own result, in a cycle of ",
    ),
    "input that nothing writes": (
        lambda m: wires(m, 1, ["xw", "nowhere"]),
        "[m.onnx: node 'shift' (Add)] nothing writes its input 'nowhere'",
    ),
    "output that nothing writes": (
        lambda m: wires(m, 2, ["sum"], ["z"]),
        "[m.onnx] nothing writes the output 'y'",
    ),
    "value written twice": (
        lambda m: wires(m, 1, ["xw", "b"], ["xw"]),
        "[m.onnx: node 'shift' (Add)] value 'xw' is written twice",
    ),
    "two constants of one name": (
        lambda m: m.graph.initializer.add().CopyFrom(m.graph.initializer[0]),
        "[m.onnx] expected one constant named 'w', got two",
    ),
    "two inputs of one name": (
        lambda m: m.graph.input.add().CopyFrom(m.graph.input[0]),
        "[m.onnx] expected inputs of different names, got x, x",
    ),
    "two outputs of one name": (
        lambda m: m.graph.output.add().CopyFrom(m.graph.output[0]),
        "[m.onnx] expected outputs of different names, got y, y",
    ),
    "too few inputs": (
        lambda m: wires(m, 1, ["xw"]),
        "[m.onnx: node 'shift' (Add)] expected 2 inputs, got 1",
    ),
    "too many inputs": (
        lambda m: wires(m, 2, ["sum", "x"]),
        "[m.onnx: node 'cut' (Relu)] expected 1 inputs, got 2",
    ),
    "input left out that is needed": (
        lambda m: wires(m, 1, ["xw", ""]),
        "[m.onnx: node 'shift' (Add)] expected its input 1 (B), got none",
    ),
    "too many outputs": (
        lambda m: wires(m, 2, ["sum"], ["y", "z"]),
        "[m.onnx: node 'cut' (Relu)] expected 1 outputs, got 2",
    ),
    "attribute that the operator lacks": (
        lambda m: whole(m, "slope", onnx.AttributeProto.FLOAT, f=0.5),
        "[m.onnx: node 'cut' (Relu)] expected attributes among none, got 'slope'",
    ),
    "attribute of another kind": (
        lambda m: (operator(m, "Softmax"), whole(m, "axis", onnx.AttributeProto.FLOAT, f=1.0)),
        "[m.onnx: node 'cut' (Softmax)] expected the attribute 'axis' to be INT, got float",
    ),
    "attribute of no kind": (
        lambda m: (operator(m, "Softmax"), whole(m, "axis", onnx.AttributeProto.UNDEFINED, i=1)),
        "[m.onnx: node 'cut' (Softmax)] attribute 'axis' is of a kind that is not supported (0)",
    ),
    "attribute given twice": (
        lambda m: (operator(m, "Softmax"), [whole(m, "axis", onnx.AttributeProto.INT, i=n) for n in (0, 1)]),
        "[m.onnx: node 'cut' (Softmax)] expected one attribute 'axis', got two",
    ),
    "attribute that is missing": (
        lambda m: operator(m, "Cast"),
        "[m.onnx: node 'cut' (Cast)] expected the attribute 'to', got none",
    ),
    "reference outside of a function": (
        lambda m: (operator(m, "Softmax"), whole(m, "axis", onnx.AttributeProto.INT, ref_attr_name="where")),
        "[m.onnx: node 'cut' (Softmax)] expected the value of attribute 'axis', got a reference outside of a function",
    ),
    "axis that is not there": (
        lambda m: (operator(m, "Softmax"), whole(m, "axis", onnx.AttributeProto.INT, i=5)),
        "[m.onnx: node 'cut' (Softmax)] ",
    ),
    "lengths that do not fit": (
        lambda m: lengths_of(m, 0, 5, 4),
        "[m.onnx: node 'product' (MatMul)] ",
    ),
    "declared shape that does not fit": (
        lambda m: setattr(m.graph.output[0].type.tensor_type.shape.dim[1], "dim_value", 9),
        "[m.onnx: node 'cut' (Relu)] expected output 'y' of shape (2, 9), as declared, got (2, 4)",
    ),
    "declared type that does not fit": (
        lambda m: setattr(m.graph.output[0].type.tensor_type, "elem_type", TensorProto.INT64),
        "[m.onnx: node 'cut' (Relu)] expected output 'y' of int64, as declared, got float32",
    ),
    "types that differ": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.INT32),
        "[m.onnx: node 'product' (MatMul)] expected input 1 (B) of int32 as A, got float32",
    ),
    "type that the operator does not take": (
        lambda m: operator(m, "Not"),
        "[m.onnx: node 'cut' (Not)] ",
    ),
    "input of a type that is not supported": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.BFLOAT16),
        "[m.onnx: 'x'] expected elements of bool, float16/32/64, int8..int64 or uint8..uint64, got BFLOAT16",
    ),
    "input of no type": (
        lambda m: m.graph.input[0].ClearField("type"),
        "[m.onnx] expected 'x' to be a tensor, got None",
    ),
    "constant of a type that is not supported": (
        lambda m: setattr(m.graph.initializer[1], "data_type", TensorProto.STRING),
        "[m.onnx: tensor 'b'] expected elements of bool, float16/32/64, int8..int64 or uint8..uint64, got STRING",
    ),
    "constant with too little data": (
        lambda m: m.graph.initializer[1].dims.append(1 << 40),
        "[m.onnx: tensor 'b'] expected 17,592,186,044,416 bytes of float32 (4, 1099511627776), got 16",
    ),
    "sparse constant": (lambda m: m.graph.sparse_initializer.add(), "[m.onnx] sparse constants are not supported"),
}


@pytest.mark.parametrize("kind", BAD)
def test_each_kind_of_bad_file_gets_its_error_when_it_is_loaded(tmp_path: Path, kind: str) -> None:
    change, message = BAD[kind]
    assert message in refusal(tmp_path, changed(change))


def test_the_file_without_a_fault_runs(tmp_path: Path, pocl: rx.Device) -> None:
    made = model()
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    x = np.random.default_rng(1).normal(size=(2, 3)).astype(np.float32)
    w, b = (numpy_helper.to_array(one) for one in made.graph.initializer)
    got = rx.load(tmp_path / "m.onnx", pocl).run({"x": x})["y"]
    np.testing.assert_allclose(got, np.maximum(x @ w + b, 0), rtol=1e-5, atol=1e-6)


def test_data_outside_of_the_folder_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "planted.bin").write_bytes(bytes(16))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.bin").symlink_to("../planted.bin")
    causes = {
        "../planted.bin": "expected external data inside the model's folder, got '../planted.bin', which leads out",
        "link.bin": "expected external data inside the model's folder, got 'link.bin', which leads out",
        str(tmp_path / "planted.bin"): "expected external data beside the model, got the absolute path",
        "none.bin": "external data 'none.bin' cannot be read: No such file",
    }
    for location, cause in causes.items():
        made = model()
        constant = made.graph.initializer[1]
        constant.ClearField("raw_data")
        constant.data_location = TensorProto.EXTERNAL
        constant.external_data.add(key="location", value=location)
        assert f"[m.onnx: tensor 'b'] {cause}" in refusal(folder, made)


def function(name: str, *nodes: onnx.NodeProto, opset: bool = True) -> onnx.FunctionProto:
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)] if opset else []
    return helper.make_function("own", name, ["v"], ["w"], list(nodes), imports)


def call(name: str, *wires: str) -> onnx.NodeProto:
    return helper.make_node(name, [wires[0]], [wires[1]], name=f"call of {name}", domain="own")


def with_functions(*functions: onnx.FunctionProto) -> onnx.ModelProto:
    made = around(call(functions[0].name, "x", "y"), inputs={"x": (F, [2])})
    made.opset_import.add(domain="own", version=1)
    made.functions.extend(functions)
    return made


def test_functions_without_end_are_refused(tmp_path: Path) -> None:
    itself = with_functions(function("f", call("f", "v", "w")))
    assert "node 'call of f' (f)] the function 'f' calls itself" in refusal(tmp_path, itself)
    turns = with_functions(function("f", call("g", "v", "w")), function("g", call("f", "v", "w")))
    assert "the function 'f' calls itself" in refusal(tmp_path, turns)
    chain = [function(f"f{n}", call(f"f{n + 1}", "v", "w")) for n in range(60)]
    assert "expected functions at most 32 calls deep" in refusal(tmp_path, with_functions(*chain))
    doubling = [function(f"f{n}", call(f"f{n + 1}", "v", "s"), call(f"f{n + 1}", "s", "w")) for n in range(30)]
    last = function("f30", helper.make_node("Relu", ["v"], ["w"]))
    assert "expected at most 100,000 nodes" in refusal(tmp_path, with_functions(*doubling, last))
    long = [function("f0", *[call("f1", "v" if n == 0 else f"s{n}", f"s{n + 1}") for n in range(900)])]
    long[0].node[0].name = "x" * 200_000
    long.append(function("f1", *[helper.make_node("Relu", ["v"], [f"t{n}"]) for n in range(100)]))
    for one in long[0].node:
        one.name = "x" * 20_000
    assert "characters in names" in refusal(tmp_path, with_functions(*long))


def test_functions_that_do_not_fit_their_calls_are_refused(tmp_path: Path) -> None:
    made = with_functions(function("f", helper.make_node("Relu", ["v"], ["w"])))
    made.graph.node[0].input.append("x")
    assert "(f)] expected at most 1 inputs and 1 outputs" in refusal(tmp_path, made)
    bare = with_functions(function("f", helper.make_node("Relu", ["v"], ["w"]), opset=False))
    assert "expected the versions of its operator sets" in refusal(tmp_path, bare)
    unset = function("f", helper.make_node("Softmax", ["v"], ["w"], name="inside"))
    unset.node[0].attribute.add(name="axis", ref_attr_name="which", type=onnx.AttributeProto.INT)
    made = with_functions(unset)
    made.graph.node[0].attribute.add(name="which", type=onnx.AttributeProto.STRING, s=b"a")
    assert "(Softmax)] expected the attribute 'axis' to be INT, got str" in refusal(tmp_path, made)


def test_calls_of_one_name_do_not_share_values(tmp_path: Path, pocl: rx.Device) -> None:
    """Names of nodes need not differ, and what a call does not take may be read inside of it."""
    body = function("f", helper.make_node("Add", ["v", "v"], ["s"]), helper.make_node("Add", ["s", "v"], ["w"]))
    made = with_functions(body)
    made.graph.node[0].output[0] = "once"
    made.graph.node.append(call("f", "once", "y"))
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    got = rx.load(tmp_path / "m.onnx", pocl).run({"x": np.array([1, 2], np.float32)})["y"]
    assert got.tolist() == [9, 18]


def test_branches_that_are_wrong_are_refused(tmp_path: Path) -> None:
    def branch(*nodes: onnx.NodeProto, output: str = "z") -> onnx.GraphProto:
        return helper.make_graph(list(nodes), "b", [], [helper.make_tensor_value_info(output, F, None)])

    fine = branch(helper.make_node("Relu", ["x"], ["z"]))
    cases = {
        "nothing writes its input 'nowhere'": branch(helper.make_node("Relu", ["nowhere"], ["z"])),
        "nothing writes its input 'z'": branch(helper.make_node("Relu", ["x"], ["other"])),
        "value 'x' is written twice": branch(helper.make_node("Relu", ["x"], ["x"]), output="x"),
        "(Add)] expected 2 inputs, got 1": branch(helper.make_node("Add", ["x"], ["z"])),
    }
    for message, bad in cases.items():
        node = helper.make_node("If", ["c"], ["y"], name="choice", then_branch=bad, else_branch=fine)
        assert message in refusal(tmp_path, around(node, inputs={"x": (F, [2])}, c=np.array(True))), message
    half = helper.make_node("If", ["c"], ["y"], name="choice", then_branch=fine)
    message = "node 'choice' (If)] expected the attribute 'else_branch', got none"
    assert message in refusal(tmp_path, around(half, inputs={"x": (F, [2])}, c=np.array(True)))


def test_errors_are_of_the_models_kind(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(changed(BAD["cycle"][0]).SerializeToString())
    with pytest.raises(ModelError):
        rx.load(str(tmp_path / "m.onnx"))
