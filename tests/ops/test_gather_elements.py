"""``gather_elements``: every bit in its place, for any shape, element and indices, by every template."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.gather_elements import SPEC, gather_elements, plan
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "gather_elements", template) >= 12


def test_large_cases(pocl: Device) -> None:
    assert sweep(pocl, "gather_elements", "cpu", tiers=("large",)) == 1


@settings(deadline=None, max_examples=50)
@given(st.data(), st.sampled_from(["uint8", "uint32"]), st.sampled_from(TEMPLATES), st.integers(0, 99))
def test_as_numpy_takes_along_an_axis(pocl: Device, data: st.DataObject, dtype: str, template: str, seed: int) -> None:
    rank = data.draw(st.integers(1, 8))
    most = (900, 60, 17, 9, 6, 4, 3, 3)[rank - 1]
    shape = tuple(data.draw(st.lists(st.integers(1, most), min_size=rank, max_size=rank)))
    axis = data.draw(st.integers(-rank, rank - 1))
    of_indices = [data.draw(st.integers(0, n)) for n in shape]
    of_indices[axis] = data.draw(st.integers(0, 30))
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2**63, shape, dtype=np.uint64).astype(dtype)
    indices = rng.integers(-shape[axis], shape[axis], of_indices)
    k = axis % rank
    cut = x[tuple(np.s_[:] if d == k else np.s_[: of_indices[d]] for d in range(rank))]
    got = gather_elements(pocl, x, indices, axis=axis, template=template)
    np.testing.assert_array_equal(got, np.take_along_axis(cut, indices, axis))


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_indices_that_name_nothing(pocl: Device, template: str, index: type[np.signedinteger]) -> None:
    """On the host they are refused; on the device they give 0, even the widest ones."""
    x = np.arange(1, 7, dtype=np.int32).reshape(2, 3)
    beyond = np.array([[0, 3, -4], [np.iinfo(index).min, np.iinfo(index).max, -1]], index)
    got = gather_elements(pocl, x, pocl.upload(beyond), axis=1, template=template).download()
    np.testing.assert_array_equal(got, [[1, 0, 0], [0, 0, 6]])
    with pytest.raises(InputError, match=r"\[gather_elements\] expected indices from -3 to 2, got 3 at \[0, 1\]"):
        gather_elements(pocl, x, beyond, axis=1, template=template)


def test_kinds_of_arrays(pocl: Device) -> None:
    x, indices = np.arange(6).reshape(2, 3), np.array([[1, 0, -1]])
    assert isinstance(rx.ops.gather_elements(pocl, x, indices), np.ndarray)
    got = rx.ops.gather_elements(pocl, pocl.upload(x), indices)
    assert isinstance(got, rx.Array)
    np.testing.assert_array_equal(got.download(), [[3, 1, 5]])
    assert plan(pocl, x, indices[:0]).launches == ()


def test_refusals(pocl: Device) -> None:
    x, indices = np.ones((2, 3), np.float32), np.zeros((2, 3), np.int64)
    with pytest.raises(ShapeError, match=r"\[gather_elements\] expected indices within x \(2, 3\) but along axis 0"):
        gather_elements(pocl, x, np.zeros((2, 4), np.int64))
    with pytest.raises(ShapeError, match=r"got \(6,\)"):
        gather_elements(pocl, x, indices.reshape(6))
    with pytest.raises(ShapeError, match="got a scalar"):
        gather_elements(pocl, np.array(1, np.float32), indices)
    with pytest.raises(InputError, match="an axis from -2 to 1, got -3"):
        gather_elements(pocl, x, indices, axis=-3)
    with pytest.raises(DtypeError, match="expected indices of int32 or int64, got int16"):
        gather_elements(pocl, x, indices.astype(np.int16))
    held = pocl.upload(x)
    with pytest.raises(InputError, match="expected out apart from x"):
        gather_elements(pocl, held, indices, out=held)
