"""``gemm_i8_i8``: exact sums and exact scaling, by every template; refused where it cannot be right."""

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
from rx580lab.ops.gemm_i8_i8 import SPEC, gemm_i8_i8, plan
from rx580lab.reference.gemm_i8_i8 import gemm_i8_i8 as oracle
from rx580lab.reference.gemm_i8_i8 import requantized
from tests.ops.sweep import sweep

TEMPLATES = [template.name for template in SPEC.templates]
SIGNED = st.sampled_from([np.int8, np.uint8])


def some(rng: np.random.Generator, shape: int | tuple[int, ...], dtype: npt.DTypeLike = np.int8) -> npt.NDArray[Any]:
    limits = np.iinfo(np.dtype(dtype))
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("template", TEMPLATES)
def test_cases(pocl: Device, template: str) -> None:
    assert sweep(pocl, "gemm_i8_i8", template) >= 20


def test_large_cases(pocl: Device) -> None:
    assert sum(sweep(pocl, "gemm_i8_i8", template, tiers=("large",)) for template in TEMPLATES) == len(TEMPLATES)


@pytest.mark.parametrize(
    ("template", "params"),
    [("cpu", {"TILE_M": 6, "TILE_N": 16}), ("cpu", {"TILE_M": 96, "TILE_N": 64}), ("gpu", {"WG_Y": 4, "TILE_K": 32})],
)
def test_parameters_change_nothing(pocl: Device, template: str, params: dict[str, int]) -> None:
    assert sweep(pocl, "gemm_i8_i8", template, params, tiers=("small",)) >= 4


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), SIGNED, SIGNED,
    st.sampled_from([np.int32, np.float32, np.int8, np.uint8]), st.sampled_from(TEMPLATES), st.integers(0, 99),
)  # fmt: skip
def test_any_sizes_and_types(
    pocl: Device, m: int, n: int, k: int, left: Any, right: Any, dtype: Any, template: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    arrays = (
        some(rng, (m, k), left), some(rng, (k, n), right), some(rng, 1, left), some(rng, n, right),
        rng.integers(-1000, 1000, n, np.int32), rng.uniform(0, 0.01, 1).astype(np.float32),
    )  # fmt: skip
    got = gemm_i8_i8(pocl, *arrays, dtype=dtype, template=template)
    expected = oracle(*arrays, dtype=dtype)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("template", TEMPLATES)
def test_halves_round_to_even_and_sums_saturate(pocl: Device, template: str) -> None:
    a = np.array([[1], [3], [5], [-1], [-3], [127], [-128]], np.int8)
    got = gemm_i8_i8(
        pocl, a, np.array([[1, 127]], np.int8), scale=np.array([0.5, 1], np.float32), dtype=np.int8, template=template
    )
    np.testing.assert_array_equal(got[:, 0], [0, 2, 2, 0, -2, 64, -64])
    np.testing.assert_array_equal(got[:, 1], [127, 127, 127, -127, -128, 127, -128])


def test_the_oracle_on_figures_worked_out_by_hand() -> None:
    a, b = np.array([[200, 3]], np.uint8), np.array([[-4], [5]], np.int8)
    assert oracle(a, b, np.array([100], np.uint8), np.array([1], np.int8)).tolist() == [[100 * -5 + -97 * 4]]
    assert requantized(np.array([2**31 + 5]), 1.0, np.int32, 0).tolist() == [-(2**31) + 5]
    assert requantized(np.array([25, 35, 1000]), 0.1, np.uint8, 3).tolist() == [5, 7, 103]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_plan_follows_its_inputs(pocl: Device, template: str) -> None:
    rng = np.random.default_rng(2)
    a, b = some(rng, (9, 33)), some(rng, (33, 20))
    held = pocl.upload(a)
    planned = plan(pocl, held, b, template=template)
    planned.run()
    held.write(b[:, :9].T.copy())
    np.testing.assert_array_equal(planned.run().download(), oracle(b[:, :9].T, b))


def test_kinds_of_arrays(pocl: Device) -> None:
    rng = np.random.default_rng(3)
    a, b = some(rng, (2, 3, 5)), some(rng, (5, 4))
    got = rx.ops.gemm_i8_i8(pocl, a, b)
    assert got.shape == (2, 3, 4)
    mixed = rx.ops.gemm_i8_i8(pocl, a, pocl.upload(b))
    assert isinstance(mixed, rx.Array)
    np.testing.assert_array_equal(mixed.download(), got)


def test_refusals(pocl: Device) -> None:
    a, b = np.zeros((4, 5), np.int8), np.zeros((5, 6), np.int8)
    with pytest.raises(DtypeError, match="expected a of int8 or uint8, got float32"):
        gemm_i8_i8(pocl, np.zeros((4, 5), np.float32), b)  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match="expected a_zero_point of int8, got uint8"):
        gemm_i8_i8(pocl, a, b, np.zeros(1, np.uint8))
    with pytest.raises(ShapeError, match=r"expected b of shape \(K, N\)"):
        gemm_i8_i8(pocl, a, b[:4])
    with pytest.raises(ShapeError, match=r"expected scale of one value or \(6,\), got shape \(4,\)"):
        gemm_i8_i8(pocl, a, b, scale=np.ones(4, np.float32))
    with pytest.raises(ShapeError, match=r"expected row_scale of one value, got shape \(4,\)"):
        gemm_i8_i8(pocl, a[None], b, row_scale=np.ones(4, np.float32))
    with pytest.raises(DtypeError, match="expected an output of int32 or float32 or int8 or uint8, got float64"):
        gemm_i8_i8(pocl, a, b, dtype=np.float64)
    with pytest.raises(InputError, match="expected an out_zero_point of 0 to 255 for uint8, got -1"):
        gemm_i8_i8(pocl, a, b, dtype=np.uint8, out_zero_point=-1)
    with pytest.raises(InputError, match="within 32 KiB"):
        gemm_i8_i8(pocl, a, b, template="gpu", params={"TILE_K": 128})
