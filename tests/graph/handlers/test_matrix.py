"""Products of matrices of every shape that ONNX allows, as ONNX Runtime or numpy computes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.errors import ModelError
from tests.graph.handlers.single import Single

RNG = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return np.asarray(RNG.standard_normal(shape, dtype=np.float32))


@settings(deadline=None, max_examples=40)
@given(st.tuples(*[st.integers(1, 20)] * 3), st.booleans(), st.booleans(), st.data())
def test_any_gemm(
    tmp_path_factory: Any, pocl: rx.Device, lengths: tuple[int, int, int], turned: bool, turned_b: bool, data: Any
) -> None:
    m, n, k = lengths
    a, b = normal(*((k, m) if turned else (m, k))), normal(*((n, k) if turned_b else (k, n)))
    shapes = [None, (), (1,), (n,), (1, n), (m, 1), (1, 1), (m, n)]
    added = data.draw(st.sampled_from(shapes))
    inputs = [a, b] if added is None else [a, b, normal(*added)]
    attributes = {"transA": int(turned), "transB": int(turned_b)}
    attributes |= data.draw(st.sampled_from([{}, {"alpha": 0.5}, {"beta": 2.0}, {"alpha": 0.3, "beta": 0.0}]))
    held = data.draw(st.sampled_from([(), (1,), (1, 2)]))
    opset = 13 if added is None else data.draw(st.sampled_from([7, 13]))
    Single(tmp_path_factory.getbasetemp(), "Gemm", inputs, opset=opset, held=held, **attributes).agree(pocl)


@pytest.mark.parametrize("opset", [1, 6])
@pytest.mark.parametrize("shape", [(5,), (1,), (3, 5), (3, 1)])
def test_older_versions_say_that_they_broadcast(
    tmp_path: Path, pocl: rx.Device, opset: int, shape: tuple[int, ...]
) -> None:
    a, b, c = normal(3, 4), normal(4, 5), normal(*shape)
    attributes = {"alpha": 0.5, "beta": 2.0, "broadcast": 1}
    Single(tmp_path, "Gemm", [a, b, c], opset=opset, **attributes).agree(pocl, [0.5 * (a @ b) + 2 * c])


@pytest.mark.parametrize("held", [(), (1,), (0, 1)])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4, 5)),
        ((4,), (4,)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((4,), (2, 4, 5)),
        ((2, 3, 4), (4,)),
        ((2, 3, 4), (4, 5)),
        ((2, 1, 3, 4), (3, 4, 5)),
        ((3, 4), (2, 3, 4, 5)),
        ((2, 0), (0, 3)),
        ((0, 3, 4), (4, 5)),
    ],
)
def test_products(
    tmp_path: Path, pocl: rx.Device, a: tuple[int, ...], b: tuple[int, ...], held: tuple[int, ...]
) -> None:
    x, y = normal(*a), normal(*b)
    Single(tmp_path, "MatMul", [x, y], opset=13, held=held).agree(pocl, [np.asarray(x @ y)])


@pytest.mark.parametrize(
    ("op", "inputs", "message"),
    [
        ("Gemm", [normal(3, 4), normal(3, 4)], "inner lengths that agree"),
        ("Gemm", [normal(2, 3, 4), normal(4, 5)], "two matrices"),
        ("Gemm", [normal(3, 4), normal(4, 5), normal(3)], r"broadcasts to \(3, 5\), got \(3,\)"),
        ("Gemm", [normal(1, 4), normal(4, 5), normal(3, 5)], r"broadcasts to \(1, 5\), got \(3, 5\)"),
        ("MatMul", [normal(3, 4), normal(3, 4)], "inner lengths that agree"),
        ("MatMul", [normal(), normal(4)], "of one element type"),
        ("MatMul", [normal(2, 3, 4), normal(3, 4, 5)], "batch axes that broadcast"),
    ],
)
def test_refusals_name_the_node(tmp_path: Path, pocl: rx.Device, op: str, inputs: list[Any], message: str) -> None:
    with pytest.raises(ModelError, match=rf"single\.onnx: node 'single' \({op}\)\] .*{message}"):
        Single(tmp_path, op, inputs, opset=13).run(pocl)
