"""Arithmetic, activations, comparisons and casts: device, host and onnx's reference evaluator agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import helper

import rx580lab as rx
from tests.graph.handlers.twice import agree, close, computed, refused

RNG = np.random.default_rng(5)
X = (RNG.standard_normal((3, 1, 37)) * 3).astype(np.float32)
POSITIVE = np.abs(X) + np.float32(0.1)
UNIT = np.tanh(X) * np.float32(0.99)
WHOLES = ("int32", "int64", "uint8", "int8")


def wholes(dtype: str, *shape: int, low: int | None = None) -> npt.NDArray[Any]:
    """Half of them small, the rest anything."""
    ends = np.iinfo(dtype)
    small = RNG.integers(max(ends.min, -3), 4, shape).astype(dtype)
    wide = RNG.integers(ends.min, ends.max, shape, dtype=dtype, endpoint=True)
    made = np.where(RNG.integers(0, 2, shape) == 0, small, wide)
    return made if low is None else np.maximum(small, np.array(low, dtype))


UNARY: dict[str, tuple[npt.NDArray[np.float32], dict[str, Any]]] = {
    **dict.fromkeys(("Relu", "Sigmoid", "Tanh", "Exp", "Neg", "Abs", "Floor", "Ceil", "Round", "Softplus"), (X, {})),
    **dict.fromkeys(("Softsign", "Sign", "Erf", "Sin", "Cos", "Atan", "Sinh", "Asinh", "Mish", "HardSwish"), (X, {})),
    **dict.fromkeys(("Log", "Sqrt", "Reciprocal"), (POSITIVE, {})),
    **dict.fromkeys(("Asin", "Acos", "Tan", "Atanh", "Cosh"), (UNIT, {})),
    "Acosh": (POSITIVE + 1, {}),
    "LeakyRelu": (X, {"alpha": 0.3}),
    "Elu": (X, {"alpha": 1.7}),
    "Celu": (X, {"alpha": 1.7}),
    "Selu": (X, {"alpha": 1.5, "gamma": 2.0}),
    "HardSigmoid": (X, {"alpha": 0.4, "beta": 0.3}),
    "ThresholdedRelu": (X, {"alpha": 0.5}),
    "Gelu": (X, {"approximate": "tanh"}),
}


@pytest.mark.parametrize("op", UNARY)
def test_functions_of_one_array(tmp_path: Path, pocl: rx.Device, op: str) -> None:
    x, attributes = UNARY[op]
    agree(pocl, tmp_path, op, [x], **attributes)
    agree(pocl, tmp_path, op, [x[:0]])
    (scalar,) = computed(pocl, tmp_path, op, [x[0, 0, :1].reshape(())])
    assert scalar.shape == ()


@pytest.mark.parametrize("alpha", [1.0, 1.7])
def test_swish(tmp_path: Path, pocl: rx.Device, alpha: float) -> None:
    agree(pocl, tmp_path, "Swish", [X], opset=24, alpha=alpha)


@pytest.mark.parametrize("dtype", WHOLES)
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Max", "Min", "Equal", "Less", "GreaterOrEqual", "Mod"])
def test_whole_numbers_broadcast(tmp_path: Path, pocl: rx.Device, op: str, dtype: str) -> None:
    with np.errstate(over="ignore"):
        a, b = wholes(dtype, 4, 1, 9), wholes(dtype, 5, 1)
        agree(pocl, tmp_path, op, [a, np.where(b == 0, np.ones((), dtype), b) if op == "Mod" else b])


@pytest.mark.parametrize("dtype", WHOLES)
def test_quotients_truncate_and_a_division_by_zero_gives_zero(tmp_path: Path, pocl: rx.Device, dtype: str) -> None:
    ends = np.iinfo(dtype)
    a = np.array([7, 7, 0, 5, ends.max, ends.min], dtype)
    b = np.array([2, 3, 4, 0, 2, 3], dtype)
    (got,) = computed(pocl, tmp_path, "Div", [a, b])
    expected = [3, 2, 0, 0, ends.max // 2, -(-int(ends.min) // 3)]
    assert got.tolist() == expected


@pytest.mark.parametrize("kinds", ["ff", "fi", "if", "ii", "ll", "lf", "fl", "il"])
def test_powers_of_all_types(tmp_path: Path, pocl: rx.Device, kinds: str) -> None:
    types = {"f": "float32", "i": "int32", "l": "int64"}
    base = np.array([[1, 2, 3], [4, 5, 6], [-1, -2, 7]]).astype(types[kinds[0]])
    exponent = np.array([0, 3, 7]).astype(types[kinds[1]])
    (got,) = computed(pocl, tmp_path, "Pow", [base, exponent])
    close(got, np.array([[1, 8, 2187], [1, 125, 279936], [1, -8, 823543]]).astype(types[kinds[0]]))


def test_powers_at_their_edges(tmp_path: Path, pocl: rx.Device) -> None:
    base = np.array([1, -1, -1, 2, 0, 3, 10], np.int32)
    exponent = np.array([-5, -5, -4, -1, -3, 40, 2], np.int32)
    (got,) = computed(pocl, tmp_path, "Pow", [base, exponent])
    assert got.tolist() == [1, -1, 1, 0, 0, (3**40 + 2**31) % 2**32 - 2**31, 100]
    (got,) = computed(pocl, tmp_path, "Pow", [np.array([2, 9, 10], np.int32), np.array([0.5, 0.5, 2.5], np.float32)])
    assert got.tolist() == [1, 3, 316]
    (got,) = computed(pocl, tmp_path, "Pow", [X, np.array(2, np.float32)])
    close(got, X * X)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=4, max_side=5, min_side=0),
    st.sampled_from(["Add", "Mul", "Sub", "Div", "Pow", "Max", "Min", "Sum", "Mean", "Where", "Less"]),
    st.integers(0, 2**32 - 1),
)
def test_any_shapes_broadcast(
    tmp_path: Path, pocl: rx.Device, shapes: hnp.BroadcastableShapes, op: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    arrays: list[npt.NDArray[Any]] = [rng.uniform(0.5, 2, shape).astype(np.float32) for shape in shapes.input_shapes]
    if op == "Mean":  # onnx's evaluator adds in place of the first
        arrays[0] = np.broadcast_to(arrays[0], shapes.result_shape).copy()
    if op == "Where":
        arrays[0] = arrays[0] > 1
    agree(pocl, tmp_path, op, arrays if op in ("Where", "Max", "Min", "Sum", "Mean") else arrays[1:])


@pytest.mark.parametrize("op", ["Max", "Min", "Sum", "Mean"])
def test_one_array_is_itself(tmp_path: Path, pocl: rx.Device, op: str) -> None:
    agree(pocl, tmp_path, op, [X])


@pytest.mark.parametrize(
    ("op", "function"), [("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply), ("Div", np.divide)]
)
@pytest.mark.parametrize(("shape", "axis"), [((3, 4), 1), ((4, 5), None), ((2,), 0), ((), None), ((1, 1), None)])
def test_before_version_7_axis_says_where_operands_meet(
    tmp_path: Path, pocl: rx.Device, op: str, function: Any, shape: tuple[int, ...], axis: int | None
) -> None:
    a, b = (RNG.uniform(1, 2, one).astype(np.float32) for one in ((2, 3, 4, 5), shape))
    b = np.asarray(b, np.float32)
    attributes: dict[str, Any] = {"broadcast": 1} if axis is None else {"broadcast": 1, "axis": axis}
    (got,) = computed(pocl, tmp_path, op, [a, b], opset=6, **attributes)
    start = 4 - b.ndim if axis is None else axis
    close(got, function(a, b.reshape((*b.shape, *[1] * (4 - start - b.ndim))) if b.size > 1 else b.reshape(())))


def test_comparisons_before_version_7(tmp_path: Path, pocl: rx.Device) -> None:
    a, b = RNG.integers(0, 2, (2, 3)).astype(np.bool_), RNG.integers(0, 2, 2).astype(np.bool_)
    for op, function in (("And", np.logical_and), ("Or", np.logical_or), ("Xor", np.logical_xor)):
        (got,) = computed(pocl, tmp_path, op, [a, b], opset=6, broadcast=1, axis=0)
        close(got, function(a, b[:, None]))


@pytest.mark.parametrize("bounds", [(-1, 1), (None, 1), (-1, None), (None, None), (1, -1)])
@pytest.mark.parametrize("dtype", ["float32", "int32", "int8"])
def test_clip(tmp_path: Path, pocl: rx.Device, dtype: str, bounds: tuple[int | None, int | None]) -> None:
    x = np.arange(-5, 6).astype(dtype)
    limits = [None if one is None else np.array(one, dtype) for one in bounds]
    agree(pocl, tmp_path, "Clip", [x, *limits], opset=13)
    if dtype == "float32":
        ends: dict[str, Any] = {
            name: float(one) for name, one in zip(("min", "max"), bounds, strict=True) if one is not None
        }
        low, high = ends.get("min", -np.inf), ends.get("max", np.inf)
        (got,) = computed(pocl, tmp_path, "Clip", [x], opset=6, **ends)
        close(got, np.minimum(np.maximum(x, np.float32(low)), np.float32(high)))


TYPES = ("float32", "float16", "int32", "int64", "uint8", "int8", "bool")


@pytest.mark.parametrize("source", TYPES)
def test_casts(tmp_path: Path, pocl: rx.Device, source: str) -> None:
    x = np.array([0, 1, 2.9, -2.9, 100.5, -0.5, 127], np.float32).astype(source)
    for target in TYPES:
        (got,) = computed(
            pocl, tmp_path, "Cast", [x], dtypes=[target], to=helper.np_dtype_to_tensor_dtype(np.dtype(target))
        )
        inside = np.maximum(x, 0) if target == "uint8" and x.dtype.kind == "f" else x
        close(got, inside.astype(target))
    (got,) = computed(pocl, tmp_path, "Cast", [x], opset=5, dtypes=["int32"], to="INT32")
    close(got, x.astype(np.int32))
    (got,) = computed(pocl, tmp_path, "CastLike", [x, np.zeros(1, np.int64)], dtypes=["int64"])
    close(got, x.astype(np.int64))


def test_floats_beyond_an_integer_type_take_its_nearest_end(tmp_path: Path, pocl: rx.Device) -> None:
    x = np.array([300, -300, np.nan, np.inf, -np.inf, 1e20], np.float32)
    (got,) = computed(pocl, tmp_path, "Cast", [x], dtypes=["int8"], to=3)
    assert got.tolist() == [127, -128, 0, 127, -128, 127]


@pytest.mark.parametrize(("negative", "positive"), [(1, 1), (0, 1), (1, 0), (0, 0)])
def test_infinities_by_their_sign(tmp_path: Path, pocl: rx.Device, negative: int, positive: int) -> None:
    x = np.array([np.inf, -np.inf, np.nan, 0, 3e38], np.float32)
    agree(pocl, tmp_path, "IsInf", [x], detect_negative=negative, detect_positive=positive)
    agree(pocl, tmp_path, "IsNaN", [x])


def test_bits_and_truth(tmp_path: Path, pocl: rx.Device) -> None:
    a, b = wholes("int32", 9), wholes("int32", 9)
    for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
        agree(pocl, tmp_path, op, [a, b])
    agree(pocl, tmp_path, "BitwiseNot", [a])
    agree(pocl, tmp_path, "Not", [a > 0])
    for op in ("And", "Or", "Xor", "Equal"):
        agree(pocl, tmp_path, op, [a > 0, b > 0])


def test_slopes(tmp_path: Path, pocl: rx.Device) -> None:
    agree(pocl, tmp_path, "PRelu", [X, np.full((37,), 0.25, np.float32)])
    x, slope = RNG.standard_normal((2, 3, 4)).astype(np.float32), np.array([0.1, 0.2, 0.3], np.float32)
    (got,) = computed(pocl, tmp_path, "PRelu", [x, slope], opset=6)
    close(got, np.where(x < 0, x * slope[:, None], x))


def test_what_does_not_fit_is_refused(tmp_path: Path, pocl: rx.Device) -> None:
    a, b = np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)
    refused(pocl, tmp_path, r"expected shapes that broadcast, got \(2, 3\) and \(2, 4\)", "Add", [a, b])
    refused(pocl, tmp_path, "float32 .*as A, got int32", "Add", [a, b.astype(np.int32)])
    refused(pocl, tmp_path, r"expected inputs of one shape, since broadcast is 0", "Add", [a, a[0]], opset=6)
    refused(pocl, tmp_path, r"expected axes of \(2, 3\) from 0", "Add", [a, a[0]], opset=6, broadcast=1, axis=0)
    refused(pocl, tmp_path, "expected approximate to be none or tanh, got 'erf'", "Gelu", [a], approximate="erf")
    refused(pocl, tmp_path, "expected fmod to be 1 for float32", "Mod", [a, a])
    refused(pocl, tmp_path, r"expected a slope that broadcasts to \(2, 3\)", "PRelu", [a, np.zeros((4, 2, 3), "f")])
    refused(pocl, tmp_path, r"expected scalar bounds of float32, got float32 \(2, 3\)", "Clip", [a, a])
    refused(pocl, tmp_path, "expected elements of bool, float16", "Cast", [a], to=8)
