"""Small quantized models for tests, and what judges them: definitions alone, no fused int8 kernels."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator

from tests.graph.build import node, write

__all__ = ["convolution", "defined_outputs", "product", "unfused_outputs"]

Data = npt.NDArray[Any]


def defined_outputs(path: Path, inputs: Mapping[str, Data]) -> list[Data]:
    """Outputs as ONNX's own reference implementation computes them."""
    found = ReferenceEvaluator(onnx.load(path)).run(None, dict(inputs))
    return [np.asarray(one) for one in found]


def unfused_outputs(path: Path, inputs: Mapping[str, Data]) -> list[Data]:
    """Outputs of ONNX Runtime without optimizations: its fused kernels saturate pairs on some processors."""
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found: list[Data] = session.run(None, dict(inputs))
    return found


def _bytes(rng: np.random.Generator, shape: tuple[int, ...] | int, dtype: npt.DTypeLike) -> Data:
    limits = np.iinfo(np.dtype(dtype))
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def _ends(rng: np.random.Generator, kinds: tuple[npt.DTypeLike, npt.DTypeLike], out_scale: float) -> dict[str, Data]:
    """Scales and zero points of what goes in and what comes out."""
    return {
        "x_scale": np.array(rng.uniform(0.01, 0.05), np.float32),
        "x_zero": _bytes(rng, 1, kinds[0]).reshape(()),
        "y_scale": np.array(out_scale, np.float32),
        "y_zero": _bytes(rng, 1, kinds[1]).reshape(()),
    }


def _bias(made: dict[str, Data], rng: np.random.Generator, filters: int, kind: str) -> list[onnx.NodeProto]:
    """A bias named ``b``: "" for none, "float32", or "int32" in units of the sums."""
    scale = np.float32(made["x_scale"]) * np.broadcast_to(made["w_scale"], filters)
    units = rng.integers(-5000, 5000, filters, np.int32)
    if kind == "float32":
        made["b"] = (units * scale).astype(np.float32)
    if kind != "int32":
        return []
    made |= {"b_units": units, "b_scale": scale.astype(np.float32)}
    return [node("DequantizeLinear", ["b_units", "b_scale"], ["b"], axis=0)]


def convolution(
    path: Path,
    rng: np.random.Generator,
    *,
    kinds: tuple[npt.DTypeLike, npt.DTypeLike, npt.DTypeLike] = (np.uint8, np.int8, np.uint8),
    per_channel: bool = True,
    bias: str = "int32",
    activation: str = "",
    group: int = 1,
) -> tuple[Path, dict[str, Data]]:
    """x -> bytes -> Conv -> bytes, and the floats of these, all as ONNX writes it; kinds of x, w and y."""
    filters, channels = 4 * group, 3
    made = _ends(rng, (kinds[0], kinds[2]), 0.15)
    w_zero = np.zeros(filters, kinds[1]) if np.dtype(kinds[1]) == np.int8 else _bytes(rng, filters, kinds[1])
    scales = rng.uniform(0.002, 0.02, filters).astype(np.float32)
    made |= {"w_bytes": _bytes(rng, (filters, channels, 3, 3), kinds[1])}
    made |= {"w_scale": scales, "w_zero": w_zero} if per_channel else {"w_scale": scales[0], "w_zero": w_zero[0]}
    if activation:
        made["y_zero"] = np.array(np.iinfo(np.dtype(kinds[2])).min, kinds[2])
    added = _bias(made, rng, filters, bias)
    nodes = [
        node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["q"]),
        node("DequantizeLinear", ["q", "x_scale", "x_zero"], ["d"]),
        node("DequantizeLinear", ["w_bytes", "w_scale", "w_zero"], ["w"], axis=0),
        *added,
        node("Conv", ["d", "w", *(["b"] if bias else [])], ["c"], pads=[1, 0, 1, 2], strides=[1, 2], group=group),
        *([node(activation, ["c"], ["a"])] if activation else []),
        node("QuantizeLinear", ["a" if activation else "c", "y_scale", "y_zero"], ["y"]),
        node("DequantizeLinear", ["y", "y_scale", "y_zero"], ["f"]),
    ]
    shape = (2, channels * group, 7, 9)
    write(
        path,
        nodes,
        {"x": (np.float32, ["n", *shape[1:]])},
        {"y": (kinds[2], None), "f": (np.float32, None)},
        made,
        opset=21,
    )
    return path, {"x": rng.uniform(-4, 4, shape).astype(np.float32)}


def product(
    path: Path,
    rng: np.random.Generator,
    *,
    op: str = "Gemm",
    kinds: tuple[npt.DTypeLike, npt.DTypeLike, npt.DTypeLike] = (np.uint8, np.int8, np.uint8),
    per_column: bool = True,
    bias: str = "int32",
    turned: bool = True,
) -> tuple[Path, dict[str, Data]]:
    """x -> bytes -> Gemm or MatMul -> bytes, as ONNX writes it; ``turned``: Gemm's weights are (N, K)."""
    turned, bias = turned and op == "Gemm", bias if op == "Gemm" else ""
    made = _ends(rng, (kinds[0], kinds[2]), 0.2)
    lengths = (11, 19) if turned else (19, 11)
    made |= {
        "w_bytes": _bytes(rng, lengths, kinds[1]),
        "w_scale": rng.uniform(0.002, 0.02, 11 if per_column else ()).astype(np.float32),
        "w_zero": _bytes(rng, 11, kinds[1]) if per_column else _bytes(rng, 1, kinds[1]).reshape(()),
    }
    added = _bias(made, rng, 11, bias)
    keywords: dict[str, Any] = {"transB": 1} if turned else {}
    nodes = [
        node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["q"]),
        node("DequantizeLinear", ["q", "x_scale", "x_zero"], ["d"]),
        node("DequantizeLinear", ["w_bytes", "w_scale", "w_zero"], ["w"], axis=0 if turned else 1),
        *added,
        node(op, ["d", "w", *(["b"] if bias else [])], ["c"], **keywords),
        node("QuantizeLinear", ["c", "y_scale", "y_zero"], ["y"]),
    ]
    write(path, nodes, {"x": (np.float32, ["n", 19])}, {"y": (kinds[2], None)}, made, opset=21)
    return path, {"x": rng.uniform(-4, 4, (5, 19)).astype(np.float32)}
