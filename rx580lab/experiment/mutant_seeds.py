"""The whole models that mutants are made of: the small ones made here, cases of ONNX's own suite, a trained network."""

from __future__ import annotations

from pathlib import Path

import onnx

from rx580lab.errors import ExperimentError
from rx580lab.experiment.small_models import SMALL_MODELS, small_model
from rx580lab.models import fetch

__all__ = ["CASES", "SEEDS", "seeds"]

# Files that the package onnx brings, of several ages and families of operators.
CASES = (
    "pytorch-converted/test_AvgPool2d_stride",
    "pytorch-converted/test_BatchNorm2d_eval",
    "pytorch-converted/test_Conv2d_depthwise_padded",
    "pytorch-converted/test_ConvTranspose2d",
    "pytorch-converted/test_Linear",
    "pytorch-converted/test_MaxPool2d_stride_padding_dilation",
    "pytorch-operator/test_operator_concat2",
    "pytorch-operator/test_operator_permute2",
    "pytorch-operator/test_operator_reduced_mean_keepdim",
    "pytorch-operator/test_operator_repeat",
)
TRAINED = "fashion-mnist"
SEEDS = (*SMALL_MODELS, "cases", TRAINED)


def seeds(name: str) -> dict[str, onnx.ModelProto]:
    """The models of that name, by what to call each. Raises ExperimentError for an unknown name."""
    if name in SMALL_MODELS:
        return {name: small_model(name)}
    if name == TRAINED:
        return {name: _read(next(iter(fetch(name).values())))}
    if name != "cases":
        raise ExperimentError("mutated_models", f"expected one of {', '.join(SEEDS)}, got {name!r}")
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data"
    return {case: _read(folder / case / "model.onnx") for case in CASES}


def _read(path: Path) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(path.read_bytes())
