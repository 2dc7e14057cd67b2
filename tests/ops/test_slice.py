"""``slice``: every bit in its place, for any shape and element, by every template."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.slice import SPEC, plan, slice  # noqa: A004
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "slice", template) >= 20


def test_large_cases(pocl: Device) -> None:
    assert sweep(pocl, "slice", "cpu", tiers=("large",)) == 2


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from(["uint8", "uint16", "uint32", "uint64"]), st.sampled_from(TEMPLATES))
def test_as_numpy_slices(pocl: Device, data: st.DataObject, dtype: str, template: str) -> None:
    rank = data.draw(st.integers(0, 8))
    shape = tuple(
        data.draw(st.lists(st.integers(1, (1, 900, 60, 17, 9, 6, 4, 3, 3)[rank]), min_size=rank, max_size=rank))
    )
    x = np.random.default_rng(rank).integers(0, 2**63, shape, dtype=np.uint64).astype(dtype)
    starts = data.draw(st.lists(st.integers(-5, 5), min_size=rank, max_size=rank))
    ends = data.draw(st.lists(st.integers(1, 2**63 - 1), min_size=rank, max_size=rank))
    steps = data.draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank))
    got = slice(pocl, x, starts=starts, ends=ends, steps=steps, template=template)
    parts = tuple(np.s_[a:b:c] for a, b, c in zip(starts, ends, steps, strict=True))
    np.testing.assert_array_equal(got, x[parts])
    back = slice(pocl, x, starts=[-1] * rank, ends=[-(2**63)] * rank, steps=[-c for c in steps], template=template)
    np.testing.assert_array_equal(back, x[tuple(np.s_[::-c] for c in steps)])


def test_kinds_of_arrays(pocl: Device) -> None:
    x = np.arange(60, dtype=np.int64).reshape(3, 4, 5)
    assert isinstance(rx.ops.slice(pocl, x, starts=(1,), ends=(2,)), np.ndarray)
    got = rx.ops.slice(pocl, pocl.upload(x), starts=(1, 0), ends=(4, 9), axes=(-1, 0))
    assert isinstance(got, rx.Array)
    np.testing.assert_array_equal(got.download(), x[:, :, 1:4])


def test_joined_and_widened(pocl: Device) -> None:
    """Channels 4 to 8 of NCHW are two rows; what cannot be joined keeps its axes."""
    (launch,) = plan(pocl, np.ones((2, 8, 3, 5), np.float32), starts=(4,), ends=(8,), axes=(1,)).launches
    assert "#define ITEM_BYTES 16" in launch.build.text
    (launch,) = plan(pocl, np.ones((2, 8, 3, 5), np.float32), starts=(1,), ends=(4,), axes=(3,)).launches
    assert "#define ITEM_BYTES 4\n" in launch.build.text
    assert plan(pocl, np.ones(4, np.float32), starts=(2,), ends=(2,)).launches == ()


def test_refusals(pocl: Device) -> None:
    x = np.ones((2, 3), np.float32)
    with pytest.raises(InputError, match=r"\[slice\] expected as many .*, got 1 starts, 2 ends, 1 axes, 1 steps"):
        slice(pocl, x, starts=(0,), ends=(1, 2))
    with pytest.raises(InputError, match="steps other than 0"):
        slice(pocl, x, starts=(0,), ends=(1,), steps=(0,))
    with pytest.raises(InputError, match="each axis at most once"):
        slice(pocl, x, starts=(0, 0), ends=(1, 1), axes=(1, -1))
    with pytest.raises(InputError, match="an axis from -2 to 1, got 2"):
        slice(pocl, x, starts=(0,), ends=(1,), axes=(2,))
    with pytest.raises(DtypeError, match="complex64"):
        slice(pocl, x.astype(np.complex64), starts=(0,), ends=(1,))
    with pytest.raises(ShapeError, match="expected out of shape"):
        slice(pocl, x, starts=(0,), ends=(1,), out=pocl.empty((2, 2)))
    held = pocl.upload(x)
    with pytest.raises(InputError, match="expected out apart from x"):
        slice(pocl, held, starts=(), ends=(), out=held)
