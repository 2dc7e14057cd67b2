"""ONNX Runtime's answers for demo models that are exported once for the whole suite."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rx580lab.models import export
from tests.graph.oracle import onnxruntime_outputs
from tests.requirements import DEMO_MODELS, require


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="models-")


@cache
def exported(name: str) -> Path:
    """The model's ``model.onnx``; the test is skipped where its files cannot be had."""
    if name in DEMO_MODELS:  # all but our own
        require(name)
    return export(name, _folder().name)


def onnxruntime_session(model: Path | bytes) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    """A model of one input, from that to its first output, on one thread."""
    require("onnxruntime")
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    held = model if isinstance(model, bytes) else str(model)
    session = runtime.InferenceSession(held, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda value: np.asarray(session.run(None, {given.name: value})[0])


def onnxruntime_answer(name: str, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The first output of the model ``name``."""
    require("onnxruntime")
    return next(iter(onnxruntime_outputs(exported(name), inputs).values()))
