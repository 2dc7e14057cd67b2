"""``attention``: within its bound, for any lengths, masks and groups, by every template."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rx580lab.device import Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops._attention_templates import fits
from rx580lab.ops.attention import SPEC, HeadsInRows, attention, plan
from rx580lab.reference.attention import attention as oracle
from rx580lab.selftest import suite
from rx580lab.selftest.case import prepare
from rx580lab.selftest.check import stand_up
from tests.ops.sweep import sweep

# The chain of ops takes neither masks nor causal attention, nor fp16; it has tests of its own.
TEMPLATES = [template.name for template in SPEC.templates if template.name != "unfused"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "attention", template, tiers=("small", "edge", "large")) == 35


@pytest.mark.parametrize(
    ("template", "params"), [("cpu", {"TILE_M": 96, "TILE_N": 12, "UNROLL_K": 2}), ("cpu_few", {"TILE_N": 16})]
)
def test_parameters_change_nothing(pocl: Device, template: str, params: dict[str, int]) -> None:
    assert sweep(pocl, "attention", template, params) == 34


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from(TEMPLATES))
def test_any_lengths_masks_and_groups(pocl: Device, seed: int, template: str) -> None:
    case = suite("attention").random(np.random.default_rng(seed))
    prepared = prepare("attention", case)
    # One build of the gpu template for all numbers of rows, and its narrow one: each costs seconds.
    assume(template != "gpu" or prepared.shape["E"] <= 64)
    params = {"WG_Y": 4, "PER_ITEM_E": 4} if template == "gpu" else None
    outcome = stand_up(pocl, template, prepared, params=params).judge()
    assert outcome.ok, f"{case.name}: {outcome.reason}"


def test_cases_of_the_unfused_chain(pocl: Device) -> None:
    assert sweep(pocl, "attention", "unfused", tiers=("small", "edge", "large")) == 18


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 60), st.integers(1, 90), st.integers(1, 70))
def test_fused_and_unfused_agree(pocl: Device, g: int, shared: int, t: int, s: int, d: int) -> None:
    q, k, v = random_arrays((1, g * shared, t, d), (1, g, s, d), (1, g, s, d))
    np.testing.assert_allclose(
        attention(pocl, q, k, v), attention(pocl, q, k, v, template="unfused"), rtol=1e-4, atol=1e-5
    )


def random_arrays(*shapes: tuple[int, ...]) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    rng = np.random.default_rng(7)
    return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_row_that_sees_nothing_gives_zeros(pocl: Device, template: str) -> None:
    q, k, v, mask = random_arrays((1, 2, 20, 8), (1, 1, 30, 8), (1, 1, 30, 8), (20, 30))
    mask[3] = mask[17] = -np.inf
    got = attention(pocl, q, k, v, mask, template=template)
    np.testing.assert_array_equal(got[:, :, [3, 17]], 0)
    assert (got[:, :, :3] != 0).all()
    np.testing.assert_array_equal(attention(pocl, q, k[:, :, :0], v[:, :, :0], template=template), np.zeros_like(q))


@pytest.mark.parametrize("template", TEMPLATES)
def test_decoding_step_by_step_is_causal_attention(pocl: Device, template: str) -> None:
    q, k, v = random_arrays((1, 4, 9, 16), (1, 2, 40, 16), (1, 2, 40, 16))
    whole = attention(pocl, q, k, v, causal=True, past=31, template=template)
    for t in range(9):
        step = attention(pocl, q[:, :, t : t + 1], k[:, :, : 32 + t], v[:, :, : 32 + t], template=template)
        np.testing.assert_allclose(step[:, :, 0], whole[:, :, t], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("template", TEMPLATES)
def test_equal_keys_give_the_mean(pocl: Device, template: str) -> None:
    q, v = random_arrays((1, 1, 11, 8), (1, 1, 64, 8))
    got = attention(pocl, q, np.zeros((1, 1, 64, 8), np.float32), v, template=template)
    np.testing.assert_allclose(got, np.broadcast_to(v.mean(axis=2, keepdims=True), got.shape), rtol=1e-5, atol=1e-6)


def test_choice_by_rows_that_share_keys(pocl: Device) -> None:
    k = np.ones((1, 2, 5, 8), np.float32)
    assert plan(pocl, np.ones((1, 2, 8, 8), np.float32), k, k).template == "cpu_few"
    assert plan(pocl, np.ones((1, 8, 2, 8), np.float32), k, k).template == "cpu_few"
    assert plan(pocl, np.ones((1, 8, 3, 8), np.float32), k, k).template == "cpu"


def test_gpu_tiles_by_rows_and_width(pocl: Device) -> None:
    template = SPEC.template("gpu")

    def tiles(rows: int, e: int) -> dict[str, int]:
        shape = {"H": 1, "G": 1, "T": rows, "S": 5, "D": 8, "E": e}
        return fits(pocl, template, shape, dict(template.default), None)

    assert tiles(3, 64) == {"WG_Y": 4, "PER_ITEM_E": 4}
    assert tiles(20, 65) == {"WG_Y": 8, "PER_ITEM_E": 8}
    assert tiles(64, 200) == {"WG_Y": 16, "PER_ITEM_E": 16}


def test_out_is_filled_and_returned(pocl: Device) -> None:
    q, k, v = random_arrays((1, 2, 20, 8), (1, 2, 30, 8), (1, 2, 30, 4))
    arrays = [pocl.upload(one) for one in (q, k, v)]
    out = pocl.empty((1, 2, 20, 4))
    assert attention(pocl, *arrays, out=out) is out
    np.testing.assert_allclose(out.download(), oracle(q, k, v), rtol=1e-4, atol=1e-5)


def test_refusals(pocl: Device) -> None:
    q, k, mask = np.ones((1, 4, 3, 8), np.float32), np.ones((1, 2, 5, 8), np.float32), np.ones((3, 5), np.float32)
    with pytest.raises(DtypeError, match="float32 or float16"):
        attention(pocl, q.astype(np.float64), k, k)
    with pytest.raises(DtypeError, match="expected mask of float32"):
        attention(pocl, q, k, k, mask.astype(np.float16))
    with pytest.raises(ShapeError, match=r"expected q of shape \(B, H, T, D\)"):
        attention(pocl, q[0], k, k)
    with pytest.raises(ShapeError, match="to fit q"):
        attention(pocl, q, k[..., :7], k)
    with pytest.raises(ShapeError, match="divide those of q"):
        attention(pocl, q[:, :3], k, k)
    with pytest.raises(ShapeError, match="a mask that broadcasts"):
        attention(pocl, q, k, k, mask.T)
    with pytest.raises(ShapeError, match="at most 256"):
        attention(pocl, np.ones((1, 1, 1, 257), np.float32), *[np.ones((1, 1, 1, 257), np.float32)] * 2)
    with pytest.raises(InputError, match="past >= 0"):
        attention(pocl, q, k, k, causal=True, past=-1)
    with pytest.raises(InputError, match="finite scale"):
        attention(pocl, q, k, k, scale=float("inf"))
    with pytest.raises(InputError, match="neither a mask nor causal"):
        attention(pocl, q, k, k, mask, template="unfused")
    with pytest.raises(InputError, match="fp32 only"):
        attention(pocl, *(one.astype(np.float16) for one in (q, k, k)), template="unfused")
    wide = np.ones((1, 2, 5, 65), np.float32)
    with pytest.raises(ShapeError, match="values of at most 64"):
        attention(pocl, q, k, wide, template="gpu", params={"PER_ITEM_E": 4})
    out = pocl.upload(q)
    with pytest.raises(InputError, match="out apart from"):
        attention(pocl, out, k, k, out=out)


def test_cost() -> None:
    lengths = {"B": 2, "H": 4, "G": 2, "T": 3, "S": 5, "D": 8, "E": 16, "itemsize": 4, "mask": 15}
    cost = SPEC.cost({**lengths, "past": 5})
    assert (cost.bytes, cost.flop) == (4 * (24 * 24 + 20 * 24 + 15), 120 * 53)
    # Rows see 2, 3 and 4 keys; then all see 5.
    assert SPEC.cost({**lengths, "past": 1}).flop == 8 * 9 * 53
    assert SPEC.cost({**lengths, "past": 3}).flop == 8 * 14 * 53


@pytest.mark.parametrize("template", ["plain", "gpu", "cpu", "cpu_few"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_heads_in_rows_are_as_heads_apart(pocl: Device, template: str, dtype: type[np.floating[Any]]) -> None:
    """Queries, keys and values of one projection, some columns of it nobody's; masked, and fp16 as well."""
    rng = np.random.default_rng(5)
    for heads, t, size in ((3, 5, 16), (2, 50, 15), (2, 9, 20)):
        n = heads * size
        rows = rng.standard_normal((2, t, 3 * n + 5)).astype(dtype)
        mask = rng.standard_normal((2, 1, 1, t)).astype(dtype)
        columns = (2, n + 3, 2 * n + 5)
        inner = HeadsInRows(heads, size, columns)
        got = attention(pocl, rows, rows, rows, mask, heads=inner, template=template)
        q, k, v = [
            np.ascontiguousarray(rows[:, :, c : c + n].reshape(2, t, heads, size).swapaxes(1, 2)) for c in columns
        ]
        expected = attention(pocl, q, k, v, mask, template=template)
        np.testing.assert_array_equal(got, expected.swapaxes(1, 2).reshape(2, t, n))


def test_rows_that_do_not_hold_the_heads_are_refused(pocl: Device) -> None:
    rows = np.zeros((1, 4, 32), np.float32)
    with pytest.raises(ShapeError, match="expected k with columns 17 to 33 of heads"):
        attention(pocl, rows, rows, rows, heads=HeadsInRows(2, 8, (0, 17, 0)))
    with pytest.raises(ShapeError, match=r"expected q of shape \(B, rows, columns\)"):
        attention(pocl, rows[0], rows, rows, heads=HeadsInRows(2, 8))
    with pytest.raises(ShapeError, match="expected k and v to fit q"):
        attention(pocl, rows, rows, rows[:, :3], heads=HeadsInRows(2, 8))
    with pytest.raises(InputError, match="takes heads that lie one after another"):
        attention(pocl, rows, rows, rows, heads=HeadsInRows(2, 8), template="unfused")
