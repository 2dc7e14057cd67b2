"""``softmax``: within its bound, for any shape and any values, by every template."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.softmax import SPEC, plan, softmax
from rx580lab.reference import compare
from rx580lab.reference.softmax import softmax as oracle
from rx580lab.reference.softmax import softmax_tolerance
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "softmax", template) >= 20


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name != "wave"])
def test_large_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "softmax", template, tiers=("large",)) == 2


@pytest.mark.parametrize(
    ("template", "params"),
    [
        ("cpu", {"VEC": 8}),
        ("cpu_split", {"VEC": 8, "SUM_BLOCK": 16}),
        ("gpu", {"WG_X": 64}),
        ("gpu_split", {"WG_X": 64}),
        ("wave", {"WG_Y": 1, "PER_ITEM": 16}),
        ("cpu_strided", {"SUM_BLOCK": 16}),
    ],
)
def test_parameters_change_nothing(pocl: Device, template: str, params: dict[str, int]) -> None:
    assert sweep(pocl, "softmax", template, params) >= 20


@settings(deadline=None, max_examples=50)
@given(
    st.integers(1, 7),
    st.integers(1, 150),
    st.sampled_from(["plain", "gpu", "gpu_split", "cpu", "cpu_split"]),
    st.integers(0, 2**32 - 1),
    st.floats(0, 500),
    st.floats(-1e4, 1e4),
)
def test_any_values(pocl: Device, rows: int, cols: int, template: str, seed: int, scale: float, offset: float) -> None:
    x = (np.random.default_rng(seed).standard_normal((rows, cols)) * scale + offset).astype(np.float32)
    got = softmax(pocl, x, template=template)
    outcome = compare(got, oracle(x), softmax_tolerance(x))
    assert outcome.ok, outcome.reason
    np.testing.assert_allclose(got.sum(axis=-1, dtype=np.float64), 1.0, rtol=2e-5)


@pytest.mark.parametrize("template", TEMPLATES)
def test_special_rows_as_numpy_has_them(pocl: Device, template: str) -> None:
    inf, nan = np.inf, np.nan
    x = np.array([[1, nan, 3], [inf, 0, 1], [-inf, -inf, -inf], [-inf, 2, -inf], [3e38, -3e38, 3e38]], np.float32)
    got = softmax(pocl, x, template=template)
    assert np.isnan(got[:3]).all()
    np.testing.assert_array_equal(got[3:], np.array([[0, 1, 0], [0.5, 0, 0.5]], np.float32))


@pytest.mark.parametrize("template", TEMPLATES)
def test_shift_changes_nothing(pocl: Device, template: str) -> None:
    x = np.random.default_rng(1).integers(-20, 20, (4, 333)).astype(np.float32)
    np.testing.assert_array_equal(
        softmax(pocl, x, template=template), softmax(pocl, x + np.float32(4096), template=template)
    )


@pytest.mark.parametrize("template", TEMPLATES)
def test_in_place(pocl: Device, template: str) -> None:
    host = np.random.default_rng(2).standard_normal((5, 777), dtype=np.float32)
    x = pocl.upload(host)
    assert softmax(pocl, x, out=x, template=template) is x
    assert compare(x.download(), oracle(host), softmax_tolerance(host)).ok


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (2, 0, 4)])
def test_empty_shapes_launch_nothing(pocl: Device, shape: tuple[int, ...]) -> None:
    planned = plan(pocl, np.empty(shape, np.float32))
    assert planned.launches == ()
    assert softmax(pocl, np.empty(shape, np.float32)).shape == shape


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=4),
    st.data(),
    st.sampled_from(["strided", "cpu_strided", None]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([np.float32, np.float16]),
)
def test_any_axis(
    pocl: Device, shape: list[int], data: st.DataObject, template: str | None, seed: int, dtype: npt.DTypeLike
) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = (np.random.default_rng(seed).standard_normal(shape) * 8).astype(dtype)
    got = softmax(pocl, x, axis=axis, template=template)
    outcome = compare(got, oracle(x, axis=axis), softmax_tolerance(x, axis=axis), dtype=dtype)
    assert outcome.ok, outcome.reason


@pytest.mark.parametrize("template", ["strided", "cpu_strided"])
def test_in_place_along_another_axis(pocl: Device, template: str) -> None:
    host = np.random.default_rng(2).standard_normal((5, 77, 21), dtype=np.float32)
    x = pocl.upload(host)
    assert softmax(pocl, x, axis=1, out=x, template=template) is x
    np.testing.assert_array_equal(x.download(), softmax(pocl, host, axis=1, template=template))


def test_rank_is_free(pocl: Device) -> None:
    x = np.random.default_rng(3).standard_normal((2, 3, 4, 5), dtype=np.float32)
    got = softmax(pocl, x)
    np.testing.assert_array_equal(got.reshape(-1, 5), softmax(pocl, x.reshape(-1, 5)))
    with pytest.raises(ShapeError, match="scalar"):
        softmax(pocl, np.array(1, np.float32))


def test_choice(pocl: Device) -> None:
    assert plan(pocl, np.ones((100, 10), np.float32)).template == "cpu"
    assert plan(pocl, np.ones((1, 8192), np.float32)).template == "cpu_split"
    assert plan(pocl, np.ones((1, 100), np.float32)).template == "cpu"


def test_choice_by_axis(pocl: Device) -> None:
    assert plan(pocl, np.ones((4, 100, 10), np.float32), axis=1).template == "cpu_strided"
    assert plan(pocl, np.ones((4, 100, 1), np.float32), axis=1).template == "cpu"


def test_wave_takes_about_as_many_registers_as_the_row_needs(pocl: Device) -> None:
    assert plan(pocl, np.ones((2, 65), np.float32), template="wave").params["PER_ITEM"] == 4
    assert plan(pocl, np.ones((2, 64), np.float32), template="wave").params["PER_ITEM"] == 1
    narrow = rx.open_device("pocl", limits=rx.Limits(work_group=64))
    assert plan(narrow, np.ones((2, 64), np.float32), template="wave").params["WG_Y"] == 1


def test_refusals(pocl: Device) -> None:
    with pytest.raises(DtypeError, match="float32"):
        softmax(pocl, np.ones((2, 2), np.float32).astype(np.float64))
    with pytest.raises(ShapeError, match="axis within the rank"):
        softmax(pocl, np.ones((2, 2), np.float32), axis=2)
    with pytest.raises(InputError, match="takes the last axis only"):
        softmax(pocl, np.ones((2, 2), np.float32), axis=0, template="cpu")
    with pytest.raises(InputError, match="at most 1024 columns"):
        softmax(pocl, np.ones((1, 1025), np.float32), template="wave")
    with pytest.raises(ShapeError, match="rows of at most 64"):
        softmax(pocl, np.ones((1, 65), np.float32), template="wave", params={"PER_ITEM": 1})


def test_cost() -> None:
    cost = SPEC.cost({"R": 3, "C": 7, "I": 2, "itemsize": 2})
    assert (cost.bytes, cost.flop) == (168, 210)
