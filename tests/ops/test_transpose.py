"""``transpose``: every bit in its place, for any shape, order and element, by every template."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rx580lab as rx
from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.transpose import SPEC, plan, transpose
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]


@pytest.mark.parametrize(("template", "at_least"), [("plain", 29), ("gpu", 14), ("cpu", 29)])
def test_cases(pocl: Device, template: str, at_least: int) -> None:
    assert sweep(pocl, "transpose", template) >= at_least


def test_large_cases(pocl: Device) -> None:
    assert sweep(pocl, "transpose", "cpu", tiers=("large",)) == 3


def test_parameters_change_nothing(pocl: Device) -> None:
    assert sweep(pocl, "transpose", "gpu", {"TILE": 64, "WG_Y": 4}, tiers=("small",)) >= 3


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from(["uint8", "uint16", "uint32", "uint64"]), st.integers(0, 99))
def test_any_shape_and_order(pocl: Device, data: st.DataObject, dtype: str, seed: int) -> None:
    rank = data.draw(st.integers(0, 8))
    most = (0, 3000, 80, 20, 9, 6, 4, 3, 3)[rank]
    shape = tuple(data.draw(st.lists(st.integers(0 if rank < 4 else 1, most), min_size=rank, max_size=rank)))
    perm = tuple(data.draw(st.permutations(range(rank))))
    bits = np.random.default_rng(seed).integers(0, 2**63, shape, dtype=np.uint64).astype(dtype)
    for template in TEMPLATES:
        if SPEC.template(template).applies(pocl, SPEC.shape(bits, perm=perm)) is None:
            np.testing.assert_array_equal(transpose(pocl, bits, perm=perm, template=template), np.transpose(bits, perm))


def test_kinds_of_arrays(pocl: Device) -> None:
    x = np.arange(24, dtype=np.int64).reshape(2, 3, 4)
    assert rx.ops.transpose(pocl, x).shape == (4, 3, 2)
    got = rx.ops.transpose(pocl, pocl.upload(x), perm=(1, -1, 0))
    assert isinstance(got, rx.Array)
    np.testing.assert_array_equal(got.download(), x.transpose(1, 2, 0))
    np.testing.assert_array_equal(rx.ops.transpose(pocl, x[:, ::-1]), x[:, ::-1].T)


def test_nan_payloads_survive(pocl: Device) -> None:
    bits = np.arange(0x7FC00000, 0x7FC00000 + 300, dtype=np.uint32).reshape(12, 25)
    for template in TEMPLATES:
        got = transpose(pocl, bits.view(np.float32), template=template)
        np.testing.assert_array_equal(got.view(np.uint32), bits.T)


def test_plan_runs_again_on_changed_contents(pocl: Device) -> None:
    x, out = pocl.upload(np.zeros((20, 30), np.float32)), pocl.empty((30, 20))
    planned = plan(pocl, x, out=out)
    for seed in (1, 2):
        host = np.random.default_rng(seed).standard_normal((20, 30), dtype=np.float32)
        x.write(host)
        assert planned.run() is out
        np.testing.assert_array_equal(out.download(), host.T)


def test_joined_and_widened(pocl: Device) -> None:
    """NCHW to NHWC is one plane; a kept innermost axis of four floats is one element of 16 bytes."""
    assert SPEC.shape(np.ones((2, 8, 5, 6), np.float32), perm=(0, 2, 3, 1)) == {"N": 480, "P": 8, "Q": 30, "ITEM": 4}
    assert SPEC.shape(np.ones((9, 10, 4), np.float32), perm=(1, 0, 2)) == {"N": 90, "P": 9, "Q": 10, "ITEM": 16}
    assert SPEC.shape(np.ones((9, 10, 3), np.float32), perm=(1, 0, 2))["Q"] == 1
    assert SPEC.shape(np.ones((4, 1, 5), np.float32), perm=(1, 0, 2)) == {"N": 5, "P": 5, "Q": 1, "ITEM": 16}
    assert plan(pocl, np.ones((2, 3), np.float32)).template == "cpu"
    assert plan(pocl, np.empty((0, 3), np.float32)).launches == ()


def test_refusals(pocl: Device) -> None:
    x = np.ones((2, 3, 4), np.float32)
    with pytest.raises(InputError, match=r"\[transpose\] expected perm of 3 axes, got \[0, 1\]"):
        transpose(pocl, x, perm=(0, 1))
    with pytest.raises(InputError, match="each axis once"):
        transpose(pocl, x, perm=(0, 1, -2))
    with pytest.raises(InputError, match="an axis from -3 to 2, got 3"):
        transpose(pocl, x, perm=(0, 1, 3))
    with pytest.raises(DtypeError, match="complex64"):
        transpose(pocl, x.astype(np.complex64))
    with pytest.raises(ShapeError, match="at most 8 axes"):
        transpose(pocl, np.ones((1,) * 9, np.float32))
    with pytest.raises(ShapeError, match="expected out of shape"):
        transpose(pocl, x, out=pocl.empty((2, 3, 4)))
    held = pocl.upload(np.ones((3, 3), np.float32))
    with pytest.raises(InputError, match="expected out apart from x"):
        transpose(pocl, held, out=held)
    with pytest.raises(InputError, match="at least 8 x 8, got 9 x 7"):
        transpose(pocl, np.ones((9, 7), np.float32), template="gpu")
    with pytest.raises(InputError, match="up to 256"):
        transpose(pocl, np.ones((9, 9), np.float32), template="gpu", params={"TILE": 64, "WG_Y": 8})


def test_cost() -> None:
    assert (SPEC.cost({"N": 10, "ITEM": 16}).bytes, SPEC.cost({"N": 10, "ITEM": 16}).flop) == (320, 0)
