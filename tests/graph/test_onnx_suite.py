"""ONNX's own backend suite: its 503 cases of plain tensors and the 50 operators of the demo models, and its 9 nets.

``onnx_subset.txt`` names the cases; a test below derives the same names from the suite by their rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import rx580lab as rx
from tests.graph.onnx_backend import checks, stored

HERE = Path(__file__).parent
CASES = tuple((HERE / "onnx_subset.txt").read_text(encoding="utf-8").split())
# Of the quantized and recurrent operators, those of the same element types.
QUANTIZED = tuple((HERE / "onnx_quantized.txt").read_text(encoding="utf-8").split())
NETS = (
    "test_bvlc_alexnet",
    "test_densenet121",
    "test_inception_v1",
    "test_inception_v2",
    "test_resnet50",
    "test_shufflenet",
    "test_squeezenet",
    "test_vgg19",
    "test_zfnet512",
)
OPERATORS = {
    "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "ConstantOfShape", "Conv",
    "ConvTranspose", "Div", "Equal", "Erf", "Exp", "Expand", "Gather", "Gemm", "GlobalAveragePool",
    "GlobalMaxPool", "HardSigmoid", "Identity", "If", "LayerNormalization", "MatMul", "Max", "MaxPool", "Mul",
    "Pad", "Pow", "Range", "Reciprocal", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Reshape",
    "Resize", "Shape", "Sigmoid", "Slice", "Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose",
    "Unsqueeze", "Where",
}  # fmt: skip
PLAIN = {np.dtype(kind) for kind in (np.float32, np.int32, np.int64, np.bool_, np.uint8, np.int8)}


@pytest.fixture(scope="module")
def suite(pocl: rx.Device, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Callable[[], None]]]:
    # The suite writes its nets' inputs there instead of to the user's home.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONNX_MODELS", str(tmp_path_factory.mktemp("onnx_models")))
        yield checks(pocl)


def test_the_gate_is_503_cases_and_9_nets() -> None:
    assert len(CASES) == len(set(CASES)) == 503
    assert len(NETS) == 9
    assert len(QUANTIZED) == len(set(QUANTIZED)) == 23
    assert not set(QUANTIZED) & set(CASES)


def test_the_cases_are_all_those_that_the_rule_allows() -> None:
    found = stored()
    assert {name for name, (kind, _) in found.items() if kind == "real"} == set(NETS)
    allowed = set()
    for name, (kind, case) in found.items():
        if kind != "real":
            model = case.model or onnx.load(Path(str(case.model_dir)) / "model.onnx")
            if _operators(model.graph) <= OPERATORS and not model.functions and _is_plain(model.graph):
                allowed.add(name)
    assert set(CASES) == allowed


def _operators(graph: onnx.GraphProto) -> set[str]:
    found = set()
    for node in graph.node:
        found.add(node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}")
        for one in node.attribute:
            found |= _operators(one.g) if one.type == onnx.AttributeProto.GRAPH else set()
    return found


def _is_plain(graph: onnx.GraphProto) -> bool:
    return all(
        one.type.WhichOneof("value") == "tensor_type"
        and helper.tensor_dtype_to_np_dtype(one.type.tensor_type.elem_type) in PLAIN
        for one in (*graph.input, *graph.output)
    )


@pytest.mark.parametrize("name", [*NETS, *CASES, *QUANTIZED])
def test_case(name: str, suite: Mapping[str, Callable[[], None]]) -> None:
    suite[name]()
