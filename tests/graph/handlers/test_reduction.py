"""Reductions over axes from attributes and from inputs: device, host and onnx's reference evaluator agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rx580lab as rx
from tests.graph.handlers.twice import agree, close, computed, refused

RNG = np.random.default_rng(6)
X = RNG.uniform(0.5, 2, (3, 4, 5)).astype(np.float32)
WHOLE = RNG.integers(-4, 5, (3, 4, 5))
OPS = ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSum", "LogSumExp")


def axes(*numbers: int) -> npt.NDArray[np.int64]:
    return np.array(numbers, np.int64)


@pytest.mark.parametrize("op", OPS)
def test_floats(tmp_path: Path, pocl: rx.Device, op: str) -> None:
    name = f"Reduce{op}"
    agree(pocl, tmp_path, name, [X, axes(0, -1)], keepdims=0)
    agree(pocl, tmp_path, name, [X, None], keepdims=1)
    agree(pocl, tmp_path, name, [X, axes()], noop_with_empty_axes=1)
    agree(pocl, tmp_path, name, [X], opset=11, axes=[1], keepdims=0)


@pytest.mark.parametrize("dtype", ["int32", "int64", "int8", "uint8"])
@pytest.mark.parametrize("op", ["Sum", "Max", "Min", "Prod", "L1", "SumSquare", "Mean"])
def test_whole_numbers(tmp_path: Path, pocl: rx.Device, op: str, dtype: str) -> None:
    x = np.abs(WHOLE).astype(dtype) if op == "Mean" else WHOLE.astype(dtype)
    if op == "SumSquare" and dtype == "int32":  # onnx's evaluator answers in int64
        (got,) = computed(pocl, tmp_path, "ReduceSumSquare", [x, axes(1)])
        close(got, np.square(x).sum(axis=1, keepdims=True, dtype=np.int32))
    elif op in ("Max", "Min") or dtype in ("int32", "int64"):
        agree(pocl, tmp_path, f"Reduce{op}", [x, axes(1)])


@pytest.mark.parametrize(("op", "expected"), [("L2", [5, 2]), ("LogSumExp", [4, 2]), ("LogSum", [1, 1])])
def test_norms_and_logarithms_of_whole_numbers_truncate(
    tmp_path: Path, pocl: rx.Device, op: str, expected: list[int]
) -> None:
    (got,) = computed(pocl, tmp_path, f"Reduce{op}", [np.array([[3, 4], [1, 2]], np.int32), axes(1)], keepdims=0)
    assert got.tolist() == expected


@pytest.mark.parametrize("op", ["Max", "Min"])
def test_truth_values(tmp_path: Path, pocl: rx.Device, op: str) -> None:
    x = RNG.integers(0, 2, (5, 3)).astype(np.bool_)
    function = np.any if op == "Max" else np.all
    for given_axes in ((0,), (0, 1)):
        (got,) = computed(pocl, tmp_path, f"Reduce{op}", [x, axes(*given_axes)], keepdims=0)
        close(got, np.asarray(function(x, axis=given_axes)))


@pytest.mark.parametrize(
    ("op", "expected"),
    [("Sum", 0), ("Prod", 1), ("Max", -np.inf), ("Min", np.inf), ("L2", 0), ("LogSum", -np.inf), ("Mean", np.nan)],
)
def test_nothing(tmp_path: Path, pocl: rx.Device, op: str, expected: float) -> None:
    x = np.zeros((2, 0, 3), np.float32)
    (got,) = computed(pocl, tmp_path, f"Reduce{op}", [x, axes(1)])
    close(got, np.full((2, 1, 3), expected, np.float32))
    (got,) = computed(pocl, tmp_path, f"Reduce{op}", [x, axes(2)], keepdims=0)
    assert got.shape == (2, 0)


@pytest.mark.parametrize(("op", "expected"), [("Max", False), ("Min", True)])
def test_no_truth_values(tmp_path: Path, pocl: rx.Device, op: str, expected: bool) -> None:
    (got,) = computed(pocl, tmp_path, f"Reduce{op}", [np.zeros((2, 0), np.bool_), axes(1)])
    assert got.tolist() == [[expected]] * 2


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_axes(tmp_path: Path, pocl: rx.Device, data: Any) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    some = data.draw(st.lists(st.integers(-len(shape), len(shape) - 1), unique_by=lambda axis: axis % len(shape)))
    op, keepdims = data.draw(st.sampled_from(OPS)), data.draw(st.integers(0, 1))
    x = np.random.default_rng(len(some)).uniform(0.5, 2, shape).astype(np.float32)
    noop = data.draw(st.integers(0, 1))
    agree(pocl, tmp_path, f"Reduce{op}", [x, axes(*some)], keepdims=keepdims, noop_with_empty_axes=noop)


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("last", [0, 1])
def test_places(tmp_path: Path, pocl: rx.Device, op: str, last: int) -> None:
    for x in (WHOLE.astype(np.int32), WHOLE.astype(np.float32), WHOLE.astype(np.int8)):
        agree(pocl, tmp_path, op, [x], axis=1, keepdims=0, select_last_index=last)
        agree(pocl, tmp_path, op, [x], axis=-1, select_last_index=last)


def test_what_does_not_fit_is_refused(tmp_path: Path, pocl: rx.Device) -> None:
    refused(pocl, tmp_path, r"expected axes from -3 to 2, got \[3\]", "ReduceSum", [X, axes(3)])
    refused(pocl, tmp_path, r"expected each axis once, got \[0, -3\]", "ReduceMax", [X, axes(0, -3)])
    refused(pocl, tmp_path, r"expected axes from -3 to 2, got \[5\]", "ReduceMean", [X], opset=13, axes=[5])
    refused(pocl, tmp_path, "expected elements to choose from", "ArgMax", [np.zeros((2, 0), np.float32)], axis=1)
