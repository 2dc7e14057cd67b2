"""The comparison that every other verdict of this project rests on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.errors import InputError
from rx580lab.reference import Sentinels, compare, is_sentinel, poison, sentinel_of


def _intact(n: int = 8) -> Sentinels:
    return Sentinels(poison(n, np.float32), poison(n, np.float32))


def test_equal_values_pass_with_a_share_of_zero() -> None:
    outcome = compare(np.ones((2, 3), np.float32), np.ones((2, 3)), 1e-6, sentinels=_intact())
    assert outcome.ok
    assert outcome.reason is None
    assert (outcome.max_abs_error, outcome.worst_share, outcome.n_values) == (0.0, 0.0, 6)


def test_worst_share_is_the_error_over_its_own_tolerance() -> None:
    expected = np.array([1.0, 1000.0])
    got = np.array([1.25, 1000.5], np.float32)
    outcome = compare(got, expected, np.array([0.5, 2.0]))
    assert outcome.ok
    assert outcome.worst_share == pytest.approx(0.5)
    assert outcome.max_abs_error == pytest.approx(0.5)
    assert outcome.max_rel_error == pytest.approx(0.25)


def test_error_beyond_tolerance_names_the_worst_value() -> None:
    got = np.array([[1.0, 2.0], [3.5, 4.25]], np.float32)
    outcome = compare(got, np.array([[1.0, 2.0], [3.0, 4.0]]), 0.1)
    assert not outcome.ok
    assert outcome.reason is not None
    assert "[1, 0]" in outcome.reason
    assert "2 of 4 values" in outcome.reason
    assert outcome.worst_share == pytest.approx(5.0)


def test_nan_must_match_nan_and_infinities_their_sign() -> None:
    expected = np.array([np.nan, np.inf, -np.inf, 1.0])
    assert compare(expected.astype(np.float32), expected, 0.0).ok
    for wrong in ([np.nan, np.inf, np.inf, 1.0], [0.0, np.inf, -np.inf, 1.0], [np.nan, np.inf, -np.inf, np.nan]):
        outcome = compare(np.array(wrong, np.float32), expected, np.inf)
        assert not outcome.ok
        assert outcome.reason is not None
        assert "not finite" in outcome.reason


def test_a_value_never_written_is_told_from_a_computed_nan() -> None:
    got = poison(4, np.float32)
    got[:3] = 1.0
    outcome = compare(got, np.ones(4), 1.0)
    assert not outcome.ok
    assert outcome.reason == "1 of 4 values never written, the first at [3]"
    got[3] = np.nan
    assert "not finite" in str(compare(got, np.ones(4), 1.0).reason)


def test_an_overflow_that_the_dtype_forces_is_right() -> None:
    assert compare(np.array([np.inf], np.float32), np.array([1e39]), 0.0).ok
    assert not compare(np.array([np.inf], np.float32), np.array([1e38]), 0.0).ok


@pytest.mark.parametrize(("index", "side"), [(0, "after the end"), (7, "before the start")])
def test_guard_damage_is_reported_with_its_side(index: int, side: str) -> None:
    guard = _intact()
    (guard.after if "after" in side else guard.before)[index] = 0.0
    outcome = compare(np.ones(3, np.float32), np.ones(3), 0.0, sentinels=guard)
    assert not outcome.ok
    assert outcome.reason is not None
    assert side in outcome.reason
    assert "nearest 1 past" in outcome.reason


def test_order_finite_then_sentinels_then_dtype_then_error() -> None:
    damaged = _intact()
    damaged.after[2] = 5.0
    nan_and_damage = compare(np.array([np.nan], np.float32), np.ones(1), 0.0, sentinels=damaged)
    damage_and_dtype = compare(np.ones(1), np.ones(1), 0.0, sentinels=damaged)
    dtype_and_error = compare(np.zeros(1), np.ones(1), 0.0)
    assert "not finite" in str(nan_and_damage.reason)
    assert "wrote after the end" in str(damage_and_dtype.reason)
    assert dtype_and_error.reason == "expected dtype float32, got float64"


def test_shape_fault_has_no_error_figures() -> None:
    outcome = compare(np.ones((2, 3), np.float32), np.ones((3, 2)), 1.0)
    assert outcome.reason == "expected shape (3, 2), got (2, 3)"
    assert outcome.worst_share is None
    assert outcome.max_abs_error is None


def test_zero_tolerance_asks_for_equality_and_has_no_share() -> None:
    outcome = compare(np.array([1.0, 2.0], np.float32), np.array([1.0, 2.5]), 0.0)
    assert not outcome.ok
    assert outcome.worst_share is None
    assert outcome.max_abs_error == pytest.approx(0.5)


def test_integers_are_compared_by_their_own_dtype() -> None:
    assert compare(np.arange(4, dtype=np.int8), np.arange(4, dtype=np.int8), 0).ok
    assert not compare(np.arange(4, dtype=np.int16), np.arange(4, dtype=np.int8), 0).ok
    assert not compare(np.array([-128], np.int8), np.array([127], np.int8), 1).ok  # no wrap-around in the difference


def test_nothing_to_compare_passes() -> None:
    outcome = compare(np.empty((0, 5), np.float32), np.empty((0, 5)), 1e-6, sentinels=_intact())
    assert outcome.ok
    assert outcome.n_values == 0
    assert outcome.worst_share == 0.0


@pytest.mark.parametrize("tolerance", [-1.0, np.nan, np.ones(3)])
def test_a_senseless_tolerance_is_refused(tolerance: float) -> None:
    with pytest.raises(InputError, match="tolerance"):
        compare(np.ones(2, np.float32), np.ones(2), tolerance)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int32, np.uint8])
def test_poison_survives_a_copy_and_is_recognised(dtype: type[np.generic]) -> None:
    filled = poison((3, 5), dtype)
    assert is_sentinel(filled.copy()).all()
    assert filled.shape == (3, 5)
    filled[1, 2] = 0
    assert np.count_nonzero(~is_sentinel(filled)) == 1
    assert not is_sentinel(np.full(4, np.nan, np.float32)).any()
    assert sentinel_of(dtype).dtype == np.dtype(dtype)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=1, max_size=20),
    st.integers(0, 19),
    st.floats(1e-3, 1e3),
)
def test_a_planted_error_is_always_found(values: list[float], where: int, step: float) -> None:
    expected = np.array(values, np.float64)
    got = expected.astype(np.float32)
    assert compare(got, expected, 0.0).ok
    index = where % len(values)
    planted = got.copy()
    planted[index] = np.float32(step) if not np.isfinite(planted[index]) else planted[index] + np.float32(step)
    if np.isfinite(got[index]) and planted[index] == got[index]:
        return  # the step is below half a unit in the last place
    assert not compare(planted, expected, 0.0).ok


def test_64_bit_integers_are_compared_exactly() -> None:
    expected = np.array([2**62, -(2**62), 2**53 + 1], np.int64)
    assert compare(expected.copy(), expected, 0).ok
    outcome = compare(expected + np.array([0, 1, 0]), expected, 0)
    assert not outcome.ok
    assert outcome.max_abs_error == 1
    assert not compare(np.array([2**64 - 1], np.uint64), np.array([2**64 - 2], np.uint64), 0).ok


def test_a_bool_is_a_byte_of_0_or_1() -> None:
    expected = np.array([True, False, True])
    assert compare(expected.copy(), expected, 0).ok
    assert not compare(~expected, expected, 0).ok
    assert not compare(np.array([1, 0, 0xFF], np.uint8).view(np.bool_), expected, 0).ok
