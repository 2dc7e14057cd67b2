from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.report.quantities import count, digits, interval, percent, quantity, seconds, spread
from rx580lab.results.records import Interval

NBSP, THIN = "\u00a0", "\u202f"


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.4, "ns", f"0.400{NBSP}ns"),
        (1234.0, "ns", f"1.23{NBSP}µs"),
        (1_234_567.0, "ns", f"1.23{NBSP}ms"),
        (2.5e9, "ns", f"2.50{NBSP}s"),
        (0.25, "ms", f"250{NBSP}µs"),
        (61.04, "GFLOP/s", f"61.0{NBSP}GFLOP/s"),
        (6170.0, "gflop_s", f"6.17{NBSP}TFLOP/s"),
        (0.0391, "GB/s", f"39.1{NBSP}MB/s"),
        (3 * 2**20, "bytes", f"3.00{NBSP}MiB"),
        (268_435_456, "flop", f"268{NBSP}MFLOP"),
        (0.9964, "ratio", "0.996×"),
        (0.873, "share", f"87.3{NBSP}%"),
        (42.0, "tokens/s", f"42.0{NBSP}tokens/s"),
        (7.0, "1", "7.00"),
        (0.0, "ns", f"0{NBSP}ns"),
        (None, "ns", "–"),
    ],
)
def test_quantity_chooses_unit_and_three_digits(value: float | None, unit: str, shown: str) -> None:
    assert quantity(value, unit) == shown


def test_interval_is_given_in_the_unit_of_its_value_with_digits_enough_to_tell_the_bounds_apart() -> None:
    wide = Interval(value=1.23e6, low=0.98e6, high=1.26e6, n=30)
    narrow = Interval(value=1.2345e6, low=1.2341e6, high=1.2349e6, n=30)
    assert interval(wide, "ns") == f"1.23{NBSP}ms (0.980 to 1.26)"
    assert interval(narrow, "ns") == f"1.23{NBSP}ms (1.234 to 1.235)"
    assert interval(None, "ns") == "–"
    assert spread(5.0, 5.0, 5.0, "ns") == "5.00 to 5.00"


def test_large_small_negative_and_unknown_numbers() -> None:
    assert digits(123456.0) == f"123{THIN}000"
    assert digits(999.96) == f"1{THIN}000"
    assert digits(-0.5) == "\u22120.500"
    assert digits(3.14e-6) == f"3.14{THIN}×{THIN}10⁻⁶"
    assert digits(float("nan")) == "not a number"
    assert digits(float("-inf")) == "\u2212∞"
    assert count(262_144) == f"262{THIN}144"
    assert percent(None) == "–"
    assert [seconds(value) for value in (None, 0.42, 125, 3780)] == [
        "–",
        f"420{NBSP}ms",
        f"2{NBSP}min 5{NBSP}s",
        f"1{NBSP}h 3{NBSP}min",
    ]


@settings(deadline=None, max_examples=200)
@given(st.floats(min_value=1e-3, max_value=1e5), st.integers(min_value=1, max_value=5))
def test_digits_are_within_half_a_unit_of_the_last_place(value: float, significant: int) -> None:
    shown = float(digits(value, significant).replace(THIN, ""))
    assert abs(shown - value) <= 0.51 * 10 ** -(significant - 1) * value * 10
    assert shown == float(f"{value:.{significant - 1}e}")


@settings(deadline=None, max_examples=200)
@given(st.floats(min_value=1e-3, max_value=9e11))
def test_times_are_shown_between_1_and_1000_where_a_unit_allows_it(value: float) -> None:
    figure, unit = quantity(value, "ns").split(NBSP)
    size = {"ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9}[unit]
    assert float(figure.replace(THIN, "")) * size == pytest.approx(value, rel=5.1e-3)
    assert value < 1000 or value >= size
