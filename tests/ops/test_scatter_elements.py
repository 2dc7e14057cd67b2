"""``scatter_elements``: every bit in its place, for any shape, element and indices, by every template."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.scatter_elements import SPEC, plan, scatter_elements
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "scatter_elements", template) >= 11


def test_large_cases(pocl: Device) -> None:
    assert sweep(pocl, "scatter_elements", "cpu", tiers=("large",)) == 1


@settings(deadline=None, max_examples=50)
@given(st.data(), st.sampled_from(["uint8", "uint32"]), st.sampled_from(TEMPLATES), st.integers(0, 99))
def test_as_numpy_puts_along_an_axis(pocl: Device, data: st.DataObject, dtype: str, template: str, seed: int) -> None:
    rank = data.draw(st.integers(1, 8))
    most = (900, 60, 17, 9, 6, 4, 3, 3)[rank - 1]
    shape = tuple(data.draw(st.lists(st.integers(1, most), min_size=rank, max_size=rank)))
    axis = data.draw(st.integers(-rank, rank - 1))
    of_indices = tuple(data.draw(st.integers(0, n)) for n in shape)
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2**63, shape, dtype=np.uint64).astype(dtype)
    cut = tuple(np.s_[:n] for n in of_indices)
    indices = np.argsort(rng.random(shape), axis=axis)[cut]  # no two the same along the axis
    updates = rng.integers(0, 2**63, of_indices, dtype=np.uint64).astype(dtype)
    k, want = axis % rank, x.copy()
    part = want[tuple(np.s_[:] if d == k else np.s_[: of_indices[d]] for d in range(rank))]
    np.put_along_axis(part, indices, updates, axis)
    got = scatter_elements(pocl, x, indices, updates, axis=axis, template=template)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_indices_that_name_nothing(pocl: Device, template: str, index: type[np.signedinteger]) -> None:
    """On the host they are refused; on the device they write nothing, even the widest ones."""
    x, updates = np.arange(1, 7, dtype=np.int32).reshape(2, 3), np.full((2, 3), -7, np.int32)
    beyond = np.array([[0, 3, -4], [np.iinfo(index).min, np.iinfo(index).max, -1]], index)
    got = scatter_elements(pocl, x, pocl.upload(beyond), updates, axis=1, template=template).download()
    np.testing.assert_array_equal(got, [[-7, 2, 3], [4, 5, -7]])
    with pytest.raises(InputError, match=r"\[scatter_elements\] expected indices from -3 to 2, got 3 at \[0, 1\]"):
        scatter_elements(pocl, x, beyond, updates, axis=1, template=template)


def test_in_place_saves_the_copy(pocl: Device) -> None:
    x = np.zeros((5, 3), np.float32)
    held = pocl.upload(x)
    planned = plan(pocl, held, np.array([[4, 1, 0]]), np.ones((1, 3), np.float32), out=held)
    assert len(planned.launches) == 1
    x[[4, 1, 0], [0, 1, 2]] = 1
    assert planned.run() is held
    np.testing.assert_array_equal(held.download(), x)


def test_kinds_of_arrays(pocl: Device) -> None:
    x, indices, updates = np.arange(6), np.array([1, -1]), np.array([70, 71])
    assert isinstance(rx.ops.scatter_elements(pocl, x, indices, updates), np.ndarray)
    got = rx.ops.scatter_elements(pocl, x, pocl.upload(indices), updates)
    assert isinstance(got, rx.Array)
    np.testing.assert_array_equal(got.download(), [0, 70, 2, 3, 4, 71])


def test_refusals(pocl: Device) -> None:
    x, indices = np.ones((2, 3), np.float32), np.zeros((1, 3), np.int64)
    with pytest.raises(ShapeError, match=r"\[scatter_elements\] expected indices within x \(2, 3\) but along axis 0"):
        scatter_elements(pocl, x, np.zeros((1, 4), np.int64), x[:1])
    with pytest.raises(ShapeError, match=r"expected updates of shape \(1, 3\), got \(2, 3\)"):
        scatter_elements(pocl, x, indices, x)
    with pytest.raises(ShapeError, match="got a scalar"):
        scatter_elements(pocl, np.array(1, np.float32), indices, x[:1])
    with pytest.raises(DtypeError, match="expected updates of float32 as x, got float64"):
        scatter_elements(pocl, x, indices, x[:1].astype(np.float64))
    with pytest.raises(DtypeError, match="expected indices of int32 or int64, got uint8"):
        scatter_elements(pocl, x, indices.astype(np.uint8), x[:1])
    with pytest.raises(InputError, match="an axis from -2 to 1, got 2"):
        scatter_elements(pocl, x, indices, x[:1], axis=2)
