"""``expand``: every bit in its place, for any shape and element, by every template."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.expand import SPEC, expand, plan
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "expand", template) >= 17


def test_large_cases(pocl: Device) -> None:
    assert sweep(pocl, "expand", "cpu", tiers=("large",)) == 1


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from(["uint8", "uint16", "uint32", "uint64"]), st.sampled_from(TEMPLATES))
def test_as_numpy_broadcasts(pocl: Device, data: st.DataObject, dtype: str, template: str) -> None:
    rank = data.draw(st.integers(0, 8))
    most = (1, 900, 60, 17, 9, 6, 4, 3, 3)[rank]
    axes = data.draw(st.lists(st.tuples(st.integers(1, most), st.booleans()), min_size=rank, max_size=rank))
    full, given_shape = tuple(n for n, _ in axes), tuple(1 if one else n for n, one in axes)
    x = np.random.default_rng(rank).integers(0, 2**63, given_shape, dtype=np.uint64).astype(dtype)
    np.testing.assert_array_equal(expand(pocl, x, shape=full, template=template), np.broadcast_to(x, full))


def test_kinds_of_arrays(pocl: Device) -> None:
    x = np.arange(6, dtype=np.int64).reshape(2, 1, 3)
    assert rx.ops.expand(pocl, x, shape=(4, 1)).shape == (2, 4, 3)
    got = rx.ops.expand(pocl, pocl.upload(x), shape=(5, 1, 1, 1))
    assert isinstance(got, rx.Array)
    np.testing.assert_array_equal(got.download(), np.broadcast_to(x, (5, 2, 1, 3)))
    assert plan(pocl, x, shape=(0, 1, 1, 1)).launches == ()


def test_refusals(pocl: Device) -> None:
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ShapeError, match=r"\[expand\] expected a shape .* that \(2, 3\) broadcasts to, got \(2, 4\)"):
        expand(pocl, x, shape=(2, 4))
    with pytest.raises(ShapeError, match="broadcasts to"):
        expand(pocl, x, shape=(1,) * 9)
    with pytest.raises(ShapeError, match="at most 2,147,483,647 elements"):
        expand(pocl, x, shape=(2**30, 2, 3))
    with pytest.raises(DtypeError, match="complex64"):
        expand(pocl, x.astype(np.complex64), shape=(2, 3))
    held = pocl.upload(x)
    with pytest.raises(InputError, match="expected out apart from x"):
        expand(pocl, held, shape=(1, 1), out=held)


def test_cost() -> None:
    assert SPEC.cost({"N": 100, "M": 10, "ITEM": 4}).bytes == 440
