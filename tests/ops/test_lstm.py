"""``lstm``: within its bound over all steps, for any direction, length and weight type, by every template."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.lstm import SPEC, lstm, plan
from rx580lab.reference.lstm import lstm as oracle
from rx580lab.reference.lstm import lstm_tolerance
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "lstm", template, tiers=("small", "edge", "large")) == 42


def _problem(rng: np.random.Generator, steps: int = 5, batch: int = 2, units: int = 21) -> list[npt.NDArray[Any]]:
    gates = rng.standard_normal((2, steps, batch, 4 * units))
    r = rng.standard_normal((2, units, 4 * units)) / units**0.5
    return [one.astype(np.float32) for one in (gates, r, rng.standard_normal((2, 8 * units)))]


def test_the_bound_is_tight_enough_to_find_a_wrong_gate() -> None:
    """Any two gates that change places leave it, and so does a single weight that is missing."""
    arrays = _problem(np.random.default_rng(0))
    expected = oracle(*arrays, direction="bidirectional")[0]
    allowed = lstm_tolerance(*arrays, direction="bidirectional")[0]
    for one, other in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
        order = list(range(4))
        order[one], order[other] = order[other], order[one]
        mixed = [arrays[0].reshape(2, 5, 2, 4, 21)[..., order, :].reshape(arrays[0].shape), *arrays[1:]]
        assert (np.abs(oracle(*mixed, direction="bidirectional")[0] - expected) > allowed).mean() > 0.9
    arrays[1][0, 3, 5] = 0
    assert (np.abs(oracle(*arrays, direction="bidirectional")[0] - expected) > allowed).any()


@pytest.mark.parametrize("template", TEMPLATES)
def test_both_directions_are_one_and_the_other(pocl: Device, template: str) -> None:
    arrays = _problem(np.random.default_rng(1))
    both = lstm(pocl, *arrays, direction="bidirectional", template=template)[0]
    for d, direction in enumerate(("forward", "reverse")):
        single = lstm(pocl, *(one[d : d + 1] for one in arrays), direction=direction, template=template)[0]
        np.testing.assert_array_equal(both[:, d], single[:, 0])


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_run_goes_on_where_another_ended(pocl: Device, template: str) -> None:
    gates, r, bias = (one[:1] for one in _problem(np.random.default_rng(2), steps=6))
    whole, h, c = lstm(pocl, gates, r, bias, template=template)
    _, middle_h, middle_c = lstm(pocl, gates[:, :2], r, bias, template=template)
    rest, last_h, last_c = lstm(pocl, gates[:, 2:], r, bias, middle_h, middle_c, template=template)
    for got, expected in ((rest, whole[2:]), (last_h, h), (last_c, c)):
        np.testing.assert_array_equal(got, expected)


def test_a_plan_runs_again_from_the_same_start(pocl: Device) -> None:
    gates, r, bias = (pocl.upload(one[:1]) for one in _problem(np.random.default_rng(3)))
    made = plan(pocl, gates, r, bias)
    first = made.run().download(), *(one.download() for one in made.more)
    again = made.run().download(), *(one.download() for one in made.more)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(made.launches) == 5


def test_refusals(pocl: Device) -> None:
    gates, r, bias = (one[:1] for one in _problem(np.random.default_rng(4)))
    with pytest.raises(ShapeError, match=r"expected gates of shape \(2, T, B, 4 \* H\), got \(1, 5, 2, 84\)"):
        lstm(pocl, gates, r, direction="bidirectional")
    with pytest.raises(ShapeError, match=r"expected r of shape \(1, 21, 84\)"):
        lstm(pocl, gates, r[:, :20])
    with pytest.raises(ShapeError, match=r"expected peephole of shape \(1, 63\)"):
        lstm(pocl, gates, r, bias, peephole=bias)
    with pytest.raises(InputError, match="expected a direction among forward, reverse, bidirectional"):
        lstm(pocl, gates, r, direction="both")
    with pytest.raises(InputError, match="expected r_scale where r is of bytes"):
        lstm(pocl, gates, r.astype(np.int8))
    with pytest.raises(InputError, match="expected clip > 0"):
        lstm(pocl, gates, r, clip=-1.0)
    with pytest.raises(DtypeError, match="expected lengths of int32, got int64"):
        lstm(pocl, gates, r, lengths=np.array([1, 2]))


def test_cost() -> None:
    cost = SPEC.cost({"T": 2, "B": 3, "H": 5, "D": 1, "WEIGHT_BYTES": 4})
    assert (cost.bytes, cost.flop) == (2 * 400 + 4 * 6 * 20 + 4 * 6 * 5, 6 * (200 + 150))
