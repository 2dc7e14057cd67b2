"""``conv_transpose``: within its bound for any lengths and strides, by every template; refused where not right."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.conv import conv
from rx580lab.ops.conv_transpose import SPEC, conv_transpose, plan
from rx580lab.reference import compare
from rx580lab.reference.conv_transpose import conv_transpose as oracle
from rx580lab.reference.conv_transpose import conv_transpose_tolerance
from rx580lab.selftest.case import prepare, suite
from rx580lab.selftest.check import stand_up
from tests.ops.sweep import sweep

TEMPLATES = {"plain": 17, "gpu": 11, "cpu": 17}
Floats = npt.NDArray[np.float32]


def tensors(x: tuple[int, ...], w: tuple[int, ...], seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng((seed, *x, *w))
    return rng.standard_normal(x, dtype=np.float32), rng.standard_normal(w, dtype=np.float32)


def test_every_template_is_tried() -> None:
    assert set(TEMPLATES) == {template.name for template in SPEC.templates}


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "conv_transpose", template) == TEMPLATES[template]


@pytest.mark.parametrize("template", TEMPLATES)
def test_large_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "conv_transpose", template, tiers=("large",)) == 2


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from(sorted(TEMPLATES)))
def test_any_case(pocl: Device, seed: int, template: str) -> None:
    case = suite("conv_transpose").random(np.random.default_rng(seed))
    prepared = prepare("conv_transpose", case)
    if SPEC.template(template).applies(pocl, prepared.shape) is None:
        outcome = stand_up(pocl, template, prepared).judge()
        assert outcome.ok, f"{case.name}: {outcome.reason}"


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_plan_follows_its_inputs(pocl: Device, template: str) -> None:
    x, w = tensors((2, 8, 5, 5), (8, 16, 3, 3))
    left, right = pocl.upload(x), pocl.upload(w)
    planned = plan(pocl, left, right, strides=(2, 2), template=template)
    planned.run()
    left.write(2 * x)
    right.write(w + 1)
    bound = conv_transpose_tolerance(2 * x, w + 1, strides=(2, 2))
    outcome = compare(planned.run().download(), oracle(2 * x, w + 1, strides=(2, 2)), bound)
    assert outcome.ok, outcome.reason


@pytest.mark.parametrize("template", TEMPLATES)
def test_it_is_the_adjoint_of_conv(pocl: Device, template: str) -> None:
    """<conv(a, w), b> = <a, conv_transpose(b, w)>: the definition, without any formula of its own."""
    window: dict[str, Any] = {"strides": (2, 3), "pads": (1, 0, 2, 1), "dilations": (2, 1)}
    a, w = tensors((1, 4, 12, 13), (8, 4, 3, 3))
    forward = conv(pocl, a, w, template="plain", **window)
    b = tensors(forward.shape, (1,))[0]
    back = conv_transpose(pocl, b, w, output_padding=(0, 2), template=template, **window)
    assert back.shape == a.shape
    assert float((forward * b).sum()) == pytest.approx(float((a * back).sum()), rel=1e-4)


def test_kinds_of_arrays(pocl: Device) -> None:
    x, w = tensors((1, 3, 4, 4), (3, 4, 3, 3))
    got = rx.ops.conv_transpose(pocl, x, w)
    assert isinstance(got, np.ndarray)
    mixed = rx.ops.conv_transpose(pocl, x, pocl.upload(w))
    assert isinstance(mixed, rx.Array)
    np.testing.assert_array_equal(mixed.download(), got)


def test_refusals(pocl: Device) -> None:
    x, w = tensors((1, 4, 6, 6), (4, 8, 3, 3))
    with pytest.raises(
        ShapeError, match=r"\[conv_transpose\] expected w of shape \(C, K/group, ...\) with C = 4 as in x"
    ):
        conv_transpose(pocl, x, w[:3])
    with pytest.raises(ShapeError, match="expected pads that leave something of out, got extent 3"):
        conv_transpose(pocl, x, w, pads=(4, 4, 4, 4))
    with pytest.raises(ShapeError, match="expected 4 output_padding"):
        conv_transpose(pocl, x, w, output_padding=(1,))
    with pytest.raises(DtypeError, match="expected w of float32, got float16"):
        conv_transpose(pocl, x, w.astype(np.float16))
    with pytest.raises(ShapeError, match=r"expected bias of shape \(8,\)"):
        conv_transpose(pocl, x, w, np.zeros(4, np.float32))
    held = pocl.upload(x)
    with pytest.raises(InputError, match="expected out apart from x and w"):
        conv_transpose(pocl, held, np.ones((4, 4, 1, 1), np.float32), out=held)


def test_choice_and_cost(pocl: Device) -> None:
    x, w = tensors((1, 4, 6, 6), (4, 8, 3, 3))
    assert plan(pocl, x, w).template == "cpu"
    shape = SPEC.shape(x, w, strides=(2, 2))
    assert (shape["OH"], shape["K"]) == (13, 8)
    cost = SPEC.cost(shape)
    assert (cost.bytes, cost.flop) == (4 * (4 * 36 + 8 * 169 + 4 * 8 * 9), 2 * 4 * 36 * 8 * 9)
