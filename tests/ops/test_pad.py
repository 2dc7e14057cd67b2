"""``pad``: every bit in its place, for any shape, margins, mode and element, by every template."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.pad import SPEC, pad, plan
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "pad", template) >= 25


def test_large_cases(pocl: Device) -> None:
    assert sweep(pocl, "pad", "cpu", tiers=("large",)) == 1


@settings(deadline=None, max_examples=60)
@given(
    st.data(),
    st.sampled_from(["uint8", "uint16", "uint32"]),
    st.sampled_from(["constant", "edge", "reflect", "wrap"]),
    st.sampled_from(TEMPLATES),
)
def test_as_numpy_pads(pocl: Device, data: st.DataObject, dtype: str, mode: str, template: str) -> None:
    rank = data.draw(st.integers(1, 8))
    most = (900, 60, 17, 7, 4, 3, 2, 2)[rank - 1]
    shape = tuple(data.draw(st.lists(st.integers(1, most), min_size=rank, max_size=rank)))
    front, behind = (data.draw(st.lists(st.integers(0, 3), min_size=rank, max_size=rank)) for _ in range(2))
    x = np.random.default_rng(rank).integers(0, 2**63, shape, dtype=np.uint64).astype(dtype)
    got = pad(pocl, x, pads=front + behind, mode=mode, constant_value=201, template=template)
    margins = list(zip(front, behind, strict=True))
    value = {"constant_values": 201} if mode == "constant" else {}
    np.testing.assert_array_equal(got, np.pad(x, margins, mode=mode, **value))  # type: ignore[call-overload]


def test_kinds_of_arrays_and_axes(pocl: Device) -> None:
    x = np.arange(6, dtype=np.int64).reshape(2, 3)
    assert isinstance(rx.ops.pad(pocl, x, pads=(0, 0, 0, 0)), np.ndarray)
    got = rx.ops.pad(pocl, pocl.upload(x), pads=(1, 2), axes=(-1,), constant_value=-9)
    assert isinstance(got, rx.Array)
    np.testing.assert_array_equal(got.download(), np.pad(x, ((0, 0), (1, 2)), constant_values=-9))


def test_crops_come_before_margins(pocl: Device) -> None:
    x = np.arange(7, dtype=np.int32)
    np.testing.assert_array_equal(pad(pocl, x, pads=(-2, 3), mode="reflect"), [2, 3, 4, 5, 6, 5, 4, 3])
    np.testing.assert_array_equal(pad(pocl, x, pads=(2, -4), mode="wrap"), [1, 2, 0, 1, 2])
    np.testing.assert_array_equal(pad(pocl, x, pads=(-3, -4)), np.zeros(0))
    assert plan(pocl, x, pads=(-3, -4)).launches == ()


def test_the_constant_has_the_bits_of_its_element(pocl: Device) -> None:
    for dtype, value in (("float16", -0.0), ("int8", -128), ("int64", -(2**63)), ("bool", True), ("float32", 1e-45)):
        x = np.zeros((3, 4), dtype)
        got = pad(pocl, x, pads=(0, 1, 0, 2), constant_value=value)
        want = np.full((3, 7), np.array(value).astype(dtype))
        want[:, 1:5] = x
        np.testing.assert_array_equal(got.view(np.uint8), want.view(np.uint8))


def test_joined_and_widened(pocl: Device) -> None:
    """Even margins of a constant widen; NHWC's channels are four floats at a time whatever the mode."""
    (launch,) = plan(pocl, np.ones((8, 16), np.float32), pads=(0, 4, 0, 4)).launches
    assert "#define ITEM_BYTES 16" in launch.build.text
    (launch,) = plan(pocl, np.ones((5, 5, 8), np.float32), pads=(1, 1, 0, 1, 1, 0), mode="reflect").launches
    assert "#define ITEM_BYTES 16" in launch.build.text
    (launch,) = plan(pocl, np.ones((8, 16), np.float32), pads=(0, 4, 0, 4), mode="edge").launches
    assert "#define ITEM_BYTES 4\n" in launch.build.text


def test_refusals(pocl: Device) -> None:
    x = np.ones((2, 3), np.float32)
    with pytest.raises(InputError, match=r"\[pad\] expected a mode among constant, edge, reflect, wrap, got 'mirror'"):
        pad(pocl, x, pads=(0,) * 4, mode="mirror")
    with pytest.raises(InputError, match="two pads for each, got 2 axes and 2 pads"):
        pad(pocl, x, pads=(0, 0))
    with pytest.raises(InputError, match="each axis once"):
        pad(pocl, x, pads=(0,) * 4, axes=(1, -1))
    with pytest.raises(ShapeError, match="crop at most 3 of axis 1, got -2 and -2"):
        pad(pocl, x, pads=(0, -2, 0, -2))
    with pytest.raises(ShapeError, match="to fill a margin by edge, got none"):
        pad(pocl, x[:0], pads=(1, 0, 0, 0), mode="edge")
    with pytest.raises(InputError, match="a constant_value that fits int8, got 300"):
        pad(pocl, x.astype(np.int8), pads=(0,) * 4, constant_value=300)
    with pytest.raises(ShapeError, match="at most 2,147,483,647 elements"):
        pad(pocl, x, pads=(2**31, 0, 0, 0))
    with pytest.raises(DtypeError, match="complex64"):
        pad(pocl, x.astype(np.complex64), pads=(0,) * 4)
    held = pocl.upload(x)
    with pytest.raises(InputError, match="expected out apart from x"):
        pad(pocl, held, pads=(0,) * 4, out=held)
