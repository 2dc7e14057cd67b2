"""``reduce``: every function over any axes, within its bound, by every template."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.reduce import FUNCTIONS, SPEC, plan, reduce
from rx580lab.reference import compare
from rx580lab.reference.reduce import reduce as oracle
from rx580lab.reference.reduce import reduce_tolerance
from rx580lab.selftest import prepare, suite
from rx580lab.selftest.check import stand_up
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize(("template", "n"), [("plain", 100), ("gpu", 80), ("cpu", 80)])
def test_cases(pocl: Device, template: str, n: int) -> None:
    assert sweep(pocl, "reduce", template) >= n


@pytest.mark.parametrize("template", TEMPLATES)
def test_large_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "reduce", template, tiers=("large",)) == 3


def test_every_function_has_a_case() -> None:
    assert {str(case.keywords["function"]) for case in suite("reduce").cases} == set(FUNCTIONS)


@pytest.mark.parametrize(
    ("template", "params"), [("gpu", {"WG_X": 64}), ("cpu", {"TILE": 16, "JOIN_BLOCK": 2}), ("cpu", {"TILE": 48})]
)
def test_parameters_change_nothing(pocl: Device, template: str, params: dict[str, int]) -> None:
    tried = [case for case in suite("reduce").cases if case.name.startswith("sum of float32") and case.tier != "large"]
    n_checked = 0
    for case in tried:
        prepared = prepare("reduce", case)
        if SPEC.template(template).applies(pocl, prepared.shape) is None:
            outcome = stand_up(pocl, template, prepared, params=params).judge()
            assert outcome.ok, f"{case.name}: {outcome.reason}"
            n_checked += 1
    assert n_checked >= 20


def assert_right(got: npt.NDArray[Any], x: npt.NDArray[Any], **keywords: Any) -> None:
    outcome = compare(got, oracle(x, **keywords), reduce_tolerance(x, **keywords), dtype=got.dtype)
    assert outcome.ok, outcome.reason


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.integers(1, 9), min_size=0, max_size=5),
    st.sampled_from(["sum", "max", "mean", "l2"]),
    st.sampled_from(TEMPLATES),
    st.booleans(),
    st.data(),
)
def test_any_axes(
    pocl: Device, shape: list[int], function: str, template: str, keepdims: bool, data: st.DataObject
) -> None:
    axes = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1)))) if shape else None
    x = np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)
    got = reduce(pocl, x, function=function, axes=axes, keepdims=keepdims, template=template)
    assert got.shape == x.sum(axis=axes, keepdims=keepdims).shape
    assert_right(got, x, function=function, axes=axes, keepdims=keepdims)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1.0, -1.0]), min_size=1, max_size=70),
    st.sampled_from(["argmax", "argmin", "max", "min"]),
    st.sampled_from(TEMPLATES),
    st.booleans(),
)
def test_places_and_extremes_as_numpy_has_them(
    pocl: Device, values: list[float], function: str, template: str, last: bool
) -> None:
    x = np.array([values], np.float32)
    got = reduce(pocl, x, function=function, axes=1, select_last_index=last, template=template)
    assert_right(got, x, function=function, axes=1, select_last_index=last)
    if not last:
        np.testing.assert_array_equal(got, getattr(np, function)(x, axis=1, keepdims=True))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from(TEMPLATES))
def test_long_rows_stay_within_the_bound(pocl: Device, seed: int, template: str) -> None:
    """All of one sign, where each rounding counts."""
    rng = np.random.default_rng(seed)
    shape = (3, int(rng.integers(1, 30000))) if rng.integers(2) else (int(rng.integers(1, 10000)), 3)
    x = rng.uniform(0.5, 1, shape).astype(np.float32)
    axes = int(np.argmax(shape))
    assert_right(reduce(pocl, x, axes=axes, template=template), x, axes=axes)


def test_the_bound_refuses_one_long_chain_and_a_lost_element() -> None:
    x = np.full((1, 200000), np.float32(1 / 3), np.float32)
    chain = np.add.accumulate(x[0], dtype=np.float32)[-1:].reshape(1, 1)
    assert not compare(chain, oracle(x, axes=1), reduce_tolerance(x, axes=1)).ok
    short = x[:, :1000]
    lost = short[:, 1:].sum(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    assert not compare(lost, oracle(short, axes=1), reduce_tolerance(short, axes=1)).ok


@pytest.mark.parametrize(
    ("template", "function"), [("plain", "prod"), ("gpu", "l1"), ("cpu", "sum_square"), ("cpu", "prod"), ("gpu", "sum")]
)
def test_whole_numbers_wrap(pocl: Device, template: str, function: str) -> None:
    x = np.random.default_rng(4).integers(-(2**31), 2**31, (3, 70), dtype=np.int32) | 1  # odd, lest products end as 0
    for axes in (0, 1):
        expected = oracle(x, function=function, axes=axes)
        got = reduce(pocl, x, function=function, axes=axes, template=template)
        np.testing.assert_array_equal(got, expected)


def test_nothing_to_reduce(pocl: Device) -> None:
    x = np.empty((2, 0), np.float32)
    found = {name: float(reduce(pocl, x, function=name, axes=1)[0, 0]) for name in FUNCTIONS if "arg" not in name}
    inf = np.inf
    assert np.isnan(found.pop("mean"))
    assert found == {
        "sum": 0, "max": -inf, "min": inf, "prod": 1, "l1": 0, "l2": 0, "sum_square": 0, "log_sum_exp": -inf,
    }  # fmt: skip
    assert reduce(pocl, np.empty((2, 0), np.int32), function="max", axes=1)[0, 0] == -(2**31)
    assert plan(pocl, x, axes=0).launches == ()
    with pytest.raises(ShapeError, match="expected elements for argmax to choose from"):
        reduce(pocl, x, function="argmax", axes=1)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_plan_follows_its_input(pocl: Device, template: str) -> None:
    host = np.random.default_rng(1).standard_normal((5, 3, 65)).astype(np.float32)
    x = pocl.upload(host)
    planned = plan(pocl, x, axes=(0, 2), template=template)
    planned.run()
    x.write(2 * host)
    assert_right(planned.run().download(), 2 * host, axes=(0, 2))


def test_long_ones_are_shared(pocl: Device) -> None:
    assert len(plan(pocl, np.ones((1, 70000), np.float32)).launches) == 2
    assert len(plan(pocl, np.ones((2000, 8), np.float32), axes=0).launches) == 2
    assert len(plan(pocl, np.ones((1, 20000), np.float32), template="gpu").launches) == 2
    assert len(plan(pocl, np.ones((1000, 8), np.float32), axes=0, template="gpu").launches) == 2
    assert len(plan(pocl, np.ones((100, 80), np.float32), axes=1, template="gpu").launches) == 1


def test_kinds_choice_and_cost(pocl: Device) -> None:
    x = np.ones((4, 6), np.float32)
    assert isinstance(rx.ops.reduce(pocl, x), np.ndarray)
    assert isinstance(rx.ops.reduce(pocl, pocl.upload(x)), Array)
    assert plan(pocl, x).template == "cpu"
    assert plan(pocl, x, function="argmax", axes=0).template == "plain"
    shape = SPEC.shape(x, function="argmax", axes=1)
    assert (SPEC.cost(shape).bytes, SPEC.cost(shape).flop) == (96 + 32, 24)


@pytest.mark.parametrize(
    ("dtype", "keywords", "error", "reason"),
    [
        ("float32", {"function": "median"}, InputError, "expected a function among sum, .*, got 'median'"),
        ("float64", {}, DtypeError, "expected x of float32 or float16"),
        ("int32", {"function": "mean"}, DtypeError, "got int32"),
        ("uint8", {"function": "sum"}, DtypeError, "got uint8"),
        ("float32", {"axes": (3,)}, ShapeError, r"expected axes of \(2, 3, 4\), from -3 to 2"),
        ("float32", {"axes": (0, -3)}, ShapeError, "expected each axis once"),
        ("float32", {"function": "argmax", "axes": (0, 2)}, ShapeError, "expected neighbouring axes for argmax"),
        ("float32", {"function": "argmax", "axes": 0, "template": "cpu"}, InputError, "places along columns"),
        ("float32", {"template": "gpu", "params": {"WG_X": 100}}, InputError, "multiple of 64"),
        ("float32", {"template": "cpu", "params": {"TILE": 100}}, InputError, "multiple of 16"),
        ("float32", {"function": "argmax", "axes": 0, "select_last_index": 2}, InputError, "to be a switch"),
    ],
)
def test_refusals(pocl: Device, dtype: str, keywords: dict[str, Any], error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        reduce(pocl, np.ones((2, 3, 4), dtype), **keywords)


def test_out_apart_from_x(pocl: Device) -> None:
    x = pocl.zeros((3, 1))
    with pytest.raises(InputError, match="expected out apart from x"):
        reduce(pocl, x, axes=1, out=x)


@pytest.mark.parametrize("template", [one.name for one in SPEC.templates])
@pytest.mark.parametrize("function", ["sum", "mean", "prod", "l1"])
def test_equal_columns_have_equal_results(pocl: Device, template: str, function: str) -> None:
    """Also those behind the last whole vector: a softmax of large numbers tells the last bit."""
    column = np.random.default_rng(0).uniform(0.9, 1.1, (169, 1)).astype(np.float32)
    x = np.repeat(column, 1000 + 13, axis=1)
    got = reduce(pocl, x, function=function, axes=0, template=template)
    assert np.unique(got).size == 1
