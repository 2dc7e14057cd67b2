"""Shapes, constants, movement and indexing: device, host and onnx's reference evaluator agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, helper, numpy_helper

import rx580lab as rx
from tests.graph.build import node, write
from tests.graph.handlers.twice import agree, close, computed, refused

RNG = np.random.default_rng(7)
X = RNG.standard_normal((2, 3, 4)).astype(np.float32)


def ints(*numbers: int) -> npt.NDArray[np.int64]:
    return np.array(numbers, np.int64)


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bool", "float64", "uint16"])
def test_shapes_change_and_elements_stay(tmp_path: Path, pocl: rx.Device, dtype: str) -> None:
    x = (X * 10).astype(np.int64).astype(dtype)
    agree(pocl, tmp_path, "Reshape", [x, ints(0, -1)])
    agree(pocl, tmp_path, "Flatten", [x], axis=2)
    agree(pocl, tmp_path, "Transpose", [x], perm=[2, 0, 1])
    agree(pocl, tmp_path, "Unsqueeze", [x, ints(0, -1)])
    agree(pocl, tmp_path, "Squeeze", [x[:1], ints(-3)])
    agree(pocl, tmp_path, "Identity", [x])
    agree(pocl, tmp_path, "Concat", [x, x[:, :1], x[:, :0]], axis=1)
    agree(pocl, tmp_path, "Tile", [x, ints(2, 1, 3)])
    agree(pocl, tmp_path, "Expand", [x[:, :1], ints(2, 3, 1)])


def test_shapes_of_old_files(tmp_path: Path, pocl: rx.Device) -> None:
    (got,) = computed(pocl, tmp_path, "Reshape", [X], opset=1, shape=[4, -1])
    close(got, X.reshape(4, 6))
    agree(pocl, tmp_path, "Unsqueeze", [X], opset=11, axes=[1])
    agree(pocl, tmp_path, "Squeeze", [X[:1]], opset=11, axes=[0])
    agree(pocl, tmp_path, "Squeeze", [X[:1, :1]], opset=11)
    agree(pocl, tmp_path, "Flatten", [X], opset=1, axis=0)
    (got,) = computed(pocl, tmp_path, "Concat", [X, X], opset=1)
    close(got, np.concatenate([X, X], 1))
    (got,) = computed(pocl, tmp_path, "Slice", [X], opset=1, starts=[0, -3], ends=[9, -1], axes=[1, 2])
    close(got, X[:, 0:9, -3:-1])
    (got,) = computed(pocl, tmp_path, "Pad", [X], opset=2, pads=[0, 1, 0, 0, 0, 2], value=1.5, mode="constant")
    close(got, np.pad(X, ((0, 0), (1, 0), (0, 2)), constant_values=1.5))
    (got,) = computed(pocl, tmp_path, "Tile", [X, np.array([2], "f"), np.array([1], "f")], opset=1)
    close(got, np.tile(X, (1, 2, 1)))


@pytest.mark.parametrize(("start", "end"), [(0, None), (1, None), (-1, None), (0, -1), (-9, 9), (2, 1)])
def test_shapes_and_sizes(tmp_path: Path, pocl: rx.Device, start: int, end: int | None) -> None:
    attributes = {"start": start} if end is None else {"start": start, "end": end}
    agree(pocl, tmp_path, "Shape", [X], **attributes)
    agree(pocl, tmp_path, "Size", [X])


@pytest.mark.parametrize(
    ("name", "value", "dtype"),
    [
        ("value_float", 1.5, "float32"),
        ("value_int", 7, "int64"),
        ("value_floats", [1.5, 2], "float32"),
        ("value_ints", [], "int64"),
    ],
)
def test_constants(tmp_path: Path, pocl: rx.Device, name: str, value: Any, dtype: str) -> None:
    made = node("Constant", [], ["y"])
    made.attribute.append(_attribute(name, value))
    path = write(tmp_path / "c.onnx", [made], {}, {"y": (dtype, None)})
    close(rx.load(path, pocl).run({})["y"], np.array(value, dtype))


def _attribute(name: str, value: Any) -> Any:
    kind = AttributeProto.INTS if value == [] else None
    return helper.make_attribute(name, value, attr_type=kind)


def test_arrays_that_shapes_decide(tmp_path: Path, pocl: rx.Device) -> None:
    value = numpy_helper.from_array(np.array([3], np.int8))
    agree(pocl, tmp_path, "ConstantOfShape", [ints(2, 0, 3)], value=value)
    agree(pocl, tmp_path, "ConstantOfShape", [ints()], value=value)
    agree(pocl, tmp_path, "EyeLike", [X[0]], k=1, dtype=6)
    for scalars in ((10, 4, -2), (0, 7, 3), (3, 3, 1), (0, -1, 5)):
        agree(pocl, tmp_path, "Range", [np.array(one, np.int64) for one in scalars])
        agree(pocl, tmp_path, "Range", [np.array(one, np.float32) for one in scalars])


def test_a_filling_too_large_for_the_host_is_made_on_the_device(tmp_path: Path, pocl: rx.Device) -> None:
    nodes = [node("ConstantOfShape", ["n"], ["c"]), node("ReduceSum", ["c"], ["y"], keepdims=0)]
    path = write(tmp_path / "big.onnx", nodes, {}, {"y": (np.float32, [])}, {"n": ints(5, 4 << 20)})
    model = rx.load(path, pocl)
    assert [step.ops for step in model.plan({}).steps] == [("expand",), ("reduce",)]
    assert model.run({})["y"] == 0


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_slice(tmp_path: Path, pocl: rx.Device, data: Any) -> None:
    n = data.draw(st.integers(1, 3))
    some = data.draw(st.permutations(range(-3, 0)))[:n]
    # Backwards from a start in front of the axis, onnx's evaluator is numpy and finds nothing: a test of its own.
    bound = st.one_of(st.integers(-6, 6), st.sampled_from([-(2**63), 2**63 - 1]))
    starts, ends = (data.draw(st.lists(bound, min_size=n, max_size=n)) for _ in range(2))
    steps = data.draw(st.lists(st.sampled_from([-2, -1, 1, 2, 5]), min_size=n, max_size=n))
    starts = [
        max(start, -X.shape[axis]) if step < 0 else start for start, axis, step in zip(starts, some, steps, strict=True)
    ]
    agree(pocl, tmp_path, "Slice", [X, ints(*starts), ints(*ends), ints(*some), ints(*steps)])


def test_backwards_from_in_front_of_an_axis(tmp_path: Path, pocl: rx.Device) -> None:
    for start in (-(2**63), -9):
        (got,) = computed(pocl, tmp_path, "Slice", [X, ints(start), ints(-(2**63)), ints(1), ints(-1)])
        close(got, X[:, :1])


@pytest.mark.parametrize("axis", [0, -1])
def test_splits(tmp_path: Path, pocl: rx.Device, axis: int) -> None:
    x = RNG.standard_normal((6, 2, 7 if axis else 3)).astype(np.float32)
    length = x.shape[axis]
    agree(pocl, tmp_path, "Split", [x, ints(1, 0, length - 1)], axis=axis, n_outputs=3)
    agree(pocl, tmp_path, "Split", [x], axis=axis, num_outputs=4, n_outputs=4)
    halves = computed(pocl, tmp_path, "Split", [x], opset=2, axis=1, dtypes=["float32"] * 2)
    close(np.concatenate(halves, 1), x)
    parts = computed(pocl, tmp_path, "Split", [x], opset=11, axis=axis, split=[2, length - 2], dtypes=["float32"] * 2)
    close(parts[0], np.take(x, [0, 1], axis))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "bool"])
def test_margins(tmp_path: Path, pocl: rx.Device, mode: str, dtype: str) -> None:
    x = (X * 5).astype(dtype)
    value = np.array(1, dtype) if mode == "constant" else None
    agree(pocl, tmp_path, "Pad", [x, ints(0, 1, 2, 1, 0, 3), value], mode=mode)
    agree(pocl, tmp_path, "Pad", [x, ints(2, 1), None, ints(-1)], mode=mode)
    (got,) = computed(pocl, tmp_path, "Pad", [x, ints(-1, 0, 0, 0, -2, 1), value], mode=mode)
    edges = {"edge": x[1:, :1, -1:], "constant": np.ones((1, 1, 1), dtype), "reflect": x[1:, :1, -2:-1]}
    close(got, np.concatenate([x[1:, :1], edges.get(mode, x[1:, :1, :1])], 2))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_blocks(tmp_path: Path, pocl: rx.Device, mode: str) -> None:
    x = RNG.standard_normal((2, 12, 3, 5)).astype(np.float32)
    agree(pocl, tmp_path, "DepthToSpace", [x], blocksize=2, mode=mode)
    agree(pocl, tmp_path, "SpaceToDepth", [x.reshape(2, 3, 6, 10)], blocksize=2)


@pytest.mark.parametrize("upper", [0, 1])
def test_triangles(tmp_path: Path, pocl: rx.Device, upper: int) -> None:
    agree(pocl, tmp_path, "Trilu", [X], upper=upper)
    agree(pocl, tmp_path, "Trilu", [X.astype(np.int64), np.array(-1)], upper=upper)


@pytest.mark.parametrize("index", ["int32", "int64"])
def test_indices(tmp_path: Path, pocl: rx.Device, index: str) -> None:
    some = np.array([[0, -1], [1, 2]], index)
    agree(pocl, tmp_path, "Gather", [X, some], axis=1)
    agree(pocl, tmp_path, "Gather", [X, np.array(-1, index)], axis=-1)
    elements = np.array([[[0, -1, 1, 2], [1, 0, 0, 0]]] * 2, index)
    agree(pocl, tmp_path, "GatherElements", [X, elements], axis=1)
    updates = np.ones_like(elements, np.float32)
    agree(pocl, tmp_path, "ScatterElements", [X, elements, updates], axis=1)
    (got,) = computed(pocl, tmp_path, "Scatter", [X, elements, updates], opset=10, axis=1)
    expected = X.copy()
    np.put_along_axis(expected, elements.astype(np.int64), 1, 1)
    close(got, expected)


def test_indices_of_several_axes(tmp_path: Path, pocl: rx.Device) -> None:
    places = ints(0, 1, 1, -1).reshape(2, 2)
    agree(pocl, tmp_path, "GatherND", [X, places])
    agree(pocl, tmp_path, "GatherND", [X, ints(2, 0).reshape(2, 1)], batch_dims=1)
    agree(pocl, tmp_path, "ScatterND", [X, ints(0, 1, 1, 2).reshape(2, 2), np.ones((2, 4), np.float32)])


def test_places_that_are_not_zero(tmp_path: Path, pocl: rx.Device) -> None:
    for x in (X > 0, ints(0, 3, 0, -1), np.zeros((2, 3), np.float32)):
        agree(pocl, tmp_path, "NonZero", [x])
    (got,) = computed(pocl, tmp_path, "NonZero", [np.array(True)], dtypes=["int64"])
    assert got.tolist() == [[0]]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_one_of_many(tmp_path: Path, pocl: rx.Device, axis: int) -> None:
    some = np.array([[0, 2, -1], [5, -5, 1]], np.int64)
    (got,) = computed(
        pocl, tmp_path, "OneHot", [some, np.array(4), np.array([0.5, 2], "f")], axis=axis, dtypes=["float32"]
    )
    each = np.moveaxis(np.arange(4) == np.where(some < 0, some + 4, some)[..., None], -1, axis)
    close(got, np.where(each, np.float32(2), np.float32(0.5)))


@pytest.mark.parametrize("largest", [0, 1])
def test_the_best(tmp_path: Path, pocl: rx.Device, largest: int) -> None:
    agree(pocl, tmp_path, "TopK", [X, ints(2)], axis=1, largest=largest, n_outputs=2)
    agree(pocl, tmp_path, "TopK", [(X * 9).astype(np.int64), ints(3)], largest=largest, n_outputs=2)


def test_what_does_not_fit_is_refused(tmp_path: Path, pocl: rx.Device) -> None:
    def check(match: str, op: str, *inputs: npt.NDArray[Any], **attributes: Any) -> None:
        refused(pocl, tmp_path, match, op, inputs, **attributes)

    check(r"expected a shape of 24 elements for \(2, 3, 4\), got \[5, -1\]", "Reshape", X, ints(5, -1))
    check(r"expected perm to order 3 axes, got \[0, 0, 1\]", "Transpose", X, perm=[0, 0, 1])
    check(r"expected axes of length 1, got \[0\] of \(2, 3, 4\)", "Squeeze", X, ints(0))
    check("expected each axis once", "Unsqueeze", X, ints(0, 0))
    check("expected an axis from -3 to 3, got 4", "Flatten", X, axis=4)
    check("expected inputs of one type and of one shape but along axis 0", "Concat", X, X[:, :1], axis=0)
    check("expected 1 parts of 3 together, got", "Split", X, ints(1), axis=1)
    check("expected as many ends, axes and steps but 0", "Slice", X, ints(0), ints(1), ints(0), ints(0))
    check("expected 3 repeats of 0 or more", "Tile", X, ints(1))
    check("expected 6 pads", "Pad", X, ints(1, 1))
    check("expected pads that leave something", "Pad", X, ints(0, -4, 0, 0, 0, 0))
    check(r"expected \(N, C, H, W\) that blocks of 2 divide", "DepthToSpace", X, blocksize=2)
    check(
        "expected reduction to be none", "ScatterElements", X, ints(0).reshape(1, 1, 1), X[:1, :1, :1], reduction="add"
    )
    check("expected k from 0 to 4, got 5", "TopK", X, ints(5), n_outputs=2)
    check("expected a step other than 0", "Range", ints(0).reshape(()), ints(1).reshape(()), ints(0).reshape(()))
    check("expected a matrix", "EyeLike", X)
    check(r"expected indices within \(2, 3, 4\) but along axis 0", "GatherElements", X, ints(0))
    check("expected lengths of 0 or more", "ConstantOfShape", ints(-1))
