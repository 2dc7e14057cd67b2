"""``copy``: bit for bit, at every size and by every template."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, InputError, LimitExceeded, ShapeError
from rx580lab.ops.copy import SPEC, copy, plan
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "copy", template) >= 10


@pytest.mark.parametrize(
    ("template", "params"),
    [
        ("gpu", {"WG_X": 64, "VEC": 16, "PER_ITEM": 1}),
        ("gpu", {"WG_X": 192, "VEC": 8, "PER_ITEM": 3}),
        ("cpu", {"VEC": 8, "TILE": 1000, "STREAM_FROM": 1}),  # blocks that begin off a vector's alignment
        ("cpu", {"VEC": 16, "TILE": 16384, "STREAM_FROM": 1}),
    ],
)
def test_parameters_change_nothing(pocl: Device, template: str, params: dict[str, int]) -> None:
    assert sweep(pocl, "copy", template, params) >= 10


def test_the_large_size_streams_past_the_caches(pocl: Device) -> None:
    assert sweep(pocl, "copy", "cpu", tiers=("large",)) == 1


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 5000), st.sampled_from(TEMPLATES), st.integers(0, 2**32 - 1))
def test_any_size_and_any_bits(pocl: Device, n: int, template: str, seed: int) -> None:
    bits = np.random.default_rng(seed).integers(0, 2**32, n, dtype=np.uint32)
    got = copy(pocl, bits.view(np.float32), template=template)
    np.testing.assert_array_equal(got.view(np.uint32), bits)


def test_numpy_in_numpy_out_and_array_in_array_out(pocl: Device) -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert isinstance(copy(pocl, x), np.ndarray)
    got = copy(pocl, pocl.upload(x))
    assert isinstance(got, Array)
    np.testing.assert_array_equal(got.download(), x)


def test_plan_runs_again_on_changed_contents(pocl: Device) -> None:
    x, out = pocl.upload(np.zeros(100, np.float32)), pocl.empty(100)
    planned = plan(pocl, x, out=out)
    for value in (1.0, 2.0):
        x.write(np.full(100, value, np.float32))
        assert planned.run() is out
        assert (out.download() == value).all()


def test_choice_follows_the_device_class(pocl: Device) -> None:
    assert plan(pocl, np.ones(9, np.float32)).template == "cpu"


def test_empty_input_launches_nothing(pocl: Device) -> None:
    planned = plan(pocl, np.empty((0, 3), np.float32))
    assert planned.launches == ()
    assert planned.run().download().shape == (0, 3)


def test_refusals(pocl: Device) -> None:
    x = np.ones(8, np.float32)
    with pytest.raises(DtypeError, match="float32"):
        copy(pocl, x.astype(np.float64))
    with pytest.raises(ShapeError, match=r"\(8,\)"):
        copy(pocl, x, out=pocl.empty(9))
    with pytest.raises(InputError, match="plain, gpu, cpu"):
        copy(pocl, x, template="tpu")
    with pytest.raises(InputError, match="VEC, TILE, STREAM_FROM"):
        copy(pocl, x, template="cpu", params={"TILES": 3})
    with pytest.raises(InputError, match="multiple of 64"):
        copy(pocl, x, template="gpu", params={"WG_X": 100})


def test_groups_shrink_to_the_device_and_refuse_below_a_wavefront() -> None:
    x = np.arange(1000, dtype=np.float32)
    small = rx.open_device("pocl", limits=rx.Limits(work_group=128))
    planned = plan(small, x, template="gpu")
    assert planned.params["WG_X"] == 128
    np.testing.assert_array_equal(planned.run().download(), x)
    with pytest.raises(LimitExceeded):
        copy(small, x, template="gpu", params={"WG_X": 256})
    tiny = rx.open_device("pocl", limits=rx.Limits(work_group=32))
    with pytest.raises(InputError, match="work-groups of 64"):
        copy(tiny, x, template="gpu")


def test_cost_is_one_read_and_one_write() -> None:
    assert (SPEC.cost({"N": 1000}).bytes, SPEC.cost({"N": 1000}).flop) == (8000, 0)
