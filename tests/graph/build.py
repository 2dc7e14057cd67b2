"""Small models for tests, made by ``onnx.helper``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

__all__ = ["node", "write"]

node = helper.make_node
Lengths = Sequence[int | str | None] | None


def write(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[npt.DTypeLike, Lengths]],
    outputs: Mapping[str, tuple[npt.DTypeLike, Lengths]],
    constants: Mapping[str, npt.ArrayLike] | None = None,
    *,
    opset: int = 17,
) -> Path:
    """Writes a model of those nodes; inputs and outputs are name -> (dtype, lengths)."""

    def infos(some: Mapping[str, tuple[npt.DTypeLike, Lengths]]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), lengths)
            for name, (dtype, lengths) in some.items()
        ]

    held = [numpy_helper.from_array(np.asarray(data), name) for name, data in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "test", infos(inputs), infos(outputs), held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    return path
