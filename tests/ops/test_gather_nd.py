"""``gather_nd``: every bit in its place, for any shape, element and indices, by every template."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.gather_nd import SPEC, gather_nd, plan
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "gather_nd", template) >= 13


def test_large_cases(pocl: Device) -> None:
    assert sweep(pocl, "gather_nd", "cpu", tiers=("large",)) == 1


@settings(deadline=None, max_examples=50)
@given(st.data(), st.sampled_from(["uint8", "uint32"]), st.sampled_from(TEMPLATES), st.integers(0, 99))
def test_as_numpy_indexes(pocl: Device, data: st.DataObject, dtype: str, template: str, seed: int) -> None:
    rank = data.draw(st.integers(1, 8))
    most = (900, 60, 17, 9, 6, 4, 3, 3)[rank - 1]
    shape = tuple(data.draw(st.lists(st.integers(1, most), min_size=rank, max_size=rank)))
    depth = data.draw(st.integers(1, rank))
    of_rows = tuple(data.draw(st.lists(st.integers(0, 20), max_size=2)))
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2**63, shape, dtype=np.uint64).astype(dtype)
    indices = np.stack([rng.integers(-n, n, of_rows) for n in shape[:depth]], axis=-1)
    want = x[tuple(np.moveaxis(indices, -1, 0))]
    np.testing.assert_array_equal(gather_nd(pocl, x, indices, template=template), want)
    if rank < 8:
        batched = np.stack([x, x[::-1], x])
        got = gather_nd(pocl, batched, np.stack([indices] * 3), batch_dims=1, template=template)
        np.testing.assert_array_equal(got, np.stack([want, x[::-1][tuple(np.moveaxis(indices, -1, 0))], want]))


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_indices_that_name_nothing(pocl: Device, template: str, index: type[np.signedinteger]) -> None:
    """On the host they are refused; on the device they give zeros, even the widest ones."""
    x = np.arange(1, 25, dtype=np.int32).reshape(2, 3, 4)
    least, most = np.iinfo(index).min, np.iinfo(index).max
    beyond = np.array([[0, 1], [1, 3], [-3, 0], [least, most], [0, least], [-1, -1]], index)
    got = gather_nd(pocl, x, pocl.upload(beyond), template=template).download()
    np.testing.assert_array_equal(got, [x[0, 1], *np.zeros((4, 4)), x[1, 2]])
    with pytest.raises(InputError, match=r"\[gather_nd\] expected indices from -3 to 2, got 3 at \[1, 1\]"):
        gather_nd(pocl, x, beyond, template=template)


def test_kinds_of_arrays(pocl: Device) -> None:
    x, indices = np.arange(24, dtype=np.int64).reshape(2, 3, 4), np.array([[1, 2], [0, 0]])
    assert isinstance(rx.ops.gather_nd(pocl, x, indices), np.ndarray)
    got = rx.ops.gather_nd(pocl, pocl.upload(x), indices)
    assert isinstance(got, rx.Array)
    np.testing.assert_array_equal(got.download(), x[[1, 0], [2, 0]])
    assert plan(pocl, x, np.zeros((0, 2), np.int64)).launches == ()


def test_refusals(pocl: Device) -> None:
    x, indices = np.ones((2, 3), np.float32), np.zeros((4, 1), np.int64)
    with pytest.raises(ShapeError, match=r"\[gather_nd\] expected x and indices of 1 or more axes, got \(\) and"):
        gather_nd(pocl, np.array(1, np.float32), indices)
    with pytest.raises(ShapeError, match=r"expected indices of shape \( \.\., 1 to 2\), got \(4, 3\)"):
        gather_nd(pocl, x, np.zeros((4, 3), np.int64))
    with pytest.raises(ShapeError, match=r"expected indices of shape \(2 \.\., 1 to 1\), got \(4, 1\)"):
        gather_nd(pocl, x, indices, batch_dims=1)
    with pytest.raises(InputError, match="batch_dims from 0 to 1, got 2"):
        gather_nd(pocl, x, indices, batch_dims=2)
    with pytest.raises(DtypeError, match="expected indices of int32 or int64, got uint8"):
        gather_nd(pocl, x, indices.astype(np.uint8))
    held = pocl.upload(x)
    with pytest.raises(InputError, match="expected out apart from x"):
        gather_nd(pocl, held, np.zeros((2, 1), np.int64), out=held)
