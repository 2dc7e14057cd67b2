"""Models that only serve to load a server: random weights, known sizes, laid out as a folder of models."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from rx580lab.errors import ShapeError
from rx580lab.models.onnx_builder import OnnxBuilder

__all__ = ["write_mlp"]


def write_mlp(
    folder: Path, name: str = "mlp", *, widths: tuple[int, ...] = (784, 8192, 2048), version: int = 1, seed: int = 0
) -> Path:
    """``folder/name/version/model.onnx``: x float32 [batch, widths[0]] to y [batch, widths[-1]], and its path.

    A matrix product and a bias between each two widths, a ReLU after all but the last. The default reads 93 MB of
    weights for each launch, whatever the batch: memory bound until the batch is large. ``seed``: of the weights.
    """
    if len(widths) < 2 or min(widths) < 1:
        raise ShapeError("serving_models", f"expected two widths of 1 or more at least, got {widths}")
    rng = np.random.default_rng(seed)
    net = OnnxBuilder(name)
    at = net.input("x", np.float32, ("batch", widths[0]))
    last = len(widths) - 2
    for layer, (k, n) in enumerate(pairwise(widths)):
        weights = rng.standard_normal((k, n), dtype=np.float32) / np.float32(np.sqrt(k))
        operands = [at, net.constant(f"w{layer}", weights), net.constant(f"b{layer}", np.zeros(n))]
        at = net.node("Gemm", operands, "y" if layer == last else f"hidden{layer}")
        if layer != last:
            at = net.node("Relu", [at], f"relu{layer}")
    path = folder / name / str(version) / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    widths_text = "x".join(map(str, widths))
    made = net.model(
        {at: (np.float32, ("batch", widths[-1]))},
        doc=f"A multilayer perceptron {widths_text} of random weights, to load a server with.",
        metadata={"seed": str(seed)},
    )
    path.write_bytes(made.SerializeToString())
    return path
