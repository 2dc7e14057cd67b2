"""``scatter_nd``: every bit in its place, for any shape, element and indices, by every template."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.scatter_nd import SPEC, plan, scatter_nd
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "scatter_nd", template) >= 13


def test_large_cases(pocl: Device) -> None:
    assert sweep(pocl, "scatter_nd", "cpu", tiers=("large",)) == 1


@settings(deadline=None, max_examples=50)
@given(st.data(), st.sampled_from(["uint8", "uint32"]), st.sampled_from(TEMPLATES), st.integers(0, 99))
def test_as_numpy_assigns(pocl: Device, data: st.DataObject, dtype: str, template: str, seed: int) -> None:
    rank = data.draw(st.integers(1, 8))
    most = (900, 60, 17, 9, 6, 4, 3, 3)[rank - 1]
    shape = tuple(data.draw(st.lists(st.integers(1, most), min_size=rank, max_size=rank)))
    depth = data.draw(st.integers(1, rank))
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2**63, shape, dtype=np.uint64).astype(dtype)
    chosen = rng.permutation(int(np.prod(shape[:depth])))[: data.draw(st.integers(0, 30))]
    indices = np.stack(np.unravel_index(chosen, shape[:depth]), axis=-1)
    updates = rng.integers(0, 2**63, (len(chosen), *shape[depth:]), dtype=np.uint64).astype(dtype)
    want = x.copy()
    want[tuple(indices.T)] = updates
    np.testing.assert_array_equal(scatter_nd(pocl, x, indices, updates, template=template), want)


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_indices_that_name_nothing(pocl: Device, template: str, index: type[np.signedinteger]) -> None:
    """On the host they are refused; on the device they write nothing, even the widest ones."""
    x = np.arange(1, 25, dtype=np.int32).reshape(2, 3, 4)
    least, most = np.iinfo(index).min, np.iinfo(index).max
    beyond = np.array([[0, 1], [1, 3], [-3, 0], [least, most], [0, least], [-1, -1]], index)
    updates = -np.arange(24, dtype=np.int32).reshape(6, 4)
    want = x.copy()
    want[0, 1], want[1, 2] = updates[0], updates[5]
    got = scatter_nd(pocl, x, pocl.upload(beyond), updates, template=template).download()
    np.testing.assert_array_equal(got, want)
    with pytest.raises(InputError, match=r"\[scatter_nd\] expected indices from -3 to 2, got 3 at \[1, 1\]"):
        scatter_nd(pocl, x, beyond, updates, template=template)


def test_in_place_saves_the_copy(pocl: Device) -> None:
    x, updates = np.zeros((5, 3), np.float32), np.ones((2, 3), np.float32)
    held = pocl.upload(x)
    planned = plan(pocl, held, np.array([[4], [1]]), updates, out=held)
    assert len(planned.launches) == 1
    x[[4, 1]] = 1
    assert planned.run() is held
    np.testing.assert_array_equal(held.download(), x)
    assert len(plan(pocl, x, np.zeros((0, 1), np.int64), updates[:0]).launches) == 1


def test_kinds_of_arrays(pocl: Device) -> None:
    x, indices, updates = np.arange(6), np.array([[1], [-1]]), np.array([70, 71])
    assert isinstance(rx.ops.scatter_nd(pocl, x, indices, updates), np.ndarray)
    got = rx.ops.scatter_nd(pocl, x, indices, pocl.upload(updates))
    assert isinstance(got, rx.Array)
    np.testing.assert_array_equal(got.download(), [0, 70, 2, 3, 4, 71])


def test_refusals(pocl: Device) -> None:
    x, indices, updates = np.ones((2, 3), np.float32), np.zeros((1, 1), np.int64), np.ones((1, 3), np.float32)
    with pytest.raises(ShapeError, match=r"\[scatter_nd\] expected indices of shape \(\.\., 1 to 2\) for x \(2, 3\)"):
        scatter_nd(pocl, x, np.zeros((4, 3), np.int64), updates)
    with pytest.raises(ShapeError, match=r"expected updates of shape \(1, 3\), got \(3, 1\)"):
        scatter_nd(pocl, x, indices, updates.T)
    with pytest.raises(DtypeError, match="expected updates of float32 as x, got float64"):
        scatter_nd(pocl, x, indices, updates.astype(np.float64))
    with pytest.raises(DtypeError, match="expected indices of int32 or int64, got uint8"):
        scatter_nd(pocl, x, indices.astype(np.uint8), updates)
    held = pocl.upload(updates)
    with pytest.raises(InputError, match="shares memory with updates"):
        scatter_nd(pocl, x[:1], indices, held, out=held)
