"""``gemv``: within its bound, for any sizes, by every template; refused where it cannot be right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, LimitExceeded, ShapeError
from rx580lab.ops.epilogue import Epilogue
from rx580lab.ops.gemv import SPEC, gemv, plan
from rx580lab.reference import compare
from rx580lab.reference.gemv import gemv as oracle
from rx580lab.reference.gemv import gemv_tolerance
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "gemv", template) == 17


@pytest.mark.parametrize("template", TEMPLATES)
def test_large_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "gemv", template, tiers=("large",)) == 2


@pytest.mark.parametrize(
    ("template", "params"),
    [
        ("cpu", {"TILE_N": 8}),
        ("cpu", {"TILE_N": 256}),
        ("gpu", {"WG_Y": 1, "PER_ITEM_N": 2}),
        ("gpu", {"PER_ITEM_N": 1}),
    ],
)
def test_parameters_change_nothing(pocl: Device, template: str, params: dict[str, int]) -> None:
    rng = np.random.default_rng(5)
    for n, k in ((1, 1), (9, 255), (67, 1030)):
        w, x = rng.standard_normal((n, k), dtype=np.float32), rng.standard_normal((2, k), dtype=np.float32)
        outcome = compare(gemv(pocl, w, x, template=template, params=params), oracle(w, x), gemv_tolerance(w, x))
        assert outcome.ok, outcome.reason


@settings(deadline=None, max_examples=100)
@given(
    st.tuples(st.integers(0, 150), st.integers(0, 600)),
    st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from([(np.float32, np.float32), (np.float16, np.float32), (np.float16, np.float16)]),
    st.tuples(*[st.booleans()] * 3),
    st.sampled_from(TEMPLATES),
)
def test_any_sizes(
    pocl: Device,
    lengths: tuple[int, int],
    batch: list[int],
    dtypes: tuple[Any, Any],
    switches: tuple[bool, bool, bool],
    template: str,
) -> None:
    (n, k), (with_bias, with_residual, ends) = lengths, switches
    rng = np.random.default_rng((n, k))
    w = rng.standard_normal((n, k), dtype=np.float32).astype(dtypes[0])
    x, bias, residual = (
        rng.standard_normal(shape, dtype=np.float32).astype(dtypes[1]) for shape in ((*batch, k), (n,), (*batch, n))
    )
    terms = (bias if with_bias else None, residual if with_residual else None)
    # Element types and activations are builds of their own: those that test_cases has.
    with_relu = dtypes[1] == np.float16 or (ends and dtypes[0] == np.float32)
    keywords: dict[str, Any] = {"alpha": 0.5, "epilogue": Epilogue("relu")} if with_relu else {}
    got = gemv(pocl, w, x, *terms, template=template, **keywords)
    outcome = compare(
        got, oracle(w, x, *terms, **keywords), gemv_tolerance(w, x, *terms, **keywords), dtype=np.dtype(dtypes[1])
    )
    assert outcome.ok, outcome.reason


@pytest.mark.parametrize("template", TEMPLATES)
def test_identity_gives_back_every_bit(pocl: Device, template: str) -> None:
    x = np.random.default_rng(1).standard_normal((3, 70), dtype=np.float32)
    np.testing.assert_array_equal(gemv(pocl, np.eye(70, dtype=np.float16), x, template=template), x)


def test_kinds_of_arrays(pocl: Device) -> None:
    w, x = np.arange(12, dtype=np.float32).reshape(3, 4), np.arange(4, dtype=np.float32)
    assert rx.ops.gemv(pocl, w, x).tolist() == [14, 38, 62]
    planned = plan(pocl, pocl.upload(w), pocl.upload(x))
    assert planned.out.shape == (3,)
    assert isinstance(rx.ops.gemv(pocl, pocl.upload(w), x), rx.Array)


def test_choice(pocl: Device) -> None:
    w, x = np.ones((1000, 8), np.float32), np.ones(8, np.float32)
    planned = plan(pocl, w, x)
    assert planned.template == "cpu"
    assert planned.params["TILE_N"] == 64
    assert plan(pocl, w[:40], x).params["TILE_N"] == 8
    assert plan(pocl, w[:40], x, params={"TILE_N": 32}).params["TILE_N"] == 32


def test_refusals(pocl: Device) -> None:
    w, x = np.ones((4, 5), np.float32), np.ones(5, np.float32)
    with pytest.raises(ShapeError, match=r"\[gemv\] expected w of shape \(N, K\), got \(5,\)"):
        gemv(pocl, x, x)
    with pytest.raises(ShapeError, match=r"expected x of shape \(..., K\) with K = 5 as in w \(4, 5\), got \(4,\)"):
        gemv(pocl, w, x[:4])
    with pytest.raises(ShapeError, match=r"expected bias of shape \(N,\) = \(4,\), got \(5,\)"):
        gemv(pocl, w, x, x)
    with pytest.raises(ShapeError, match=r"expected residual of shape \(4,\), as the result, got \(5,\)"):
        gemv(pocl, w, x, None, x)
    with pytest.raises(DtypeError, match="expected x of float32, or of float16 with such weights"):
        gemv(pocl, w, x.astype(np.float16))
    with pytest.raises(DtypeError, match="expected bias of float32, as x is, got float16"):
        gemv(pocl, w.astype(np.float16), x, np.ones(4, np.float16))
    held = pocl.upload(np.ones((5, 5), np.float32))
    with pytest.raises(InputError, match="expected out apart from w and x and bias and residual"):
        gemv(pocl, held, held, out=held)
    for template, params, reason in (
        ("gpu", {"WG_Y": 3}, "wavefronts of a group"),
        ("gpu", {"PER_ITEM_N": 8}, "share out evenly"),
        ("cpu", {"TILE_N": 12}, "read at once"),
    ):
        with pytest.raises(InputError, match=reason):
            gemv(pocl, w, x, template=template, params=params)


def test_holds_to_the_card_s_limits() -> None:
    w, x = np.ones((50, 300), np.float32), np.ones(300, np.float32)
    card = rx.open_device("pocl", limits="rx580")
    for template in TEMPLATES:
        assert gemv(card, w, x, template=template).tolist() == [300] * 50
    narrow = rx.open_device("pocl", limits=rx.Limits(work_group=64))
    with pytest.raises(LimitExceeded, match="work-items a group"):
        plan(narrow, w, x, template="gpu", params={"WG_Y": 4})
    fitted = plan(narrow, w, x, template="gpu")
    assert (fitted.params["WG_Y"], fitted.run().download().tolist()) == (1, [300] * 50)
    with pytest.raises(InputError, match="needs work-groups of 64"):
        plan(rx.open_device("pocl", limits=rx.Limits(work_group=32)), w, x, template="gpu")


def test_spec_describes_what_can_run() -> None:
    for template in SPEC.templates:
        assert template.checked(None) == dict(template.default)
        assert all(value in template.space[name] for name, value in template.default.items())
    shape = SPEC.shape(np.ones((4, 5), np.float16), np.ones((2, 5), np.float32), np.ones(4, np.float32))
    assert (SPEC.cost(shape).bytes, SPEC.cost(shape).flop) == (2 * 20 + 4 * (10 + 8 + 4), 80)
