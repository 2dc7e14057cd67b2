"""Change points on seeded series: how often they are found, how near, and how often one is seen where there is none."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from rx580lab.errors import ResultError
from rx580lab.results.changes import LEAST_RUNS, change_points, mann_whitney


def noisy(seed: int, n: int = 100, noise: float = 0.03) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return 10 * np.exp(noise * np.random.default_rng(seed).normal(size=n))


def test_noise_alone_raises_hardly_an_alarm() -> None:
    assert sum(bool(change_points(noisy(seed))) for seed in range(200)) <= 3


def test_a_step_of_five_percent_is_found_where_it_is() -> None:
    n_found = 0
    for seed in range(100):
        series = noisy(seed)
        series[60:] *= 1.05
        found = change_points(series)
        n_found += len(found) == 1 and abs(found[0].index - 60) <= 3
    assert n_found >= 80


def test_a_step_up_and_back_down_is_seen_as_two() -> None:
    """10 -> 10.8 -> 9.9: plain binary segmentation sees no border that is good enough to begin with."""
    n_both = 0
    for seed in range(50):
        series = noisy(seed)
        series[40:70] *= 1.08
        series[70:] *= 0.99
        found = change_points(series)
        n_both += len(found) == 2 and abs(found[0].index - 40) <= 1 and abs(found[1].index - 70) <= 1
    assert n_both >= 35


def test_a_change_says_from_what_to_what() -> None:
    (change,) = change_points(
        [10.0, 10.1, 9.9, 10.05, 9.95, 10.02, 9.98, *[11.0, 11.1, 10.9, 11.05, 10.95, 11.02, 10.98]]
    )
    assert (change.index, change.before, change.after) == (7, 10.0, 11.0)
    assert change.shift == pytest.approx(0.1)
    assert change.p_value == pytest.approx(2 / comb(14, 7))


def test_a_regression_shows_after_five_runs_and_not_before() -> None:
    for n_after, least in ((4, 0), (5, 45), (8, 48)):
        n_found = 0
        for seed in range(50):
            series = noisy(seed, 100 + n_after)
            series[100:] *= 1.1
            found = change_points(series)
            n_found += bool(found) and abs(found[-1].index - 100) <= 2
        assert n_found >= least


def test_a_shift_below_three_percent_is_no_change_however_sure() -> None:
    series = noisy(0, noise=0.001)
    series[50:] *= 1.02
    assert change_points(series) == []
    assert len(change_points(series, min_shift=0.01)) == 1


def test_fewer_runs_than_the_rule_needs_show_nothing() -> None:
    clear = [10.0 + place / 100 for place in range(5)] + [20.0 + place / 100 for place in range(LEAST_RUNS - 5)]
    assert len(change_points(clear)) == 1
    assert change_points(clear[:-1]) == []


@pytest.mark.parametrize("series", [[], [1.0], [3.0] * 40, [0.0] * 20])
def test_what_never_moves_has_no_change(series: list[float]) -> None:
    assert change_points(series) == []


def test_a_start_at_zero_is_an_endless_shift() -> None:
    (change,) = change_points([0.0] * 10 + [1.0] * 10)
    assert (change.index, change.shift) == (10, float("inf"))


def test_mann_whitney_is_exact_for_few_values() -> None:
    u, p = mann_whitney([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])
    assert u == 0.0
    assert p == pytest.approx(2 / comb(10, 5))
    # Hand count: of the 6 orders of 2 and 2 values, U = 0, 1, 2, 2, 3, 4.
    assert mann_whitney([1, 3], [2, 4]) == pytest.approx((1.0, 4 / 6))
    assert mann_whitney([1, 4], [2, 3]) == (2.0, 1.0)
    assert mann_whitney([6, 7, 8], [1, 2])[1] == mann_whitney([1, 2], [6, 7, 8])[1]


def test_mann_whitney_corrects_for_ties() -> None:
    """Ten values in two ties of five: variance 25/12 (11 - 2 (5^3 - 5)/90)."""
    u, p = mann_whitney([1, 1, 1, 1, 2], [1, 2, 2, 2, 2])
    variance = 25 / 12 * (11 - 2 * (5**3 - 5) / 90)
    z = (12.5 - u - 0.5) / variance**0.5
    assert u == 5.0
    assert p == pytest.approx(2 * (1 - normal_cdf(z)), rel=1e-6)
    assert mann_whitney([1, 1], [1, 1]) == (2.0, 1.0)


def normal_cdf(z: float) -> float:
    """By Simpson's rule, so that it shares nothing with what it checks."""
    x = np.linspace(0, z, 2001)
    weights = np.ones(2001)
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    return 0.5 + float((np.exp(-(x**2) / 2) * weights).sum() * z / 2000 / 3 / np.sqrt(2 * np.pi))


def test_exact_and_normal_probabilities_agree_where_one_takes_over() -> None:
    rng = np.random.default_rng(3)
    u, exact = mann_whitney(rng.normal(size=15), rng.normal(0.1, 1, size=15))
    normal = 2 * (1 - normal_cdf((abs(u - 112.5) - 0.5) / (225 / 12 * 31) ** 0.5))
    assert 0.001 < exact < 0.5
    assert exact == pytest.approx(normal, rel=0.15)


@pytest.mark.parametrize(
    ("series", "limits"),
    [([1.0, float("nan")], {}), ([1.0], {"least_side": 1}), ([1.0], {"strict_p": 0.0}), ([1.0], {"min_shift": -1.0})],
)
def test_nonsense_is_refused(series: list[float], limits: dict[str, float]) -> None:
    with pytest.raises(ResultError, match="expected"):
        change_points(series, **limits)  # type: ignore[arg-type]


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(ResultError, match="expected two samples"):
        mann_whitney([], [1.0])
