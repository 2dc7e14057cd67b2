"""``layernorm``: within its bound, for any shape and any mean, by every template."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.layernorm import SPEC, layernorm, plan
from rx580lab.reference import compare
from rx580lab.reference.layernorm import layernorm as oracle
from rx580lab.reference.layernorm import layernorm_tolerance
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "layernorm", template, tiers=("small", "edge", "large")) == 29


def test_another_group_changes_nothing(pocl: Device) -> None:
    assert sweep(pocl, "layernorm", "gpu", {"WG_X": 128}) == 27


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 7),
    st.integers(1, 150),
    st.sampled_from(TEMPLATES),
    st.integers(0, 2**32 - 1),
    st.floats(1e-3, 500),
    st.floats(-1e5, 1e5),
    st.sampled_from([np.float32, np.float16]),
)
def test_any_values(
    pocl: Device, rows: int, cols: int, template: str, seed: int, spread: float, offset: float, dtype: npt.DTypeLike
) -> None:
    rng = np.random.default_rng(seed)
    offset = offset if dtype == np.float32 else offset / 100
    x = (rng.standard_normal((rows, cols)) * spread + offset).astype(dtype)
    scale, bias = rng.standard_normal(cols).astype(dtype), rng.standard_normal(cols).astype(dtype)
    got = layernorm(pocl, x, scale, bias, template=template)
    outcome = compare(got, oracle(x, scale, bias), layernorm_tolerance(x, scale, bias), dtype=dtype)
    assert outcome.ok, outcome.reason


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_large_mean_costs_no_digits(pocl: Device, template: str) -> None:
    # Multiples of 1/4 near 2^20 are exact in fp32, so the result must be what it is without the mean.
    x = np.random.default_rng(1).integers(-40, 40, (4, 333)).astype(np.float32) / 4
    one = np.ones(333, np.float32)
    near, far = (layernorm(pocl, values, one, template=template) for values in (x, x + np.float32(2**20)))
    np.testing.assert_allclose(far, near, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("template", TEMPLATES)
def test_in_place(pocl: Device, template: str) -> None:
    host, one = np.random.default_rng(2).standard_normal((5, 777), dtype=np.float32), np.ones(777, np.float32)
    x = pocl.upload(host)
    assert layernorm(pocl, x, pocl.upload(one), out=x, template=template) is x
    assert compare(x.download(), oracle(host, one), layernorm_tolerance(host, one)).ok


def test_empty_shapes_launch_nothing(pocl: Device) -> None:
    assert plan(pocl, np.empty((3, 0), np.float32), np.empty(0, np.float32)).launches == ()
    assert layernorm(pocl, np.empty((0, 4), np.float32), np.ones(4, np.float32)).shape == (0, 4)


def test_choice(pocl: Device) -> None:
    x, scale = np.ones((2, 3000), np.float32), np.ones(3000, np.float32)
    assert plan(pocl, x, scale).template == "cpu"
    assert plan(pocl, x, scale, template="gpu").params == {"WG_X": 256}
    assert plan(pocl, x[:, :100], scale[:100], template="gpu").params == {"WG_X": 64}


def test_refusals(pocl: Device) -> None:
    x, one = np.ones((2, 3), np.float32), np.ones(3, np.float32)
    with pytest.raises(DtypeError, match="float32 or float16"):
        layernorm(pocl, x.astype(np.float64), one)
    with pytest.raises(DtypeError, match="expected scale of float32"):
        layernorm(pocl, x, one.astype(np.float16))
    with pytest.raises(ShapeError, match=r"expected bias of shape \(3,\)"):
        layernorm(pocl, x, one, np.ones(2, np.float32))
    with pytest.raises(ShapeError, match="axis within the rank"):
        layernorm(pocl, x, one, axis=2)
    with pytest.raises(InputError, match="epsilon >= 0"):
        layernorm(pocl, x, one, epsilon=-1)
    scale = pocl.upload(one)
    with pytest.raises(InputError, match="out apart from"):
        layernorm(pocl, one, scale, out=scale)


def test_cost() -> None:
    assert (SPEC.cost({"R": 3, "C": 7, "itemsize": 4}).bytes, SPEC.cost({"R": 3, "C": 7, "itemsize": 4}).flop) == (
        224,
        210,
    )
