"""Small models that are fused, beside what ONNX Runtime says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

import rx580lab as rx
from tests.graph.build import write
from tests.graph.oracle import onnxruntime_outputs

__all__ = ["fused_ops"]

Arrays = Mapping[str, npt.NDArray[Any]]


def fused_ops(
    folder: Path,
    device: rx.Device,
    nodes: Sequence[onnx.NodeProto],
    inputs: Arrays,
    constants: Arrays | None = None,
    *,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
    tolerance: float = 1e-5,
) -> list[str]:
    """Ops of the nodes that run for ``inputs``, after their outputs were compared; fp32 comes out."""
    read = {name for one in nodes for name in one.input}
    file = write(
        folder / "model.onnx",
        nodes,
        {name: (one.dtype, [None] * one.ndim) for name, one in inputs.items()},
        dict.fromkeys(outputs, (np.float32, None)),
        {name: one for name, one in (constants or {}).items() if name in read},
        opset=opset,
    )
    model = rx.load(file, device)
    got = model.run(inputs)
    for name, expected in onnxruntime_outputs(file, inputs, fused=False).items():
        np.testing.assert_allclose(got[name], expected, rtol=tolerance, atol=tolerance)
    return [step.node.op for step in model.plan(inputs).steps]
