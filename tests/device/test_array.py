"""Arrays: round trips, views, sharing with pyopencl, counting, limits."""

from __future__ import annotations

import gc
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.errors import DtypeError, InputError, LimitExceeded, ShapeError

DTYPES = st.sampled_from([np.float32, np.float16, np.int32, np.int64, np.uint8, np.int8, np.bool_])
HOST_ARRAYS = DTYPES.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)))


@settings(deadline=None, max_examples=60)
@given(host=HOST_ARRAYS)
def test_upload_and_download_give_the_same_bytes(pocl: rx.Device, host: npt.NDArray[Any]) -> None:
    back = pocl.upload(host).download()
    assert (back.shape, back.dtype) == (host.shape, host.dtype)
    assert back.tobytes() == np.ascontiguousarray(host).tobytes()


def test_strided_input_is_copied_in_its_own_order(pocl: rx.Device) -> None:
    host = np.arange(24, dtype=np.float32).reshape(4, 6).T[::2]
    np.testing.assert_array_equal(pocl.upload(host).download(), host)


def test_write_refuses_another_shape_or_dtype_and_keeps_the_contents(pocl: rx.Device) -> None:
    array = pocl.zeros((2, 3))
    with pytest.raises(ShapeError, match=r"expected shape \(2, 3\), got \(3, 2\)"):
        array.write(np.ones((3, 2), np.float32))
    with pytest.raises(DtypeError, match="expected float32, got float64"):
        array.write(np.ones((2, 3)))
    assert not array.download().any()


def test_views_share_memory(pocl: rx.Device) -> None:
    whole = pocl.upload(np.arange(256, dtype=np.float32))
    part = whole.view_from(64, (4, 8))
    part.write(np.full((4, 8), -1, np.float32))
    assert whole.download()[64:96].tolist() == [-1.0] * 32
    assert whole.download()[96] == 96
    assert whole.reshape(16, -1).shape == (16, 16)
    with pytest.raises(ShapeError, match="multiple of"):
        whole.view_from(1, (4,))
    with pytest.raises(ShapeError, match="within 256 elements"):
        whole.view_from(224, (64,))
    with pytest.raises(ShapeError, match="256 elements"):
        whole.reshape(3, -1)


def test_pyopencl_arrays_share_memory_both_ways(pocl: rx.Device) -> None:
    ours = pocl.upload(np.arange(64, dtype=np.float32))
    theirs = ours.to_pyopencl()
    theirs += 1
    assert ours.download()[0] == 1
    back = pocl.wrap(theirs[32:])
    back.write(np.zeros(32, np.float32))
    assert not ours.download()[32:].any()
    assert ours.download()[31] == 32


def test_foreign_pyopencl_arrays_are_refused(pocl: rx.Device) -> None:
    other = rx.open_device("pocl")
    with pytest.raises(ShapeError, match="own context"):
        pocl.wrap(other.zeros(4).to_pyopencl())
    with pytest.raises(ShapeError, match="C-contiguous"):
        pocl.wrap(pocl.zeros((4, 4)).to_pyopencl()[:, 1])


def test_bytes_are_counted_and_given_back() -> None:
    device = rx.open_device("pocl")
    first, second = device.zeros(1000), device.empty((10, 10), np.int8)
    view = first.reshape(10, 100)
    assert device.bytes_in_use == 4100
    del first, second
    gc.collect()
    assert device.bytes_in_use == 4000  # the view keeps it alive
    del view
    gc.collect()
    assert (device.bytes_in_use, device.bytes_peak) == (0, 4100)


def test_emulated_limits_hold_and_lose_nothing() -> None:
    device = rx.open_device("pocl", limits=rx.Limits(memory_bytes=1000, allocation_bytes=600))
    kept = device.upload(np.arange(125, dtype=np.float32))
    with pytest.raises(LimitExceeded, match="at most 600 bytes, got 604"):
        device.empty(151)
    with pytest.raises(LimitExceeded, match="500 in use and 504 more"):
        device.empty(126)
    assert kept.download().tolist() == list(range(125))
    assert device.bytes_in_use == 500


def test_a_preset_is_the_stricter_of_card_and_device() -> None:
    device = rx.open_device("pocl", limits="rx580")
    assert (device.limits.work_group, device.limits.lds_bytes) == (256, 32 << 10)
    assert device.limits.memory_bytes is not None
    assert device.limits.memory_bytes <= 8 << 30
    assert device.fingerprint["hash"] != rx.open_device("pocl").fingerprint["hash"]
    with pytest.raises(InputError, match="expected one of rx580, got 'rx590'"):
        rx.open_device("pocl", limits="rx590")
    with pytest.raises(InputError, match="positive"):
        rx.Limits(work_group=0)


def test_unknown_dtypes_and_negative_lengths_are_refused(pocl: rx.Device) -> None:
    with pytest.raises(DtypeError, match="complex64"):
        pocl.empty(4, np.complex64)
    with pytest.raises(ShapeError, match="0 or more"):
        pocl.empty((2, -1))
