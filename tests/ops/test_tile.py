"""``tile``: every bit in its place, for any shape and element, by every template."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.tile import SPEC, plan, tile
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "tile", template) >= 14


def test_large_cases(pocl: Device) -> None:
    assert sweep(pocl, "tile", "cpu", tiers=("large",)) == 1


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from(["uint8", "uint16", "uint32", "uint64"]), st.sampled_from(TEMPLATES))
def test_as_numpy_tiles(pocl: Device, data: st.DataObject, dtype: str, template: str) -> None:
    rank = data.draw(st.integers(0, 8))
    most = (0, 300, 30, 9, 5, 4, 3, 2, 2)[rank]
    shape = tuple(data.draw(st.lists(st.integers(0 if rank < 3 else 1, most), min_size=rank, max_size=rank)))
    repeats = tuple(data.draw(st.lists(st.integers(1, 3 if rank < 6 else 2), min_size=rank, max_size=rank)))
    x = np.random.default_rng(rank).integers(0, 2**63, shape, dtype=np.uint64).astype(dtype)
    np.testing.assert_array_equal(tile(pocl, x, repeats=repeats, template=template), np.tile(x, repeats))


def test_kinds_of_arrays(pocl: Device) -> None:
    x = np.arange(6, dtype=np.int64).reshape(2, 3)
    assert isinstance(rx.ops.tile(pocl, x, repeats=(1, 2)), np.ndarray)
    got = rx.ops.tile(pocl, pocl.upload(x), repeats=(2, 1))
    assert isinstance(got, rx.Array)
    np.testing.assert_array_equal(got.download(), np.tile(x, (2, 1)))
    assert plan(pocl, x, repeats=(0, 1)).launches == ()


def test_more_axes_than_a_launch_takes_are_several_launches(pocl: Device) -> None:
    x = np.arange(3**8, dtype=np.int32).reshape((3,) * 8)
    planned = plan(pocl, x, repeats=(2,) * 8)
    assert len(planned.launches) == 2**7
    np.testing.assert_array_equal(planned.run().download(), np.tile(x, (2,) * 8))


def test_refusals(pocl: Device) -> None:
    x = np.ones((2, 3), np.float32)
    with pytest.raises(InputError, match=r"\[tile\] expected 2 repeats of 0 or more, got \[2\]"):
        tile(pocl, x, repeats=(2,))
    with pytest.raises(InputError, match="of 0 or more"):
        tile(pocl, x, repeats=(2, -1))
    with pytest.raises(ShapeError, match="at most 2,147,483,647 elements"):
        tile(pocl, x, repeats=(2**30, 1))
    with pytest.raises(DtypeError, match="complex64"):
        tile(pocl, x.astype(np.complex64), repeats=(1, 1))
    held = pocl.upload(x)
    with pytest.raises(InputError, match="expected out apart from x"):
        tile(pocl, held, repeats=(1, 1), out=held)
