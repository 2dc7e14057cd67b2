"""``triad``: within its rounding bound, by every template."""

from __future__ import annotations

import numpy as np
import pytest

from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, ShapeError
from rx580lab.ops.triad import SPEC, plan, triad
from tests.ops.sweep import sweep


@pytest.mark.parametrize("template", [template.name for template in SPEC.templates])
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "triad", template) >= 13


@pytest.mark.parametrize(
    ("template", "params"),
    [
        ("gpu", {"WG_X": 128, "VEC": 8, "PER_ITEM": 4}),
        ("cpu", {"VEC": 8, "TILE": 1001, "STREAM_FROM": 1}),  # blocks that begin off a vector's alignment
    ],
)
def test_parameters_change_nothing(pocl: Device, template: str, params: dict[str, int]) -> None:
    assert sweep(pocl, "triad", template, params) >= 13


def test_the_large_size_streams_past_the_caches(pocl: Device) -> None:
    assert sweep(pocl, "triad", "cpu", tiers=("large",)) == 1


def test_exact_on_small_integers(pocl: Device) -> None:
    a, b = np.arange(100, dtype=np.float32), np.arange(100, dtype=np.float32)[::-1].copy()
    np.testing.assert_array_equal(triad(pocl, a, b), a + 3 * b)
    np.testing.assert_array_equal(triad(pocl, a, b, s=-2.0), a - 2 * b)


def test_mixed_inputs_give_an_array(pocl: Device) -> None:
    a, b = np.ones(5, np.float32), np.ones(5, np.float32)
    assert isinstance(triad(pocl, a, pocl.upload(b)), Array)
    assert isinstance(triad(pocl, a, b), np.ndarray)


def test_refusals(pocl: Device) -> None:
    a = np.ones(5, np.float32)
    with pytest.raises(ShapeError, match=r"\(5,\) and \(6,\)"):
        triad(pocl, a, np.ones(6, np.float32))
    with pytest.raises(DtypeError, match="b of float32"):
        triad(pocl, a, a.astype(np.float16))


def test_choice_and_cost(pocl: Device) -> None:
    assert plan(pocl, np.ones(3, np.float32), np.ones(3, np.float32)).template == "cpu"
    assert (SPEC.cost({"N": 10}).bytes, SPEC.cost({"N": 10}).flop) == (120, 20)
