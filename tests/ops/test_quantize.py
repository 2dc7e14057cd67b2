"""``quantize``: the nearest byte, for any shape, axis, block and type, by every template."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.quantize import SPEC, plan, quantize
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]
# Scales that change within a run are for the plain template.
N_CASES = {"plain": 39, "cpu": 33}


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "quantize", template, tiers=("small", "edge", "large")) == N_CASES[template]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=4),
    st.sampled_from(TEMPLATES),
    st.integers(0, 2**32 - 1),
    st.sampled_from([np.int8, np.uint8]),
    st.booleans(),
)
def test_whole_steps_come_back(
    pocl: Device, shape: list[int], template: str, seed: int, dtype: npt.DTypeLike, per_axis: bool
) -> None:
    rng = np.random.default_rng(seed)
    axis = int(rng.integers(len(shape)))
    limits, channels = np.iinfo(np.dtype(dtype)), shape[axis] if per_axis else 1
    scale = 2.0 ** rng.integers(-8, 8, channels).astype(np.float32)
    zero = rng.integers(limits.min, limits.max, channels, dtype, endpoint=True)
    wanted = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    along = [1] * len(shape)
    along[axis] = channels
    x = (wanted.astype(np.float32) - zero.reshape(along)) * scale.reshape(along)
    np.testing.assert_array_equal(quantize(pocl, x, scale, zero, axis=axis, template=template), wanted)


@pytest.mark.parametrize("template", TEMPLATES)
def test_ties_go_to_even_and_the_ends_hold(pocl: Device, template: str) -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 126.5, 127.5, 1e30, -1e30, np.nan], np.float32)
    got = quantize(pocl, x, np.ones(1, np.float32), dtype=np.int8, template=template)
    np.testing.assert_array_equal(got, [0, 2, 2, 0, -2, 126, 127, 127, -128, -128])


def test_choice_by_the_length_of_a_run(pocl: Device) -> None:
    x, one, three = np.ones((2, 3, 16), np.float32), np.ones((), np.float32), np.ones(3, np.float32)
    assert plan(pocl, x, one).template == "cpu"
    assert plan(pocl, x, three).template == "cpu"
    assert plan(pocl, x[..., :15], three).template == "plain"
    assert plan(pocl, x, np.ones((2, 2, 16), np.float32), block=2).template == "plain"
    assert plan(pocl, x[:0], one).launches == ()


def test_refusals(pocl: Device) -> None:
    x, one = np.ones((2, 3, 4), np.float32), np.ones(1, np.float32)
    with pytest.raises(DtypeError, match="expected x of float32, got float64"):
        quantize(pocl, x.astype(np.float64), one)
    with pytest.raises(DtypeError, match="expected a result of int8 or uint8, got int16"):
        quantize(pocl, x, one, dtype=np.int16)
    with pytest.raises(DtypeError, match="expected a result of int8 as its zero_point, got uint8"):
        quantize(pocl, x, one, np.zeros(1, np.int8), dtype=np.uint8)
    with pytest.raises(ShapeError, match=r"expected one scale, or \(3,\) for axis 1"):
        quantize(pocl, x, np.ones(4, np.float32))
    with pytest.raises(ShapeError, match="expected a zero_point for each scale"):
        quantize(pocl, x, np.ones(3, np.float32), np.zeros(1, np.int8))
    with pytest.raises(ShapeError, match=r"expected scales \(2, 2, 4\) for blocks of 2"):
        quantize(pocl, x, np.ones((2, 3, 4), np.float32), block=2)
    with pytest.raises(InputError, match="expected an axis of"):
        quantize(pocl, x, np.ones(3, np.float32), axis=3)
    with pytest.raises(InputError, match="expected a block of at least 0"):
        quantize(pocl, x, one, block=-1)
    with pytest.raises(InputError, match="scales change within each run"):
        quantize(pocl, x, np.ones((2, 2, 4), np.float32), block=2, template="cpu")


def test_cost() -> None:
    cost = SPEC.cost({"O": 2, "C": 3, "I": 5, "P": 3, "RUN": 5})
    assert (cost.bytes, cost.flop) == (165, 60)
