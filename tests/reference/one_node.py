"""A single ONNX operator as others compute it: onnxruntime, or ONNX's own reference."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["by_onnx", "by_onnxruntime"]

AnyArray = npt.NDArray[Any]
# What onnxruntime's builds understand for years; the onnx package would write its newest.
IR_VERSION, OPSET = 10, 21


def _model(operator: str, inputs: Sequence[AnyArray | None], n_outputs: int, attributes: dict[str, Any]) -> Any:
    helper = import_module("onnx.helper")

    def declared(name: str, dtype: npt.DTypeLike, shape: tuple[int, ...] | None) -> Any:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)

    names = ["" if array is None else f"x{place}" for place, array in enumerate(inputs)]
    # Of the operators here, the first output has the first input's type, a second one holds indices.
    outputs = {
        f"y{place}": np.int64 if place else inputs[0].dtype for place in range(n_outputs) if inputs[0] is not None
    }
    node = helper.make_node(operator, names, list(outputs), **attributes)
    given = [declared(name, array.dtype, array.shape) for name, array in _fed(names, inputs).items()]
    returned = [declared(name, dtype, None) for name, dtype in outputs.items()]
    graph = helper.make_graph([node], "graph", given, returned)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION), names


def _fed(names: Sequence[str], inputs: Sequence[AnyArray | None]) -> dict[str, AnyArray]:
    return {name: array for name, array in zip(names, inputs, strict=True) if array is not None}


def by_onnxruntime(
    operator: str, inputs: Sequence[AnyArray | None], n_outputs: int = 1, **attributes: Any
) -> list[AnyArray]:
    """The outputs by onnxruntime, without optimisations."""
    runtime = import_module("onnxruntime")
    model, names = _model(operator, inputs, n_outputs, attributes)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: list[AnyArray] = session.run(None, _fed(names, inputs))
    return found


def by_onnx(operator: str, inputs: Sequence[AnyArray | None], n_outputs: int = 1, **attributes: Any) -> list[AnyArray]:
    """The outputs by ``onnx.reference``."""
    model, names = _model(operator, inputs, n_outputs, attributes)
    evaluator = import_module("onnx.reference").ReferenceEvaluator(model)
    with np.errstate(all="ignore"):
        return [np.asarray(value) for value in evaluator.run(None, _fed(names, inputs))]
