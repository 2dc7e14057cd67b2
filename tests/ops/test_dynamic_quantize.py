"""``dynamic_quantize``: range, scale, zero point and bytes, for any shape, by every template."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.device import Device
from rx580lab.errors import DtypeError, ShapeError
from rx580lab.ops.dynamic_quantize import SPEC, dynamic_quantize, plan
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "dynamic_quantize", template, tiers=("small", "edge", "large")) == 15


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
    st.sampled_from(TEMPLATES),
    st.integers(0, 2**32 - 1),
    st.floats(-1e3, 1e3),
)
def test_no_value_moves_more_than_a_step(
    pocl: Device, shape: list[int], template: str, seed: int, offset: float
) -> None:
    x = (np.random.default_rng(seed).standard_normal(shape) + offset).astype(np.float32)
    found, scale, zero = dynamic_quantize(pocl, x, template=template)
    width = max(x.max(), 0) - min(x.min(), 0)
    assert (found.dtype, scale.dtype, zero.dtype) == (np.uint8, np.float32, np.uint8)
    assert scale * 255 == pytest.approx(width, rel=1e-6)
    back = (found.astype(np.float64) - zero) * np.float64(scale)
    assert np.abs(back - x).max() <= scale * 1.0001


def test_outputs_may_be_given(pocl: Device) -> None:
    x = np.linspace(-1, 3, 50, dtype=np.float32)
    outs = pocl.empty((50,), np.uint8), pocl.empty((), np.float32), pocl.empty((), np.uint8)
    made = plan(pocl, x, out=outs[0], out_scale=outs[1], out_zero_point=outs[2])
    made.run()
    for one, expected in zip(outs, dynamic_quantize(pocl, x), strict=True):
        np.testing.assert_array_equal(one.download(), expected)


def test_refusals(pocl: Device) -> None:
    with pytest.raises(DtypeError, match="expected x of float32, got float64"):
        dynamic_quantize(pocl, np.ones(3))
    with pytest.raises(ShapeError, match="expected at least one value"):
        dynamic_quantize(pocl, np.ones((0, 3), np.float32))
    with pytest.raises(ShapeError, match=r"expected out of shape \(\), got \(1,\)"):
        plan(pocl, np.ones(3, np.float32), out_scale=pocl.empty(1, np.float32))


def test_cost() -> None:
    cost = SPEC.cost({"N": 10})
    assert (cost.bytes, cost.flop) == (95, 40)
