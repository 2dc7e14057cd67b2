"""Attention written as two products around a softmax is found, and only this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from tests.graph.build import node
from tests.graph.passes.agreement import fused_ops

RNG = np.random.default_rng(0)
CONSTANTS: dict[str, Any] = {"root": np.array(4, np.float32), "scale": np.array(0.25, np.float32)}
Nodes = list[onnx.NodeProto]


def _arrays(heads: tuple[int, ...] = (2, 3), n_keys: int = 11) -> dict[str, Any]:
    """q (..., 7, 16), k and its transpose, v (..., keys, 8)."""
    k = RNG.standard_normal((*heads, n_keys, 16), dtype=np.float32)
    q, v = (RNG.standard_normal((*heads, *rows), dtype=np.float32) for rows in ((7, 16), (n_keys, 8)))
    return {"q": q, "k": k, "k_turned": np.ascontiguousarray(np.swapaxes(k, -1, -2)), "v": v}


def _attention(*, scale: str = "", mask: bool = False, rank: int = 4, keys: str = "k", axis: int = -1) -> Nodes:
    """``scale``: of "product", "queries" or "both", or none; ``keys``: "k", transposed in the graph, or "k_turned"."""
    nodes, scores, q, k = [], "a", "q", keys
    if keys == "k":
        perm = [*range(rank - 2), rank - 1, rank - 2]
        nodes, k = [node("Transpose", ["k"], ["t"], perm=perm)], "t"
    if scale in ("queries", "both"):
        nodes, q = [*nodes, node("Mul", ["q", "scale"], ["qs"])], "qs"
    if scale == "both":
        nodes, k = [*nodes, node("Mul", ["root", k], ["ks"])], "ks"
    nodes.append(node("MatMul", [q, k], ["a"]))
    if scale == "product":
        nodes, scores = [*nodes, node("Div", ["a", "root"], ["b"])], "b"
    if mask:
        nodes, scores = [*nodes, node("Add", [scores, "mask"], ["c"])], "c"
    return [*nodes, node("Softmax", [scores], ["w"], axis=axis), node("MatMul", ["w", "v"], ["y"])]


def _ops(
    folder: Path, device: rx.Device, nodes: Nodes, arrays: dict[str, Any], outputs: tuple[str, ...] = ("y",)
) -> list[str]:
    read = {name for one in nodes for name in one.input}
    inputs = {name: one for name, one in arrays.items() if name in read}
    return fused_ops(folder, device, nodes, inputs, CONSTANTS, outputs=outputs)


@settings(max_examples=20, deadline=None)
@given(
    heads=st.sampled_from([(2, 3), (1, 1), (6,)]),
    scale=st.sampled_from(["", "product", "queries", "both"]),
    mask=st.sampled_from([None, (7, 11), (1, 1, 11), (2, 1, 1, 11), (1,)]),
    keys=st.sampled_from(["k", "k_turned"]),
)
def test_it_is_found(
    tmp_path_factory: pytest.TempPathFactory,
    pocl: rx.Device,
    heads: tuple[int, ...],
    scale: str,
    mask: tuple[int, ...] | None,
    keys: str,
) -> None:
    arrays = _arrays(heads)
    if mask is not None:
        lengths = mask if len(heads) == 2 and heads[0] == 2 else mask[-2:]
        arrays["mask"] = np.where(RNG.random(lengths) < 0.3, -10000, 0).astype(np.float32)
    nodes = _attention(scale=scale, mask=mask is not None, rank=len(heads) + 2, keys=keys)
    ops = _ops(tmp_path_factory.mktemp("attention"), pocl, nodes, arrays)
    assert ops == ["Attention"] if keys == "k" else ops == ["Transpose", "Attention"]


def test_head_splitting_and_turning_of_keys_are_one_transpose(tmp_path: Path, pocl: rx.Device) -> None:
    arrays = {
        "q": RNG.standard_normal((2, 3, 7, 16), dtype=np.float32),
        "v": RNG.standard_normal((2, 3, 11, 8), dtype=np.float32),
    }
    arrays["k"] = RNG.standard_normal((2, 11, 3, 16), dtype=np.float32)
    nodes = [node("Transpose", ["k"], ["k_turned"], perm=[0, 2, 3, 1]), *_attention(keys="k_turned")]
    assert _ops(tmp_path, pocl, nodes, arrays) == ["Transpose", "Attention"]


@pytest.mark.parametrize("between", ["a", "b", "c", "w"])
def test_not_where_the_graph_gives_out_what_lies_between(tmp_path: Path, pocl: rx.Device, between: str) -> None:
    arrays = _arrays() | {"mask": RNG.standard_normal((1, 1, 1, 11), dtype=np.float32)}
    ops = _ops(tmp_path, pocl, _attention(scale="product", mask=True), arrays, ("y", between))
    assert "Attention" not in ops
    assert "Softmax" in ops


def test_not_with_a_softmax_along_queries(tmp_path: Path, pocl: rx.Device) -> None:
    assert "Attention" not in _ops(tmp_path, pocl, _attention(axis=-2), _arrays())


def test_not_with_a_mask_that_makes_the_scores_larger(tmp_path: Path, pocl: rx.Device) -> None:
    arrays = _arrays((1, 3)) | {"mask": RNG.standard_normal((2, 1, 1, 11), dtype=np.float32)}
    arrays["v"] = np.repeat(arrays["v"], 2, axis=0)
    assert "Attention" not in _ops(tmp_path, pocl, _attention(mask=True), arrays)


def test_not_with_heads_that_are_too_long(tmp_path: Path, pocl: rx.Device) -> None:
    arrays = _arrays((1, 1))
    arrays["v"] = RNG.standard_normal((1, 1, 11, 264), dtype=np.float32)
    assert "Attention" not in _ops(tmp_path, pocl, _attention(), arrays)


def test_not_with_some_heads_that_share_keys(tmp_path: Path, pocl: rx.Device) -> None:
    arrays = _arrays((2, 3))
    arrays["k"], arrays["v"] = arrays["k"][:1], arrays["v"][:1]
    assert "Attention" not in _ops(tmp_path, pocl, _attention(), arrays)
