"""``resize``: nearest bit for bit, linear and cubic within their bound, along any axes and by every template."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.resize import SPEC, plan, resize
from rx580lab.reference import compare
from rx580lab.reference.resize import resize as oracle
from rx580lab.reference.resize import resize_tolerance
from rx580lab.selftest.case import prepare, suite
from rx580lab.selftest.check import stand_up
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "resize", template) == 149


@pytest.mark.parametrize("template", TEMPLATES)
def test_large_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "resize", template, tiers=("large",)) == 3


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 2**32 - 1))
def test_any_case(pocl: Device, seed: int) -> None:
    prepared = prepare("resize", suite("resize").random(np.random.default_rng(seed)))
    for template in TEMPLATES:
        outcome = stand_up(pocl, template, prepared).judge()
        assert outcome.ok, f"{template} on {prepared.case.name}: {outcome.reason}"


@settings(deadline=None, max_examples=40)
@given(
    st.tuples(st.integers(1, 12), st.integers(1, 40)),
    st.tuples(st.integers(1, 20), st.integers(1, 60)),
    st.sampled_from(["linear", "cubic"]),
    st.booleans(),
    st.sampled_from(TEMPLATES),
)
def test_any_lengths(
    pocl: Device, before: tuple[int, int], after: tuple[int, int], mode: str, antialias: bool, template: str
) -> None:
    x = np.random.default_rng(0).standard_normal((2, *before)).astype(np.float32)
    keywords: dict[str, Any] = {"sizes": (2, *after), "mode": mode, "antialias": antialias}
    got = resize(pocl, x, **keywords, template=template)
    assert compare(got, oracle(x, **keywords), resize_tolerance(x, **keywords)).ok


def test_parameters_change_nothing(pocl: Device) -> None:
    x = np.random.default_rng(0).standard_normal((2, 9, 130)).astype(np.float32)
    keywords: dict[str, Any] = {"scales": (1, 2, 3), "mode": "linear"}
    got = resize(pocl, x, **keywords, template="cpu", params={"COLUMNS": 128})
    assert compare(got, oracle(x, **keywords), resize_tolerance(x, **keywords)).ok


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_constant_stays_constant(pocl: Device, template: str) -> None:
    x = np.full((1, 1, 9, 11), 2.5, np.float32)
    for mode in ("linear", "cubic"):
        got = resize(pocl, x, sizes=(1, 1, 5, 30), mode=mode, antialias=True, template=template)
        np.testing.assert_allclose(got, 2.5, rtol=1e-6)


def test_images_take_one_launch_and_distant_axes_several(pocl: Device) -> None:
    assert len(plan(pocl, np.ones((1, 2, 4, 4), np.float32), scales=(1, 1, 2, 2)).launches) == 1
    assert len(plan(pocl, np.ones((2, 3, 4, 4), np.float32), scales=(2, 1, 1, 2)).launches) == 2


def test_plan_runs_again_on_changed_contents(pocl: Device) -> None:
    x = pocl.upload(np.zeros((1, 4), np.float32))
    planned = plan(pocl, x, scales=(1, 2), mode="linear")
    for value in (1.0, 2.0):
        x.write(np.full((1, 4), value, np.float32))
        assert (planned.run().download() == value).all()


def test_results_without_elements_launch_nothing(pocl: Device) -> None:
    assert plan(pocl, np.empty((0, 4), np.float32), scales=(1, 2)).launches == ()
    assert resize(pocl, np.ones((3, 4), np.float32), scales=(1, 0), mode="linear").shape == (3, 0)


def test_numpy_in_numpy_out_and_array_in_array_out(pocl: Device) -> None:
    x = np.arange(4, dtype=np.int64)
    np.testing.assert_array_equal(resize(pocl, x, sizes=(2,)), [0, 2])
    assert isinstance(resize(pocl, pocl.upload(x), sizes=(2,)), Array)


def test_refusals(pocl: Device) -> None:
    x = np.ones((2, 4), np.float32)
    wrong: tuple[dict[str, Any], ...] = (
        {},
        {"scales": (1, 2), "sizes": (2, 8)},
        {"scales": (2,)},
        {"scales": (1, -2)},
        {"scales": (1, float("nan"))},
        {"scales": (2, 2), "axes": (1, -1)},
        {"scales": (2,), "axes": (2,)},
        {"scales": (1, 2), "mode": "bilinear"},
        {"scales": (1, 2), "nearest_mode": "round"},
        {"scales": (1, 2), "antialias": True},
        {"scales": (1, 2), "coordinate_transformation_mode": "tf_crop_and_resize"},
        {"sizes": (2, 8), "keep_aspect_ratio_policy": "larger"},
    )
    for keywords in wrong:
        with pytest.raises(InputError):
            resize(pocl, x, **keywords)
    with pytest.raises(ShapeError, match="hold elements"):
        resize(pocl, x[:0], sizes=(1, 4))
    with pytest.raises(ShapeError, match="elements"):
        resize(pocl, x, sizes=(2**16, 2**16))
    with pytest.raises(DtypeError, match="linear"):
        resize(pocl, x.astype(np.int32), scales=(1, 2), mode="linear")
    with pytest.raises(DtypeError, match="float32"):
        resize(pocl, x.astype(np.float64), scales=(1, 2))
    on_device = pocl.upload(x)
    with pytest.raises(InputError, match="apart"):
        resize(pocl, on_device, scales=(1, 1), out=on_device)


def test_cost_counts_what_taps_touch() -> None:
    letters = SPEC.shape(np.ones((1, 2, 8, 8), np.float16), scales=(1, 1, 0.25, 0.25))
    assert (SPEC.cost(letters).bytes, SPEC.cost(letters).flop) == (2 * 2 * (4 + 4), 0)
    letters = SPEC.shape(np.ones((3, 4), np.float32), scales=(1, 2), mode="linear")
    assert (SPEC.cost(letters).bytes, SPEC.cost(letters).flop) == (4 * (12 + 24), 2 * 2 * 24)
