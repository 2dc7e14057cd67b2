"""``elementwise``: every function on every type, however its operands meet, by every template."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import rx580lab as rx
from rx580lab.compile import kernels_dir
from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops._elementwise_functions import CAST_CODES, FUNCTIONS, ORDER
from rx580lab.ops.elementwise import SPEC, elementwise, plan
from rx580lab.reference import compare
from rx580lab.reference.elementwise import elementwise as oracle
from rx580lab.reference.elementwise import elementwise_tolerance
from rx580lab.selftest import prepare, suite
from rx580lab.selftest.check import stand_up
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize(("template", "n"), [("plain", 390), ("cpu", 340)])
def test_cases(pocl: Device, template: str, n: int) -> None:
    assert sweep(pocl, "elementwise", template) >= n


def test_the_large_sizes_stream_past_the_caches(pocl: Device) -> None:
    assert sweep(pocl, "elementwise", "cpu", tiers=("large",)) == 2


@pytest.mark.parametrize("params", [{"TILE": 1000, "STREAM_FROM": 1}, {"TILE": 37, "STREAM_FROM": 8388608}])
def test_parameters_change_nothing(pocl: Device, params: dict[str, int]) -> None:
    tried = [
        case
        for case in suite("elementwise").cases
        if case.name.startswith("add of float32") and "8388" not in case.name
    ]
    assert len(tried) >= 15
    for case in tried:
        outcome = stand_up(pocl, "cpu", prepare("elementwise", case), params=params).judge()
        assert outcome.ok, f"{case.name}: {outcome.reason}"


def test_every_function_has_a_case() -> None:
    tried = {str(case.keywords["function"]) for case in suite("elementwise").cases}
    assert tried == set(FUNCTIONS) - {"clip_scalar"}


def test_codes_are_those_of_the_kernels() -> None:
    header = (kernels_dir() / "include" / "elementwise.h").read_text(encoding="utf-8")
    listed = re.search(r"enum function \{(.*?)\};", header, re.DOTALL)
    assert listed is not None
    assert tuple(name.lower() for name in re.findall(r"\w+", listed.group(1))) == ORDER
    assert set(ORDER) == set(FUNCTIONS) - {"cast"}
    text = (kernels_dir() / "elementwise_cast.cl").read_text(encoding="utf-8")
    codes = {name.lower(): int(code) for name, code in re.findall(r"#define (F32|F16|I32|I64|U8|I8|BOOL) (\d)", text)}
    short = {"float32": "f32", "float16": "f16", "int32": "i32", "int64": "i64", "uint8": "u8", "int8": "i8"}
    assert codes == {short.get(name, name): code for name, code in CAST_CODES.items()}


def assert_right(got: npt.NDArray[Any], *arrays: npt.NDArray[Any], **keywords: Any) -> None:
    expected, allowed = oracle(*arrays, **keywords), elementwise_tolerance(*arrays, **keywords)
    outcome = compare(got, expected, allowed, dtype=got.dtype)
    assert outcome.ok, outcome.reason


def dense() -> npt.NDArray[np.float32]:
    """Every 6007th bit pattern of fp32 without subnormal numbers, and all around 0 closely."""
    x = np.arange(0, 2**32, 6007, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = np.where(np.isnan(x), np.float32(np.nan), x)
    return np.concatenate([x[~(np.abs(x) < 2.0**-126)], np.linspace(-12, 12, 100001, dtype=np.float32)])


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize(
    "function", ["exp", "log", "erf", "tanh", "floor", "ceil", "round", "sign", "sqrt", "reciprocal"]
)
def test_bounds_over_all_of_fp32(pocl: Device, template: str, function: str) -> None:
    x = dense()
    assert_right(elementwise(pocl, x, function=function, template=template), x, function=function)


@settings(deadline=None, max_examples=60)
@given(
    hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=6, max_side=7, min_side=0),
    st.sampled_from(["float32", "float16", "int32", "int64", "uint8", "int8", "bool"]),
    st.sampled_from(TEMPLATES),
    st.integers(0, 2**32 - 1),
)
def test_any_shapes_broadcast_as_numpy_has_it(
    pocl: Device, shapes: hnp.BroadcastableShapes, dtype: str, template: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    arrays = [rng.integers(0, 2, shape).astype(np.bool_) for shape in shapes.input_shapes[:1]]
    arrays += [rng.integers(0, 100, shape).astype(dtype) for shape in shapes.input_shapes[1:]]
    got = elementwise(pocl, *arrays, function="where", template=template)
    np.testing.assert_array_equal(got, np.where(*arrays))
    assert got.dtype == dtype
    equal = elementwise(pocl, *arrays[1:], function="equal", template=template)
    np.testing.assert_array_equal(equal, arrays[1] == arrays[2])


@settings(deadline=None, max_examples=120)
@given(st.integers(0, 2**32 - 1), st.sampled_from(TEMPLATES))
def test_random_cases(pocl: Device, seed: int, template: str) -> None:
    prepared = prepare("elementwise", suite("elementwise").random(np.random.default_rng(seed)))
    if SPEC.template(template).applies(pocl, prepared.shape) is None:
        outcome = stand_up(pocl, template, prepared).judge()
        assert outcome.ok, f"{prepared.case.name}: {outcome.reason}"


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.int8])
def test_whole_numbers_wrap_truncate_and_never_trap(pocl: Device, template: str, dtype: type[Any]) -> None:
    ends = np.iinfo(dtype)
    a = np.array([ends.min, ends.min, ends.max, 7, -7, 7, -7, 5], dtype)
    b = np.array([-1, 0, 1, 2, 2, -2, -2, 0], dtype)

    def of(function: str) -> list[int]:
        return [int(v) for v in elementwise(pocl, a, b, function=function, template=template)]

    assert of("div") == [ends.min, 0, ends.max, 3, -3, -3, 3, 0]
    assert of("fmod") == [0, 0, 0, 1, -1, 1, -1, 0]
    assert of("mod") == [0, 0, 0, 1, 1, -1, -1, 0]
    assert of("add") == [ends.max, ends.min, ends.min, 9, -5, 5, -9, 5]
    assert elementwise(pocl, a[:1], function="abs", template=template)[0] == ends.min


@pytest.mark.parametrize("template", TEMPLATES)
def test_cast_saturates_truncates_and_wraps(pocl: Device, template: str) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 2.9, -2.9, 255.5, -0.5, 2147483648.0], np.float32)

    def to(dtype: type[Any], values: npt.NDArray[Any]) -> list[Any]:
        return list(elementwise(pocl, values, function="cast", to=dtype, template=template).tolist())

    assert to(np.uint8, x) == [0, 255, 0, 255, 0, 2, 0, 255, 0, 255]
    assert to(np.int8, x) == [0, 127, -128, 127, -128, 2, -2, 127, 0, 127]
    top = 2**31 - 1
    assert to(np.int32, x) == [0, top, -(2**31), top, -(2**31), 2, -2, 255, 0, top]
    assert to(np.int64, x)[1:4] == [2**63 - 1, -(2**63), 2**63 - 1]
    assert to(np.bool_, x) == [True] * 10
    assert to(np.int8, np.array([300, -129, 128], np.int32)) == [44, 127, -128]
    assert to(np.float32, np.array([2**24 + 1, -(2**62) - 1], np.int64)) == [2.0**24, -(2.0**62)]


def test_a_bound_that_is_not_given_does_not_bind(pocl: Device) -> None:
    x = np.linspace(-4, 4, 33, dtype=np.float32)
    two = np.array(2, np.float32)
    np.testing.assert_array_equal(elementwise(pocl, x, None, two, function="clip"), np.minimum(x, 2))
    np.testing.assert_array_equal(elementwise(pocl, x, -two, None, function="clip"), np.maximum(x, -2))
    whole = np.arange(-5, 5, dtype=np.int8)
    np.testing.assert_array_equal(elementwise(pocl, whole, None, None, function="clip"), whole)


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("n", [5, 37, 40009])
def test_in_place(pocl: Device, template: str, n: int) -> None:
    host = np.random.default_rng(n).standard_normal(n).astype(np.float32)
    x, y = pocl.upload(host), pocl.upload(host[:1])
    assert elementwise(pocl, x, y, function="sub", out=x, template=template) is x
    np.testing.assert_array_equal(x.download(), host - host[0])


def test_an_out_that_would_be_overwritten_while_it_is_read_is_refused(pocl: Device) -> None:
    row, whole = pocl.zeros((1, 5)), pocl.zeros((4, 5))
    with pytest.raises(ShapeError, match="expected out of shape"):
        elementwise(pocl, row, whole, function="add", out=row)
    with pytest.raises(InputError, match="expected out to share memory only with an input of its shape"):
        elementwise(pocl, whole.reshape(20), whole.reshape(1, 20), function="add", out=whole.reshape(1, 20))


def test_kinds_of_arrays(pocl: Device) -> None:
    x = np.ones((2, 3), np.float32)
    assert isinstance(rx.ops.elementwise(pocl, x, x, function="add"), np.ndarray)
    assert isinstance(rx.ops.elementwise(pocl, x, pocl.upload(x), function="add"), Array)
    planned = plan(pocl, np.empty((0, 3), np.float32), x[:1], function="add")
    assert planned.launches == ()
    assert planned.out.shape == (0, 3)


def test_choice_and_cost(pocl: Device) -> None:
    x = np.ones((3, 5), np.float32)
    assert plan(pocl, x, function="exp").template == "cpu"
    assert plan(pocl, x, function="sin").template == "plain"
    shape = SPEC.shape(x, x[0], function="less")
    assert SPEC.cost(shape).bytes == 60 + 20 + 15
    assert SPEC.cost(shape).flop == 15


@pytest.mark.parametrize(
    ("arrays", "keywords", "error", "reason"),
    [
        (["f"], {"function": "swoosh"}, InputError, "expected a function among .*, got 'swoosh'"),
        (["f"], {"function": "clip_scalar"}, InputError, "got 'clip_scalar'"),
        (["f"], {"function": "add"}, ShapeError, "expected 2 arrays for add, got 1"),
        (["f", None], {"function": "add"}, ShapeError, "expected 2 arrays for add, got 1"),
        ([None, "f", "f"], {"function": "clip"}, ShapeError, "expected an array to clip"),
        (["f", "i"], {"function": "add"}, DtypeError, "expected arrays of one type for add, got float32, int32"),
        (["d"], {"function": "exp"}, DtypeError, "expected arrays of float32 or float16 for exp, got float64"),
        (["i"], {"function": "exp"}, DtypeError, "for exp, got int32"),
        (["f", "f", "f"], {"function": "where"}, DtypeError, "expected a condition of bool, got float32"),
        (["f"], {"function": "cast"}, DtypeError, "expected a target type among"),
        (["f"], {"function": "cast", "to": np.float64}, DtypeError, "expected a target type among"),
        (["f"], {"function": "exp", "to": np.int8}, InputError, "expected no target type for exp"),
        (["f"], {"function": "exp", "alpha": 1.0}, InputError, "expected neither alpha nor beta for exp"),
        (["f"], {"function": "relu", "alpha": 1.0}, InputError, "expected no alpha for relu"),
        (["f", "g"], {"function": "add"}, ShapeError, r"that broadcast, got \(4,\) and \(3,\)"),
        (["f"], {"function": "sin", "template": "cpu"}, InputError, "one of OpenCL's own"),
    ],
)
def test_refusals(
    pocl: Device, arrays: list[str | None], keywords: dict[str, Any], error: type[Exception], reason: str
) -> None:
    kinds: dict[str, npt.NDArray[Any]] = {
        "f": np.ones(4, np.float32), "g": np.ones(3, np.float32), "i": np.ones(4, np.int32), "d": np.ones(4),
    }  # fmt: skip
    with pytest.raises(error, match=reason):
        elementwise(pocl, *[kinds[name] if name else None for name in arrays], **keywords)
