"""The oracle of ``gemm`` against exact rational arithmetic, and its bound against honest and faulty fp32 sums."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.reference import compare
from rx580lab.reference.gemm import gemm, gemm_tolerance

Matrix = npt.NDArray[np.float32]


def in_fp32(a: Matrix, b: Matrix, order: npt.NDArray[np.intp]) -> Matrix:
    """The product in fp32, one rounded multiplication and addition at a time, over K in this order."""
    c = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for k in order:
        c += np.outer(a[:, k], b[k])
    return c


def test_product_of_integers_is_exact() -> None:
    a, b = np.array([[1, 2, 3], [4, 5, 6]], np.float32), np.array([[7, 8], [9, 10], [11, 12]], np.float32)
    np.testing.assert_array_equal(gemm(a, b), [[58, 64], [139, 154]])
    assert gemm(a, b).dtype == np.float64


def test_against_rational_arithmetic() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 40), dtype=np.float32), rng.standard_normal((40, 2), dtype=np.float32)
    for i in range(3):
        for j in range(2):
            exact = sum(Fraction(float(x)) * Fraction(float(y)) for x, y in zip(a[i], b[:, j], strict=True))
            assert abs(Fraction(float(gemm(a, b)[i, j])) - exact) < Fraction(1, 10**13)


def test_empty_sum_is_zero_without_tolerance() -> None:
    a, b = np.empty((2, 0), np.float32), np.empty((0, 3), np.float32)
    np.testing.assert_array_equal(gemm(a, b), np.zeros((2, 3)))
    np.testing.assert_array_equal(gemm_tolerance(a, b), np.zeros((2, 3)))


def test_bound_is_gamma_of_k() -> None:
    a, b = np.full((1, 4), -2, np.float32), np.full((4, 1), 3, np.float32)
    assert gemm_tolerance(a, b)[0, 0] == pytest.approx(24 * 4 * 2.0**-24, rel=1e-5)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 300), st.integers(0, 2**32 - 1), st.floats(0, 100), st.booleans())
def test_any_order_of_summation_passes(depth: int, seed: int, offset: float, constant: bool) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((3, depth), dtype=np.float32), rng.standard_normal((depth, 4), dtype=np.float32)
    if constant:  # rounding errors of equal terms all point the same way
        a, b = np.full_like(a, a[0, 0]), np.full_like(b, b[0, 0])
    a += np.float32(offset)
    outcome = compare(in_fp32(a, b, rng.permutation(depth)), gemm(a, b), gemm_tolerance(a, b))
    assert outcome.ok, outcome.reason


@pytest.mark.parametrize("depth", [1, 17, 512, 4096])
def test_one_term_too_few_fails(depth: int) -> None:
    rng = np.random.default_rng(depth)
    a, b = rng.standard_normal((20, depth), dtype=np.float32), rng.standard_normal((depth, 20), dtype=np.float32)
    assert compare(in_fp32(a, b, np.arange(depth)), gemm(a, b), gemm_tolerance(a, b)).ok
    assert not compare(in_fp32(a, b, np.arange(depth - 1)), gemm(a, b), gemm_tolerance(a, b)).ok


def test_nan_and_infinity_spread_along_their_row_and_column() -> None:
    a, b = np.ones((3, 2), np.float32), np.ones((2, 3), np.float32)
    a[1, 0], b[1, 2] = np.nan, np.inf
    np.testing.assert_array_equal(gemm(a, b), [[2, 2, np.inf], [np.nan] * 3, [2, 2, np.inf]])
    right = np.array([[2, 2, np.inf], [np.nan] * 3, [2, 2, np.inf]], np.float32)
    assert compare(right, gemm(a, b), gemm_tolerance(a, b)).ok
