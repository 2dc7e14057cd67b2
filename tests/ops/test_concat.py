"""``concat``: every bit in its place, for any shape and element, by every template."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.concat import SPEC, concat, plan
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "concat", template) >= 16


def test_large_cases(pocl: Device) -> None:
    assert sweep(pocl, "concat", "cpu", tiers=("large",)) == 1


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from(["uint8", "uint16", "uint32", "uint64"]), st.sampled_from(TEMPLATES))
def test_as_numpy_concatenates(pocl: Device, data: st.DataObject, dtype: str, template: str) -> None:
    rank = data.draw(st.integers(1, 8))
    most = (1, 900, 60, 17, 9, 6, 4, 3, 3)[rank]
    shape = tuple(data.draw(st.lists(st.integers(0 if rank < 3 else 1, most), min_size=rank, max_size=rank)))
    axis = data.draw(st.integers(-rank, rank - 1))
    lengths = data.draw(st.lists(st.integers(0, most), min_size=1, max_size=5))
    rng = np.random.default_rng(rank)
    k = axis % rank
    shapes = [(*shape[:k], n, *shape[k + 1 :]) for n in lengths]
    arrays = [rng.integers(0, 2**63, one, dtype=np.uint64).astype(dtype) for one in shapes]
    np.testing.assert_array_equal(concat(pocl, *arrays, axis=axis, template=template), np.concatenate(arrays, axis))


def test_kinds_of_arrays(pocl: Device) -> None:
    a, b = np.arange(6, dtype=np.int64).reshape(2, 3), np.arange(4, dtype=np.int64).reshape(2, 2)
    assert isinstance(rx.ops.concat(pocl, a, b, axis=1), np.ndarray)
    got = rx.ops.concat(pocl, a, pocl.upload(b), axis=-1)
    assert isinstance(got, rx.Array)
    np.testing.assert_array_equal(got.download(), np.concatenate([a, b], 1))
    held = pocl.upload(a)
    np.testing.assert_array_equal(rx.ops.concat(pocl, held, held, axis=0).download(), np.concatenate([a, a]))


def test_one_launch_for_each_array_that_is_not_empty(pocl: Device) -> None:
    arrays = [np.ones((2, n), np.float32) for n in (3, 0, 5)]
    planned = plan(pocl, *arrays, axis=1)
    assert len(planned.launches) == 2
    assert planned.run().shape == (2, 8)


def test_refusals(pocl: Device) -> None:
    x = np.ones((2, 3), np.float32)
    with pytest.raises(InputError, match=r"\[concat\] expected one array or more, got none"):
        concat(pocl, axis=0)
    with pytest.raises(ShapeError, match=r"expected array 1 of shape anyx3 as array 0, got \(3, 2\)"):
        concat(pocl, x, x.T, axis=0)
    with pytest.raises(ShapeError, match=r"got \(2, 3, 1\)"):
        concat(pocl, x, x[..., None], axis=0)
    with pytest.raises(ShapeError, match="got a scalar"):
        concat(pocl, np.array(1, np.float32), axis=0)
    with pytest.raises(DtypeError, match="expected array 1 of float32 as array 0, got float64"):
        concat(pocl, x, x.astype(np.float64), axis=0)
    with pytest.raises(InputError, match="an axis from -2 to 1, got 2"):
        concat(pocl, x, axis=2)
    held = pocl.upload(x)
    with pytest.raises(InputError, match="shares memory with array 1"):
        concat(pocl, x[:0], held, axis=0, out=held)
