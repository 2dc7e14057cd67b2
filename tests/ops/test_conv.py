"""``conv``: within its bound for any lengths, strides and groups, by every template; refused where not right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.conv import SPEC, conv, plan
from rx580lab.reference import compare
from rx580lab.reference.conv import conv as oracle
from rx580lab.reference.conv import conv_tolerance
from rx580lab.selftest.case import prepare, suite
from rx580lab.selftest.check import stand_up
from tests.ops.sweep import sweep

TEMPLATES = {"plain": 33}
Floats = npt.NDArray[np.float32]


def tensors(x: tuple[int, ...], w: tuple[int, ...], seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng((seed, *x, *w))
    return rng.standard_normal(x, dtype=np.float32), rng.standard_normal(w, dtype=np.float32)


def test_every_template_is_tried() -> None:
    assert set(TEMPLATES) == {template.name for template in SPEC.templates}


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "conv", template) == TEMPLATES[template]


@pytest.mark.parametrize("template", TEMPLATES)
def test_large_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "conv", template, tiers=("large",)) >= 1


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from(sorted(TEMPLATES)))
def test_any_case(pocl: Device, seed: int, template: str) -> None:
    case = suite("conv").random(np.random.default_rng(seed))
    prepared = prepare("conv", case)
    if SPEC.template(template).applies(pocl, prepared.shape) is None:
        outcome = stand_up(pocl, template, prepared).judge()
        assert outcome.ok, f"{case.name}: {outcome.reason}"


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_plan_follows_its_inputs(pocl: Device, template: str) -> None:
    x, w = tensors((2, 16, 9, 9), (16, 1, 3, 3) if template.endswith("depthwise") else (16, 16, 3, 3))
    window = {"pads": (1, 1, 1, 1), "group": 16 // w.shape[1]}
    left, right = pocl.upload(x), pocl.upload(w)
    planned = plan(pocl, left, right, template=template, **window)
    planned.run()
    left.write(2 * x)
    right.write(w + 1)
    outcome = compare(planned.run().download(), oracle(2 * x, w + 1, **window), conv_tolerance(2 * x, w + 1, **window))
    assert outcome.ok, outcome.reason


def test_kinds_of_arrays(pocl: Device) -> None:
    x, w = tensors((1, 3, 8, 8), (4, 3, 3, 3))
    got = rx.ops.conv(pocl, x, w)
    assert isinstance(got, np.ndarray)
    mixed = rx.ops.conv(pocl, x, pocl.upload(w))
    assert isinstance(mixed, rx.Array)
    np.testing.assert_array_equal(mixed.download(), got)
    outcome = compare(rx.ops.conv(pocl, x[:, :, ::-1], w), oracle(x[:, :, ::-1], w), conv_tolerance(x, w).max())
    assert outcome.ok, outcome.reason


def test_refusals(pocl: Device) -> None:
    x, w = tensors((1, 4, 6, 6), (8, 4, 3, 3))
    with pytest.raises(ShapeError, match=r"\[conv\] expected w of shape \(K, C/group, ...\) with C/group = 2, got"):
        conv(pocl, x, w, group=2)
    with pytest.raises(ShapeError, match="expected channels in 3 equal groups, got 4"):
        conv(pocl, x, w, group=3)
    with pytest.raises(InputError, match="expected group to be an integer of at least 1, got 0"):
        conv(pocl, x, w, group=0)
    with pytest.raises(ShapeError, match="expected a kernel extent of at most the padded height 6, got extent 7"):
        conv(pocl, x, w, dilations=(3, 1))
    with pytest.raises(ShapeError, match="expected 4 pads"):
        conv(pocl, x, w, pads=(1, 1))
    with pytest.raises(ShapeError, match="expected strides of at least 1"):
        conv(pocl, x, w, strides=(0, 1))
    with pytest.raises(ShapeError, match="1 to 3 spatial axes"):
        conv(pocl, x[0, 0], w[0, 0])
    with pytest.raises(ShapeError, match=r"expected bias of shape \(8,\), got \(4,\)"):
        conv(pocl, x, w, np.zeros(4, np.float32))
    with pytest.raises(ShapeError, match=r"expected residual of shape \(1, 8, 4, 4\)"):
        conv(pocl, x, w, None, x)
    with pytest.raises(DtypeError, match="expected w of float32, got float16"):
        conv(pocl, x, w.astype(np.float16))
    with pytest.raises(InputError, match="expected an activation among"):
        conv(pocl, x, w, activation="softer")
    held = pocl.upload(np.zeros((1, 4, 4, 4), np.float32))
    with pytest.raises(InputError, match="expected out apart from x and w"):
        conv(pocl, held, w[:4, :, :1, :1], out=held)


def test_spec_describes_what_can_run() -> None:
    for template in SPEC.templates:
        assert template.checked(None) == dict(template.default)
        for name, value in template.default.items():
            assert value in template.space[name]
    x, w = tensors((2, 4, 5, 6), (8, 2, 3, 3))
    shape = SPEC.shape(x, w, group=2)
    assert shape == {
        "B": 2, "C": 4, "K": 8, "G": 2, "D": 1, "H": 5, "W": 6, "OD": 1, "OH": 3, "OW": 4, "R": 3, "S": 3, "T": 1,
        "bytes": 4,
    }  # fmt: skip
    cost = SPEC.cost(shape)
    assert (cost.bytes, cost.flop) == (4 * (2 * 4 * 30 + 2 * 8 * 12 + 8 * 2 * 9), 2 * 2 * 8 * 12 * 2 * 9)
