"""Where arrays turn between channel-major and pixel-major, elements go where they belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rx580lab as rx
from tests.graph.build import node
from tests.graph.passes.agreement import fused_ops

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 8, 1, 8), (1, 8, 8, 1), (1, 8, 8, 8), (2, 8, 1, 5), (1, 1, 8, 8), (8, 8, 1, 1)])
def test_axes_of_one_length_are_told_apart(shape: tuple[int, ...], tmp_path: Path, pocl: rx.Device) -> None:
    """As many channels as places in a row: their lengths alone do not tell whether elements move."""
    weight = RNG.standard_normal((8, shape[1], 1, 1), dtype=np.float32)
    nodes = [node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["y"])]
    fused_ops(tmp_path, pocl, nodes, {"x": RNG.standard_normal(shape, dtype=np.float32)}, {"w": weight})
