"""Maxima, averages and norms of any windows, as ONNX Runtime computes them."""

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
    return RNG.standard_normal(shape, dtype=np.float32)


@st.composite
def windows(draw: st.DrawFn, dilated: bool = True) -> tuple[tuple[int, ...], dict[str, Any]]:
    """A shape, and attributes under which the windows fit."""
    rank = draw(st.integers(1, 3))
    auto = draw(st.sampled_from(["NOTSET", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    kernel = [draw(st.integers(1, 4)) for _ in range(rank)]
    dilations = [draw(st.integers(1, 2 if dilated and auto == "NOTSET" else 1)) for _ in range(rank)]
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    # Where strides pass kernels, ONNX Runtime cuts off x what automatic pads would be less than nothing.
    steps = [draw(st.integers(1, k if auto.startswith("SAME") else 3)) for k in kernel]
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": steps}
    if dilated:
        attributes["dilations"] = dilations
    if auto == "NOTSET":
        # ONNX Runtime takes pads up to the kernel's own length only.
        attributes["pads"] = [draw(st.integers(0, k - 1)) for k in (*kernel, *kernel)]
        attributes["ceil_mode"] = draw(st.integers(0, 1))
    else:
        attributes["auto_pad"] = auto
    lengths = [extent + draw(st.integers(0, 6)) for extent in extents]
    return (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *lengths), attributes


@settings(deadline=None, max_examples=30)
@given(windows(), st.sampled_from([np.float32, np.int8, np.uint8]), st.booleans(), st.integers(0, 1))
def test_any_maximum(
    tmp_path_factory: Any, pocl: rx.Device, drawn: Any, kind: Any, indices: bool, storage_order: int
) -> None:
    shape, attributes = drawn
    x = (RNG.standard_normal(shape) * 9).astype(kind)
    outputs = (kind, np.int64) if indices else (kind,)
    order = {"storage_order": storage_order} if indices else {}
    one = Single(tmp_path_factory.getbasetemp(), "MaxPool", [x], opset=12, outputs=outputs, **attributes, **order)
    one.agree(pocl)


@settings(deadline=None, max_examples=30)
@given(windows(), st.integers(0, 1))
def test_any_average(tmp_path_factory: Any, pocl: rx.Device, drawn: Any, count_include_pad: int) -> None:
    shape, attributes = drawn
    more = {**attributes, "count_include_pad": count_include_pad}
    Single(tmp_path_factory.getbasetemp(), "AveragePool", [normal(*shape)], opset=19, **more).agree(pocl)


@settings(deadline=None, max_examples=20)
@given(windows(), st.integers(1, 3))
def test_any_norm(tmp_path_factory: Any, pocl: rx.Device, drawn: Any, p: int) -> None:
    shape, attributes = drawn
    Single(tmp_path_factory.getbasetemp(), "LpPool", [normal(*shape)], opset=18, p=p, **attributes).agree(pocl)


@pytest.mark.parametrize(("auto", "length"), [("VALID", 2), ("SAME_UPPER", 3), ("NOTSET", 3)])
def test_automatic_pads_decide_the_length_alone(tmp_path: Path, pocl: rx.Device, auto: str, length: int) -> None:
    window = {"kernel_shape": [3], "strides": [2], "ceil_mode": 1, "auto_pad": auto}
    got = Single(tmp_path, "MaxPool", [normal(1, 1, 6)], opset=12, **window).run(pocl)[0]
    assert got.shape == (1, 1, length)


@pytest.mark.parametrize(("op", "opset"), [("MaxPool", 1), ("MaxPool", 8), ("AveragePool", 1), ("AveragePool", 7)])
def test_older_versions(tmp_path: Path, pocl: rx.Device, op: str, opset: int) -> None:
    window = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 0, 1]}
    x = normal(2, 3, 8, 9)
    recent = Single(tmp_path, op, [x], opset=22, **window).run(pocl)
    Single(tmp_path, op, [x], opset=opset, **window).agree(pocl, recent)


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("op", "opset", "attributes"),
    [
        ("GlobalAveragePool", 1, {}),
        ("GlobalMaxPool", 22, {}),
        ("GlobalLpPool", 2, {"p": 1}),
        ("GlobalLpPool", 2, {}),
        ("GlobalLpPool", 2, {"p": 3}),
    ],
)
def test_whole_planes(
    tmp_path: Path, pocl: rx.Device, rank: int, op: str, opset: int, attributes: dict[str, Any]
) -> None:
    x = normal(2, 3, *[5, 4, 3, 2][:rank])
    order = attributes.get("p", 2)
    axes = tuple(range(2, x.ndim))
    if op != "GlobalLpPool":
        expected = (np.mean if op == "GlobalAveragePool" else np.max)(x, axis=axes, keepdims=True)
    else:
        expected = (np.abs(x) ** order).sum(axis=axes, keepdims=True) ** np.float32(1 / order)
    Single(tmp_path, op, [x], opset=opset, **attributes).agree(pocl, [expected])


@pytest.mark.parametrize(
    ("op", "shape", "attributes", "message"),
    [
        ("MaxPool", (1, 1, 4, 4), {"kernel_shape": [2]}, "for these axes"),
        ("MaxPool", (1, 1, 4, 4), {"kernel_shape": [2, 0]}, "of at least 1"),
        ("MaxPool", (1, 1, 4, 4), {"kernel_shape": [2, 2], "strides": [0, 1]}, "of at least 1"),
        ("MaxPool", (1, 1, 4, 4), {"kernel_shape": [2, 2], "pads": [0, 0, 0]}, "pads of 4"),
        ("MaxPool", (1, 1, 4, 4), {"kernel_shape": [2, 2], "pads": [2, 0, 0, 0]}, "pads shorter than the windows"),
        ("MaxPool", (1, 1, 4, 4), {"kernel_shape": [5, 1]}, "an axis that holds a window of 5"),
        ("MaxPool", (1, 1, 4, 4), {"kernel_shape": [2, 2], "auto_pad": "FULL"}, "expected auto_pad NOTSET"),
        ("MaxPool", (1, 1, 4), {"kernel_shape": [2], "storage_order": 2}, "storage_order 0 or 1, got 2"),
        ("AveragePool", (1, 4), {"kernel_shape": [2]}, "1 to 3 axes"),
        ("AveragePool", (1, 1, 2, 2, 2, 2), {"kernel_shape": [1, 1, 1, 1]}, "1 to 3 axes"),
        ("LpPool", (1, 1, 4), {"kernel_shape": [2], "p": 0}, "p above 0"),
        ("GlobalMaxPool", (1, 4), {}, "at least one axis more"),
    ],
)
def test_refusals_name_the_node(
    tmp_path: Path, pocl: rx.Device, op: str, shape: tuple[int, ...], attributes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=rf"single\.onnx: node 'single' \({op}\)\] .*{message}"):
        Single(tmp_path, op, [normal(*shape)], opset=18, **attributes).run(pocl)
