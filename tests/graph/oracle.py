"""What ONNX Runtime says a model's outputs are."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy.typing as npt

__all__ = ["onnxruntime_outputs"]


def onnxruntime_outputs(
    path: Path, inputs: Mapping[str, npt.NDArray[Any]], *, fused: bool = True
) -> dict[str, npt.NDArray[Any]]:
    """Outputs by name, on one thread; ``fused`` False keeps its own fusions away, which take some nets for others."""
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    if not fused:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))
