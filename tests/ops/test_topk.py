"""``topk``: the right elements in the right order, whatever the ties, by every template."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.topk import SPEC, plan, topk
from rx580lab.reference.topk import topk as oracle
from rx580lab.selftest.case import prepare, suite
from rx580lab.selftest.check import stand_up
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


def assert_right(pocl: Device, x: Any, template: str, **keywords: Any) -> None:
    """Both outputs bit for bit, but for the sign and payload of NaN."""
    expected = oracle(x, **keywords)
    got = topk(pocl, x, template=template, **keywords)
    np.testing.assert_array_equal(got[1], expected[1])
    np.testing.assert_array_equal(got[0], expected[0])


@pytest.mark.parametrize(("template", "n_cases"), [("plain", 57), ("gpu", 56), ("cpu", 57)])
def test_cases(pocl: Device, template: str, n_cases: int) -> None:
    assert sweep(pocl, "topk", template) == n_cases


@pytest.mark.parametrize(("template", "n_cases"), [("plain", 1), ("gpu", 2), ("cpu", 2)])
def test_large_cases(pocl: Device, template: str, n_cases: int) -> None:
    assert sweep(pocl, "topk", template, tiers=("large",)) == n_cases


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_any_case(pocl: Device, seed: int) -> None:
    prepared = prepare("topk", suite("topk").random(np.random.default_rng(seed)))
    for template in SPEC.templates:
        if template.applies(pocl, prepared.shape) is None:
            outcome = stand_up(pocl, template.name, prepared).judge()
            assert outcome.ok, f"{template.name} on {prepared.case.name}: {outcome.reason}"


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(width=32), min_size=1, max_size=150), st.floats(0, 1), st.booleans(), st.sampled_from(TEMPLATES)
)
def test_any_values(pocl: Device, values: list[float], part: float, largest: bool, template: str) -> None:
    x = np.array(values, np.float32)
    assert_right(pocl, x, template, k=round(part * x.size), largest=largest)


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("kind", ["float32", "int64"])
def test_equal_elements_come_by_their_places(pocl: Device, template: str, kind: str) -> None:
    x = np.zeros((2, 700), kind)
    assert_right(pocl, x, template, k=300)
    assert_right(pocl, x, template, k=300, largest=False)


@pytest.mark.parametrize("template", TEMPLATES)
def test_all_of_a_row_is_a_stable_sort(pocl: Device, template: str) -> None:
    x = np.random.default_rng(0).integers(0, 50, 900).astype(np.int32)
    values, places = topk(pocl, x, k=900, largest=False, template=template)
    np.testing.assert_array_equal(places, np.argsort(x, kind="stable"))
    np.testing.assert_array_equal(values, np.sort(x))


def test_plan_runs_again_on_changed_contents(pocl: Device) -> None:
    x = pocl.upload(np.arange(100, dtype=np.float32))
    planned = plan(pocl, x, k=2)
    for turn in (1, -1):
        x.write(np.arange(100, dtype=np.float32)[::turn])
        np.testing.assert_array_equal(planned.run().download(), [99, 98])
        np.testing.assert_array_equal(planned.more[0].download(), [99, 98] if turn == 1 else [0, 1])


def test_no_elements_launch_nothing(pocl: Device) -> None:
    assert plan(pocl, np.empty((0, 5), np.float32), k=2).launches == ()
    values, places = topk(pocl, np.ones((2, 3), np.float32), k=0)
    assert values.shape == places.shape == (2, 0)


def test_numpy_in_numpy_out_and_array_in_array_out(pocl: Device) -> None:
    x = np.array([1, 3, 2], np.int32)
    values, places = topk(pocl, x, k=2, sorted=False)
    assert (values.tolist(), places.tolist()) == ([3, 2], [1, 2])
    assert all(isinstance(one, Array) for one in topk(pocl, pocl.upload(x), k=2))


def test_choice(pocl: Device) -> None:
    assert plan(pocl, np.ones((3, 9), np.float32), k=2).template == "cpu"
    with pytest.raises(InputError, match="k at most 1024"):
        topk(pocl, np.ones(2000, np.float32), k=1025, template="gpu")
    with pytest.raises(InputError, match="C \\* k steps"):
        topk(pocl, np.ones(10000, np.float32), k=9000, template="plain")
    narrow = rx.open_device("pocl", limits=rx.Limits(work_group=128))
    with pytest.raises(InputError, match="work-groups of 256"):
        topk(narrow, np.ones(20, np.float32), k=1, template="gpu")


def test_refusals(pocl: Device) -> None:
    x = np.ones((2, 5), np.float32)
    for wrong in ({"k": -1}, {"k": 1.5}, {"k": True}, {"k": 1, "axis": 2}, {"k": 1, "axis": -3}):
        with pytest.raises(InputError):
            topk(pocl, x, **wrong)
    with pytest.raises(ShapeError, match="at most 5"):
        topk(pocl, x, k=6)
    with pytest.raises(ShapeError, match="scalar"):
        topk(pocl, x[0, 0], k=1)
    with pytest.raises(DtypeError, match="float32"):
        topk(pocl, x.astype(np.int8), k=1)
    on_device = pocl.upload(x)
    with pytest.raises(InputError, match="apart"):
        topk(pocl, on_device, k=5, out=on_device)


def test_cost() -> None:
    letters = SPEC.shape(np.ones((3, 10, 2), np.float16), k=4, axis=1)
    assert (letters["R"], letters["C"], letters["k"], letters["inner"]) == (6, 10, 4, 2)
    assert (SPEC.cost(letters).bytes, SPEC.cost(letters).flop) == (2 * (60 + 24) + 8 * 24, 60)
