"""ONNX Runtime's answers for demo models that are exported once for the whole suite."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from rx580lab.models import export
from tests.graph.oracle import onnxruntime_outputs
from tests.requirements import require


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="models-")


@cache
def exported(name: str) -> Path:
    """The model's ``model.onnx``; the test is skipped where its files cannot be had."""
    require(name)
    return export(name, _folder().name)


def onnxruntime_answer(name: str, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The first output of the model ``name``."""
    require("onnxruntime")
    return next(iter(onnxruntime_outputs(exported(name), inputs).values()))
