"""``batchnorm``: within its bound, for any shape and activation, by every template."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.batchnorm import SPEC, batchnorm, plan
from rx580lab.reference import compare
from rx580lab.reference.batchnorm import batchnorm as oracle
from rx580lab.reference.batchnorm import batchnorm_tolerance
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "batchnorm", template, tiers=("small", "edge", "large")) == 24


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 12), min_size=2, max_size=5),
    st.sampled_from(TEMPLATES),
    st.integers(0, 2**32 - 1),
    st.floats(-1e3, 1e3),
    st.sampled_from([np.float32, np.float16]),
    st.sampled_from([None, "relu"]),
)
def test_any_values(
    pocl: Device,
    shape: list[int],
    template: str,
    seed: int,
    offset: float,
    dtype: npt.DTypeLike,
    activation: str | None,
) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal(shape) + offset).astype(dtype)
    scale, bias, mean, variance = (rng.uniform(0.1, 2, shape[1]).astype(dtype) for _ in range(4))
    arrays = x, scale, bias, mean, variance
    got = batchnorm(pocl, *arrays, activation=activation, template=template)
    allowed = batchnorm_tolerance(*arrays, activation=activation)
    outcome = compare(got, oracle(*arrays, activation=activation), allowed, dtype=dtype)
    assert outcome.ok, outcome.reason


@pytest.mark.parametrize("template", TEMPLATES)
def test_in_place(pocl: Device, template: str) -> None:
    rng = np.random.default_rng(2)
    host = rng.standard_normal((3, 4, 50), dtype=np.float32)
    channels = [rng.uniform(0.5, 1, 4).astype(np.float32) for _ in range(4)]
    x = pocl.upload(host)
    assert batchnorm(pocl, x, *channels, out=x, template=template) is x
    np.testing.assert_array_equal(x.download(), batchnorm(pocl, host, *channels, template=template))


def test_choice_by_the_length_of_a_channel(pocl: Device) -> None:
    one = np.ones(3, np.float32)
    assert plan(pocl, np.ones((2, 3, 4, 4), np.float32), one, one, one, one).template == "cpu"
    assert plan(pocl, np.ones((2, 3, 15), np.float32), one, one, one, one).template == "plain"
    assert plan(pocl, np.ones((2, 3, 0), np.float32), one, one, one, one).launches == ()


def test_refusals(pocl: Device) -> None:
    x, one = np.ones((2, 3, 4), np.float32), np.ones(3, np.float32)
    with pytest.raises(DtypeError, match="float32 or float16"):
        batchnorm(pocl, x.astype(np.float64), one, one, one, one)
    with pytest.raises(ShapeError, match=r"expected mean of shape \(3,\)"):
        batchnorm(pocl, x, one, one, np.ones(4, np.float32), one)
    with pytest.raises(ShapeError, match=r"expected x of shape \(N, C"):
        batchnorm(pocl, one, one, one, one, one)
    with pytest.raises(InputError, match="epsilon >= 0"):
        batchnorm(pocl, x, one, one, one, one, epsilon=-1)
    with pytest.raises(InputError, match="expected an activation"):
        batchnorm(pocl, x, one, one, one, one, activation="rel")


def test_cost() -> None:
    cost = SPEC.cost({"N": 2, "C": 3, "I": 5, "itemsize": 2})
    assert (cost.bytes, cost.flop) == (144, 90)
