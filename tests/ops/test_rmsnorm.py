"""``rmsnorm``: within its bound, for any shape, with and without a residual, by every template."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.rmsnorm import SPEC, plan, rmsnorm
from rx580lab.reference import compare
from rx580lab.reference.rmsnorm import rmsnorm as oracle
from rx580lab.reference.rmsnorm import rmsnorm_tolerance
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "rmsnorm", template, tiers=("small", "edge", "large")) == 29


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 7),
    st.integers(1, 150),
    st.sampled_from(TEMPLATES),
    st.integers(0, 2**32 - 1),
    st.floats(1e-3, 500),
    st.sampled_from([np.float32, np.float16]),
    st.booleans(),
)
def test_any_values(
    pocl: Device, rows: int, cols: int, template: str, seed: int, spread: float, dtype: npt.DTypeLike, joined: bool
) -> None:
    rng = np.random.default_rng(seed)
    x, residual = ((rng.standard_normal((rows, cols)) * spread).astype(dtype) for _ in range(2))
    given_arrays = x, rng.standard_normal(cols).astype(dtype), residual if joined else None
    got = rmsnorm(pocl, *given_arrays, template=template)
    for one, expected, allowed in zip(
        *(each if joined else (each,) for each in (got, oracle(*given_arrays), rmsnorm_tolerance(*given_arrays))),
        strict=True,
    ):
        outcome = compare(one, expected, allowed, dtype=dtype)
        assert outcome.ok, outcome.reason


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_sum_is_what_is_normalized(pocl: Device, template: str) -> None:
    rng = np.random.default_rng(3)
    x, residual = (rng.standard_normal((4, 70)).astype(np.float16) for _ in range(2))
    scale = np.ones(70, np.float16)
    norm, total = rmsnorm(pocl, x, scale, residual, template=template)
    np.testing.assert_array_equal(total, x + residual)
    np.testing.assert_array_equal(norm, rmsnorm(pocl, total, scale, template=template))


@pytest.mark.parametrize("template", TEMPLATES)
def test_in_place(pocl: Device, template: str) -> None:
    host, one = np.random.default_rng(2).standard_normal((5, 777), dtype=np.float32), np.ones(777, np.float32)
    x = pocl.upload(host)
    expected = rmsnorm(pocl, host, one, host * 2, template=template)
    norm, total = rmsnorm(pocl, x, one, host * 2, out=x, template=template)
    assert norm is x
    np.testing.assert_array_equal(x.download(), expected[0])
    np.testing.assert_array_equal(total.download(), expected[1])


def test_empty_shapes_launch_nothing(pocl: Device) -> None:
    assert plan(pocl, np.empty((3, 0), np.float32), np.empty(0, np.float32)).launches == ()
    x = np.empty((0, 4), np.float32)
    assert [one.shape for one in rmsnorm(pocl, x, np.ones(4, np.float32), x)] == [(0, 4), (0, 4)]


def test_choice(pocl: Device) -> None:
    assert plan(pocl, np.ones((2, 3000), np.float32), np.ones(3000, np.float32)).template == "cpu"


def test_refusals(pocl: Device) -> None:
    x, one = np.ones((2, 3), np.float32), np.ones(3, np.float32)
    with pytest.raises(DtypeError, match="float32 or float16"):
        rmsnorm(pocl, x.astype(np.float64), one)
    with pytest.raises(ShapeError, match=r"expected residual of shape \(2, 3\)"):
        rmsnorm(pocl, x, one, one)
    with pytest.raises(ShapeError, match="expected scale"):
        rmsnorm(pocl, x, one, axis=0)
    with pytest.raises(InputError, match="epsilon >= 0"):
        rmsnorm(pocl, x, one, epsilon=float("nan"))
    residual = pocl.upload(x)
    with pytest.raises(InputError, match="out apart from"):
        rmsnorm(pocl, x, one, residual, out=residual)


def test_cost() -> None:
    cost = SPEC.cost({"R": 3, "C": 7, "itemsize": 4, "residual": 1})
    assert (cost.bytes, cost.flop) == (364, 105)
