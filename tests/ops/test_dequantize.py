"""``dequantize``: (x - zero point) * scale, for any shape, axis, block and type, by every template."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.device import Device
from rx580lab.errors import DtypeError, ShapeError
from rx580lab.ops.dequantize import SPEC, dequantize, plan
from rx580lab.ops.quantize import quantize
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]
# Scales that change within a run are for the plain template.
N_CASES = {"plain": 57, "cpu": 48}


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "dequantize", template, tiers=("small", "edge", "large")) == N_CASES[template]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=4),
    st.sampled_from(TEMPLATES),
    st.integers(0, 2**32 - 1),
    st.sampled_from([np.int8, np.uint8]),
)
def test_quantize_undoes_it(pocl: Device, shape: list[int], template: str, seed: int, dtype: npt.DTypeLike) -> None:
    rng = np.random.default_rng(seed)
    axis, limits = int(rng.integers(len(shape))), np.iinfo(np.dtype(dtype))
    scale = (10 ** rng.uniform(-3, 3, shape[axis])).astype(np.float32)
    zero = rng.integers(limits.min, limits.max, shape[axis], dtype, endpoint=True)
    x = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    wide = dequantize(pocl, x, scale, zero, axis=axis, template=template)
    np.testing.assert_array_equal(quantize(pocl, wide, scale, zero, axis=axis), x)


def test_choice_by_the_length_of_a_run(pocl: Device) -> None:
    x, three = np.ones((2, 3, 16), np.int8), np.ones(3, np.float32)
    assert plan(pocl, x, np.ones((), np.float32)).template == "cpu"
    assert plan(pocl, x[..., :15], three).template == "plain"
    assert plan(pocl, x[:0], three).launches == ()


def test_refusals(pocl: Device) -> None:
    x, one = np.ones((2, 3, 4), np.int8), np.ones(1, np.float32)
    with pytest.raises(DtypeError, match="expected x of int8 or uint8 or int32, got int64"):
        dequantize(pocl, x.astype(np.int64), one)
    with pytest.raises(DtypeError, match="expected zero_point of int8, got uint8"):
        dequantize(pocl, x, one, np.zeros(1, np.uint8))
    with pytest.raises(ShapeError, match=r"expected one scale, or \(3,\) for axis 1"):
        dequantize(pocl, x, np.ones(4, np.float32))


def test_cost() -> None:
    cost = SPEC.cost({"O": 2, "C": 3, "I": 5, "P": 3, "RUN": 5, "itemsize": 1})
    assert (cost.bytes, cost.flop) == (165, 60)
