"""``conv_i8_i8``: exact sums and exact scaling, by every template; refused where it cannot be right."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device, Limits, open_device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.conv_i8_i8 import SPEC, conv_i8_i8, plan
from rx580lab.reference.conv_i8_i8 import conv_i8_i8 as oracle
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


def some(rng: np.random.Generator, shape: int | tuple[int, ...], dtype: npt.DTypeLike = np.int8) -> npt.NDArray[Any]:
    limits = np.iinfo(np.dtype(dtype))
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "conv_i8_i8", template) >= 16


def test_large_cases(pocl: Device) -> None:
    assert sum(sweep(pocl, "conv_i8_i8", template, tiers=("large",)) for template in TEMPLATES) == len(TEMPLATES)


@pytest.mark.parametrize("params", [{"TILE_M": 6}, {"TILE_M": 192}])
def test_parameters_change_nothing(pocl: Device, params: dict[str, int]) -> None:
    assert sweep(pocl, "conv_i8_i8", "cpu", params, tiers=("small",)) == 3


LENGTH = st.integers(1, 9)


@settings(deadline=None, max_examples=50)
@given(
    LENGTH, st.tuples(LENGTH, LENGTH), st.tuples(st.integers(1, 3), st.integers(1, 3)), st.integers(1, 3),
    st.integers(1, 20), st.integers(1, 3), st.sampled_from([np.int8, np.uint8]), st.sampled_from(TEMPLATES),
)  # fmt: skip
def test_any_lengths(
    pocl: Device,
    channels: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    filters: int,
    group: int,
    dtype: Any,
    template: str,
) -> None:
    rng = np.random.default_rng((channels, filters))
    x, w = some(rng, (2, channels * group, *size), dtype), some(rng, (filters * group, channels, *kernel))
    zeros = some(rng, 1, dtype), some(rng, filters * group)
    window: dict[str, Any] = {"strides": (stride, 1), "pads": (1, 2, 2, 0), "group": group}
    got = conv_i8_i8(pocl, x, w, *zeros, **window, template=template)
    np.testing.assert_array_equal(got, oracle(x, w, *zeros, **window))


def test_the_oracle_on_figures_worked_out_by_hand() -> None:
    x = np.array([[[1, 2, 3]]], np.uint8)
    w = np.array([[[10, -1]]], np.int8)
    assert oracle(x, w, np.array([1], np.uint8), pads=(1, 0)).tolist() == [[[0, -1, 8]]]
    assert oracle(x, w, pads=(1, 0), strides=(2,)).tolist() == [[[-1, 17]]]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_plan_follows_its_inputs(pocl: Device, template: str) -> None:
    rng = np.random.default_rng(2)
    x, w = some(rng, (1, 5, 6, 6)), some(rng, (18, 5, 3, 3))
    held = pocl.upload(x)
    planned = plan(pocl, held, w, template=template)
    planned.run()
    held.write(x[..., ::-1].copy())
    np.testing.assert_array_equal(planned.run().download(), oracle(x[..., ::-1], w))


def test_the_template_follows_from_the_filters(pocl: Device) -> None:
    rng = np.random.default_rng(4)
    x = some(rng, (1, 8, 5, 5))
    assert plan(pocl, x, some(rng, (16, 8, 3, 3))).template == "cpu"
    assert plan(pocl, x, some(rng, (8, 1, 3, 3)), group=8).template == "plain"


def test_patches_beyond_an_allocation_are_refused_with_the_reason() -> None:
    device = open_device("pocl", limits=Limits(allocation_bytes=50_000))
    rng = np.random.default_rng(5)
    x, w = some(rng, (1, 16, 20, 20)), some(rng, (16, 16, 3, 3))
    with pytest.raises(InputError, match=r"template 'cpu' cannot run here: needs .* bytes for the patches of x"):
        conv_i8_i8(device, x, w, template="cpu")
    np.testing.assert_array_equal(conv_i8_i8(device, x, w), oracle(x, w))


def test_kinds_of_arrays_and_refusals(pocl: Device) -> None:
    x, w = np.zeros((1, 4, 5, 5), np.int8), np.zeros((6, 4, 3, 3), np.int8)
    assert isinstance(rx.ops.conv_i8_i8(pocl, x, w), np.ndarray)
    assert isinstance(rx.ops.conv_i8_i8(pocl, x, pocl.upload(w)), rx.Array)
    with pytest.raises(DtypeError, match="expected w of int8 or uint8, got float32"):
        conv_i8_i8(pocl, x, np.zeros((6, 4, 3, 3), np.float32))  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="expected x_zero_point of one value"):
        conv_i8_i8(pocl, x, w, np.zeros(4, np.int8))
    with pytest.raises(ShapeError, match=r"expected bias of one value or \(6,\), got shape \(4,\)"):
        conv_i8_i8(pocl, x, w, bias=np.zeros(4, np.int32))
    with pytest.raises(ShapeError, match="expected w of shape"):
        conv_i8_i8(pocl, x, w, group=2)
