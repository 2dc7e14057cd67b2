"""Small ONNX models for tests of the repository: what may share a launch, and what may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper

from rx580lab.models.onnx_builder import OnnxBuilder


def _write(net: OnnxBuilder, path: Path, outputs: dict[str, tuple[Any, tuple[int | str, ...]]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(net.model(outputs, doc="a test", metadata={}).SerializeToString())
    return path


def place(folder: Path, name: str, version: int = 1) -> Path:
    return folder / name / str(version) / "model.onnx"


def scaled(folder: Path, name: str, version: int = 1, *, factor: float = 2.0, batch: int | str = "batch") -> Path:
    """y = factor x, of [batch, 3]."""
    net = OnnxBuilder(name)
    x = net.input("x", np.float32, (batch, 3))
    y = net.node("Mul", [x, net.constant("factor", factor)], "y")
    return _write(net, place(folder, name, version), {y: (np.float32, (batch, 3))})


def centred(folder: Path, name: str) -> Path:
    """y = x - mean of the batch: rows mix."""
    net = OnnxBuilder(name)
    x = net.input("x", np.float32, ("batch", 3))
    mean = net.node("ReduceMean", [x], "mean", axes=[0], keepdims=1)
    return _write(net, place(folder, name), {net.node("Sub", [x, mean], "y"): (np.float32, ("batch", 3))})


def quantized_together(folder: Path, name: str) -> Path:
    """A product with weights of int8, for which the scale of the input is computed over the whole batch: rows mix."""
    rng = np.random.default_rng(0)
    net = OnnxBuilder(name)
    x = net.input("x", np.float32, ("batch", 16))
    net._nodes.append(helper.make_node("DynamicQuantizeLinear", [x], ["q", "scale", "zero"], name="quantize"))
    weights = net.constant("w", rng.integers(-100, 100, (16, 4)), np.int8)
    product = net.node("MatMulInteger", ["q", weights, "zero"], "product")
    as_float = net.node("Cast", [product], "as_float", to=1)
    return _write(net, place(folder, name), {net.node("Mul", [as_float, "scale"], "y"): (np.float32, ("batch", 4))})


def embedded(folder: Path, name: str) -> Path:
    """Whole numbers [batch, length] to the sum of a table's rows [batch, 4]; the table has two rows."""
    net = OnnxBuilder(name)
    ids = net.input("ids", np.int64, ("batch", "length"))
    table = net.constant("table", [[1, 2, 3, 4], [5, 6, 7, 8]])
    rows = net.node("Gather", [table, ids], "rows", axis=0)
    mean = net.node("ReduceMean", [rows], "y", axes=[1], keepdims=0)
    return _write(net, place(folder, name), {mean: (np.float32, ("batch", 4))})


def fixed_inside(folder: Path, name: str) -> Path:
    """It declares a symbolic batch, and reshapes to one row: more rows fail."""
    net = OnnxBuilder(name)
    x = net.input("x", np.float32, ("batch", 3))
    one = net.node("Reshape", [x, net.constant("shape", [1, 3], np.int64)], "one")
    y = net.node("Mul", [one, net.constant("factor", 2.0)], "y")
    return _write(net, place(folder, name), {y: (np.float32, ("batch", 3))})


def corrupt(folder: Path, name: str, version: int = 1) -> Path:
    path = place(folder, name, version)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x08\x07not a model")
    return path
