"""``gather``: every bit in its place, for any shape, element and indices, by every template."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.gather import SPEC, gather, plan
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "gather", template) >= 16


def test_large_cases(pocl: Device) -> None:
    assert sweep(pocl, "gather", "cpu", tiers=("large",)) == 1


@settings(deadline=None, max_examples=50)
@given(st.data(), st.sampled_from(["uint8", "uint32"]), st.sampled_from(TEMPLATES), st.integers(0, 99))
def test_as_numpy_takes(pocl: Device, data: st.DataObject, dtype: str, template: str, seed: int) -> None:
    rank = data.draw(st.integers(1, 8))
    most = (900, 60, 17, 9, 6, 4, 3, 3)[rank - 1]
    shape = tuple(data.draw(st.lists(st.integers(1, most), min_size=rank, max_size=rank)))
    axis = data.draw(st.integers(-rank, rank - 1))
    of_indices = tuple(data.draw(st.lists(st.integers(0, 20), max_size=2)))
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2**63, shape, dtype=np.uint64).astype(dtype)
    indices = rng.integers(-shape[axis], shape[axis], of_indices)
    np.testing.assert_array_equal(gather(pocl, x, indices, axis=axis, template=template), np.take(x, indices, axis))


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_indices_that_name_nothing(pocl: Device, template: str, index: type[np.signedinteger]) -> None:
    """On the host they are refused; on the device they give zeros, even the widest ones."""
    x = np.arange(1, 13, dtype=np.int32).reshape(3, 4)
    beyond = np.array([0, 3, -4, np.iinfo(index).min, np.iinfo(index).max, -3], index)
    got = gather(pocl, x, pocl.upload(beyond), template=template).download()
    np.testing.assert_array_equal(got, np.concatenate([x[:1], np.zeros((4, 4)), x[:1]]))
    with pytest.raises(InputError, match=r"\[gather\] expected indices from -3 to 2, got 3 at \[1\]"):
        gather(pocl, x, beyond, template=template)


def test_kinds_of_arrays(pocl: Device) -> None:
    x, indices = np.arange(24, dtype=np.int64).reshape(2, 3, 4), np.array([[2, 0], [-1, 1]])
    assert isinstance(rx.ops.gather(pocl, x, indices, axis=1), np.ndarray)
    got = rx.ops.gather(pocl, pocl.upload(x), indices, axis=1)
    assert isinstance(got, rx.Array)
    np.testing.assert_array_equal(got.download(), x[:, indices])
    assert rx.ops.gather(pocl, x, np.array(1), axis=0).shape == (3, 4)


def test_a_plan_follows_its_indices(pocl: Device) -> None:
    x = np.arange(20, dtype=np.float32).reshape(5, 4)
    indices = pocl.upload(np.zeros(3, np.int64))
    planned = plan(pocl, pocl.upload(x), indices)
    for chosen in ([0, 1, 2], [-1, 4, 3]):
        indices.write(np.array(chosen))
        np.testing.assert_array_equal(planned.run().download(), x[chosen])


def test_refusals(pocl: Device) -> None:
    x, indices = np.ones((2, 3), np.float32), np.zeros(2, np.int64)
    with pytest.raises(ShapeError, match=r"\[gather\] expected x of 1 or more axes, got a scalar"):
        gather(pocl, np.array(1, np.float32), indices)
    with pytest.raises(InputError, match="an axis from -2 to 1, got 2"):
        gather(pocl, x, indices, axis=2)
    with pytest.raises(DtypeError, match="expected indices of int32 or int64, got float32"):
        gather(pocl, x, indices.astype(np.float32))
    with pytest.raises(DtypeError, match="complex64"):
        gather(pocl, x.astype(np.complex64), indices)
    with pytest.raises(ShapeError, match="at most 2,147,483,647 elements"):
        gather(pocl, pocl.empty((1, 2**16)), pocl.empty((2**15,), np.int32))
    held = pocl.upload(x)
    with pytest.raises(InputError, match="expected out apart from x"):
        gather(pocl, held, indices, out=held)


def test_cost() -> None:
    assert SPEC.cost({"N": 100, "I": 10, "ITEM": 4}).bytes == 840
