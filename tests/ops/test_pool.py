"""``pool``: maxima exactly, means within their bound, at any window and by every template."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.pool import SPEC, plan, pool
from rx580lab.reference import compare
from rx580lab.reference.pool import pool as oracle
from rx580lab.reference.pool import pool_tolerance
from rx580lab.selftest.case import prepare, suite
from rx580lab.selftest.check import stand_up
from tests.ops.sweep import sweep


@pytest.mark.parametrize(("template", "n_cases"), [("plain", 103), ("gpu", 30), ("cpu", 86)])
def test_cases(pocl: Device, template: str, n_cases: int) -> None:
    assert sweep(pocl, "pool", template) == n_cases


@pytest.mark.parametrize(("template", "n_cases"), [("plain", 4), ("gpu", 2), ("cpu", 4)])
def test_large_cases(pocl: Device, template: str, n_cases: int) -> None:
    assert sweep(pocl, "pool", template, tiers=("large",)) == n_cases


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_any_case(pocl: Device, seed: int) -> None:
    prepared = prepare("pool", suite("pool").random(np.random.default_rng(seed)))
    for template in SPEC.templates:
        if template.applies(pocl, prepared.shape) is None:
            outcome = stand_up(pocl, template.name, prepared).judge()
            assert outcome.ok, f"{template.name} on {prepared.case.name}: {outcome.reason}"


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 40),
    st.integers(1, 8),
    st.integers(1, 4),
    st.integers(1, 3),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.booleans(),
    st.sampled_from(["plain", "cpu"]),
)
def test_any_row(
    pocl: Device, n: int, kernel: int, step: int, gap: int, edges: tuple[float, float], ceil: bool, template: str
) -> None:
    extent = (kernel - 1) * gap + 1
    pads = tuple(int(edge * (extent - 1)) for edge in edges)
    x = np.random.default_rng(n).standard_normal((1, 2, max(n, extent))).astype(np.float32)
    keywords: dict[str, Any] = {"kernel_shape": (kernel,), "strides": (step,), "dilations": (gap,), "pads": pads}
    got = pool(pocl, x, **keywords, ceil_mode=ceil, template=template)
    np.testing.assert_array_equal(got, oracle(x, **keywords, ceil_mode=ceil))
    means: dict[str, Any] = {**keywords, "mode": "average", "ceil_mode": ceil, "count_include_pad": True}
    assert compare(pool(pocl, x, **means, template=template), oracle(x, **means), pool_tolerance(x, **means)).ok


@pytest.mark.parametrize("mode", ["max", "average"])
def test_parameters_change_nothing(pocl: Device, mode: str) -> None:
    x = np.random.default_rng(0).standard_normal((2, 5, 3, 211)).astype(np.float32)
    got = pool(pocl, x, mode=mode, template="gpu", params={"WG_X": 128, "WG_Y": 1})
    assert compare(got, oracle(x, mode=mode), pool_tolerance(x, mode=mode)).ok


def test_a_plane_by_its_sizes_is_a_whole_plane(pocl: Device) -> None:
    x = np.ones((1, 2, 7, 7), np.float32)
    assert [one.name for one in plan(pocl, x, kernel_shape=(7, 7)).launches] == ["pool_cpu.cl:pool_cpu_whole"]
    assert plan(pocl, x, kernel_shape=(7, 7)).out.shape == plan(pocl, x).out.shape == (1, 2, 1, 1)


def test_indices_are_those_of_the_flat_input(pocl: Device) -> None:
    x = np.random.default_rng(1).integers(0, 9, (2, 3, 9, 10)).astype(np.float32)  # many ties
    out, indices = pool(pocl, x, kernel_shape=(3, 2), strides=(2, 2), pads=(1, 1, 0, 1), indices=True)
    assert indices.dtype == np.int64
    np.testing.assert_array_equal(x.reshape(-1)[indices], out)
    kept = pocl.empty(indices.shape, np.int64)
    pool(pocl, x, kernel_shape=(3, 2), strides=(2, 2), pads=(1, 1, 0, 1), indices=True, out_indices=kept)
    np.testing.assert_array_equal(kept.download(), indices)
    of_arrays = pool(pocl, pocl.upload(x), kernel_shape=(3, 2), indices=True)
    assert all(isinstance(one, Array) for one in of_arrays)


def test_plan_runs_again_on_changed_contents(pocl: Device) -> None:
    x = pocl.upload(np.zeros((1, 1, 4, 4), np.float32))
    planned = plan(pocl, x, kernel_shape=(2, 2), strides=(2, 2))
    for value in (1.0, 2.0):
        x.write(np.full((1, 1, 4, 4), value, np.float32))
        assert (planned.run().download() == value).all()


def test_planes_without_channels_launch_nothing(pocl: Device) -> None:
    assert plan(pocl, np.empty((2, 0, 4, 4), np.float32), kernel_shape=(2, 2)).launches == ()
    assert pool(pocl, np.empty((0, 3, 5), np.float32)).shape == (0, 3, 1)


def test_choice(pocl: Device) -> None:
    assert plan(pocl, np.ones((1, 1, 8, 8), np.float32), kernel_shape=(2, 2)).template == "cpu"
    assert plan(pocl, np.ones((1, 1, 8, 8), np.float32), kernel_shape=(2, 2), indices=True).template == "plain"
    assert plan(pocl, np.ones((1, 1, 3000), np.float32), kernel_shape=(2500,)).template == "plain"


def test_groups_take_large_planes_and_shrink_to_the_device(pocl: Device) -> None:
    assert plan(pocl, np.ones((1, 1, 5000), np.float32), template="gpu").params == {"WG_X": 256, "WG_Y": 1}
    narrow = rx.open_device("pocl", limits=rx.Limits(work_group=64))
    for size in (49, 5000):
        assert plan(narrow, np.ones((1, 3, size), np.float32), template="gpu").params == {"WG_X": 64, "WG_Y": 1}


def test_refusals(pocl: Device) -> None:
    x = np.ones((1, 1, 4, 4), np.float32)
    for wrong in (
        {"mode": "min"},
        {"mode": "average", "indices": True},
        {"kernel_shape": (2, 2), "out_indices": pocl.empty((1, 1, 3, 3), np.int64)},
        {"kernel_shape": (2, 2), "indices": True, "out_indices": pocl.empty((1, 1, 3, 2), np.int64)},
        {"strides": (1, 1)},
        {"kernel_shape": (2,)},
        {"kernel_shape": (2, 0)},
        {"kernel_shape": (2, 2), "strides": (1, 0)},
        {"kernel_shape": (2, 2), "pads": (2, 0, 0, 0)},
        {"kernel_shape": (2, 2), "pads": (0, 0, 0, -1)},
        {"kernel_shape": (2, 2), "dilations": (1.5, 1)},
        {"kernel_shape": (2, 2), "template": "gpu"},
    ):
        with pytest.raises(InputError):
            pool(pocl, x, **wrong)
    for given_x, kernel in ((x, (5, 1)), (x[0], (1, 1, 1)), (np.ones((1, 1, 0), np.float32), None)):
        with pytest.raises((ShapeError, InputError)):
            pool(pocl, given_x, kernel_shape=kernel)
    with pytest.raises(ShapeError, match="rank 3 or more"):
        pool(pocl, x[0, 0])
    with pytest.raises(DtypeError, match="average"):
        pool(pocl, x.astype(np.int8), mode="average")
    with pytest.raises(DtypeError, match="float32"):
        pool(pocl, x.astype(np.int32))
    on_device = pocl.upload(x)
    with pytest.raises(InputError, match="apart"):
        pool(pocl, on_device, kernel_shape=(1, 1), out=on_device)


def test_cost_counts_what_windows_touch() -> None:
    x = np.ones((2, 3, 8, 9), np.float16)
    letters = SPEC.shape(x, kernel_shape=(2, 2), strides=(4, 4))
    # 2 x 2 windows of 2 x 2 taps that do not meet.
    assert SPEC.cost(letters).bytes == 2 * 6 * (16 + 4)
    assert SPEC.cost(letters).flop == 6 * 4 * 4
