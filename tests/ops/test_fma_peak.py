"""``fma_peak``: every step counts, by every template."""

from __future__ import annotations

import numpy as np
import pytest

from rx580lab.device import Device
from rx580lab.errors import InputError
from rx580lab.ops.fma_peak import N_STEPS, SPEC, fma_peak, plan
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "fma_peak", template) >= 10


@pytest.mark.parametrize(
    ("template", "params"),
    [
        ("gpu", {"WG_X": 64, "VEC": 8, "CHAINS": 2, "UNROLL_K": 16}),
        ("cpu", {"VEC": 16, "CHAINS": 6, "UNROLL_K": 8}),
        ("cpu", {"VEC": 8, "CHAINS": 14, "UNROLL_K": 16}),
    ],
)
def test_parameters_change_nothing(pocl: Device, template: str, params: dict[str, int]) -> None:
    assert sweep(pocl, "fma_peak", template, params) >= 10


@pytest.mark.parametrize("template", TEMPLATES)
def test_one_step_more_or_less_shows(pocl: Device, template: str) -> None:
    """Otherwise the op could do less work than it is credited with."""
    from rx580lab.reference import compare
    from rx580lab.reference.fma_peak import fma_peak as oracle
    from rx580lab.reference.fma_peak import fma_peak_tolerance

    x = np.linspace(2, 3, 200, dtype=np.float32)
    got = fma_peak(pocl, x, n_steps=N_STEPS, template=template)
    assert compare(got, oracle(x, n_steps=N_STEPS), fma_peak_tolerance(x, n_steps=N_STEPS)).ok
    for wrong in (N_STEPS - 1, N_STEPS + 1):
        # The same m and c, another count: as a kernel that skips or repeats a step would have it.
        m, c = float(np.float32(1 - 1 / (N_STEPS + 1))), float(np.float32(0.5 / (N_STEPS + 1)))
        other = m**wrong * x.astype(np.float64) + c * (1 - m**wrong) / (1 - m)
        assert not compare(got, other, fma_peak_tolerance(x, n_steps=N_STEPS)).ok


def test_no_step_changes_nothing(pocl: Device) -> None:
    x = np.linspace(-5, 5, 300, dtype=np.float32)
    np.testing.assert_array_equal(fma_peak(pocl, x, n_steps=0), x)


def test_refusals(pocl: Device) -> None:
    with pytest.raises(InputError, match="n_steps"):
        fma_peak(pocl, np.ones(3, np.float32), n_steps=-1)
    with pytest.raises(InputError, match="to stay in registers"):
        fma_peak(pocl, np.ones(3, np.float32), template="gpu", params={"VEC": 16, "CHAINS": 8})


def test_choice_and_cost(pocl: Device) -> None:
    assert plan(pocl, np.ones(3, np.float32)).template == "cpu"
    assert SPEC.cost({"N": 10}).flop == 20 * N_STEPS
    assert SPEC.cost({"N": 10, "STEPS": 3}).flop == 60
    assert SPEC.cost({"N": 10}).bytes == 80
