"""Medians, ratios, labels and verdicts on data whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rx580lab.errors import ResultError
from rx580lab.results.records import Interval
from rx580lab.results.statistics import median_interval, outliers, ratio_interval, undisturbed_ratio, verdict

times = st.lists(st.floats(1.0, 1e9), min_size=1, max_size=40)


def interval(low: float, high: float, n: int = 30) -> Interval:
    return Interval(value=math.sqrt(low * high), low=low, high=high, n=n)


def test_median_interval_covers_the_true_median_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(11)
    draws = generator.exponential(1.0, size=(400, 30))  # skewed, median ln 2
    covered = sum(i.low <= math.log(2) <= i.high for i in (median_interval(d, n_resamples=500) for d in draws))
    assert 0.91 <= covered / 400 <= 0.98


def test_median_interval_narrows_with_more_samples() -> None:
    generator = np.random.default_rng(3)
    few = median_interval(generator.normal(100, 5, 20))
    many = median_interval(generator.normal(100, 5, 2000))
    assert many.high - many.low < (few.high - few.low) / 4
    assert many.n == 2000


def test_median_interval_does_not_depend_on_the_size_of_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.random.default_rng(5).lognormal(size=50)
    whole = median_interval(samples, n_resamples=300)
    monkeypatch.setattr("rx580lab.results.statistics._BLOCK_VALUES", 50 * 7)
    assert median_interval(samples, n_resamples=300) == whole


@settings(deadline=None, max_examples=30)
@given(times)
def test_median_interval_holds_the_median_lies_in_the_range_and_repeats(samples: list[float]) -> None:
    found = median_interval(samples, n_resamples=100)
    assert min(samples) <= found.low <= found.value <= found.high <= max(samples)
    assert found.value == float(np.median(samples))
    assert found == median_interval(samples, n_resamples=100)


@settings(deadline=None, max_examples=30)
@given(times, st.booleans())
def test_ratio_of_exchanged_series_is_the_reciprocal(samples: list[float], paired: bool) -> None:
    other = samples[::-1]
    there = ratio_interval(samples, other, paired=paired, n_resamples=100)
    back = ratio_interval(other, samples, paired=paired, n_resamples=100)
    assert there.value == pytest.approx(1 / back.value)
    if paired:
        assert there.low == pytest.approx(1 / back.high)


def test_paired_ratio_cancels_a_drift_that_the_unpaired_one_suffers_from() -> None:
    generator = np.random.default_rng(7)
    drift = np.linspace(1.0, 3.0, 40)
    baseline = 100 * drift * generator.lognormal(0, 0.01, 40)
    contestant = 110 * drift * generator.lognormal(0, 0.01, 40)
    paired = ratio_interval(baseline, contestant)
    unpaired = ratio_interval(baseline, contestant, paired=False)
    assert paired.low <= 100 / 110 <= paired.high
    assert paired.high - paired.low < 0.02
    assert unpaired.high - unpaired.low > 10 * (paired.high - paired.low)


def test_statistics_refuse_what_they_cannot_judge() -> None:
    with pytest.raises(ResultError, match="at least one sample"):
        median_interval([])
    with pytest.raises(ResultError, match="expected finite samples, got nan"):
        median_interval([1.0, math.nan])
    with pytest.raises(ResultError, match=r"positive times of the contestant, got 0\.0"):
        ratio_interval([1.0, 2.0], [1.0, 0.0])
    with pytest.raises(ResultError, match="equal number, got 2 and 3"):
        ratio_interval([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ResultError, match="confidence between 0 and 1"):
        median_interval([1.0], confidence=95)
    with pytest.raises(ResultError, match="at least one resample"):
        median_interval([1.0], n_resamples=0)
    with pytest.raises(ResultError, match="effects of at least 0"):
        verdict(interval(1, 1), min_effect=-0.1, noise_floor=None)


def test_outliers_are_labelled_on_both_sides() -> None:
    samples = [100.0, 101.0, 99.0, 100.5, 99.5, 300.0, 100.2, 20.0, 99.8, 100.1]
    assert outliers(samples) == [5, 7]


def test_outliers_ignore_the_last_digit_of_a_coarse_clock_and_tiny_series() -> None:
    assert outliers([1000.0] * 20 + [1001.0]) == []
    assert outliers([1000.0] * 20 + [1100.0]) == [20]
    assert outliers([1.0, 1.0, 1.0, 99.0]) == []


@pytest.mark.parametrize(
    ("low", "high", "word", "code"),
    [
        (1.05, 1.12, "FASTER", "beyond-band"),
        (0.88, 0.95, "SLOWER", "beyond-band"),
        (0.99, 1.01, "SAME", "within-band"),
        (0.97, 1.03, "AMBIGUOUS", "straddles-band"),
        (1.01, 1.30, "AMBIGUOUS", "straddles-band"),
        (0.90, 0.99, "AMBIGUOUS", "straddles-band"),
    ],
)
def test_verdict_needs_the_whole_interval_on_one_side(low: float, high: float, word: str, code: str) -> None:
    found, reason = verdict(interval(low, high), min_effect=0.02, noise_floor=0.01)
    assert found == word
    assert reason.startswith(f"{code}: ")
    assert "the minimum effect of 2 %" in reason


def test_verdict_is_the_mirror_image_for_the_exchanged_ratio() -> None:
    assert verdict(interval(1.03, 1.2), min_effect=0.02, noise_floor=None)[0] == "FASTER"
    assert verdict(interval(1 / 1.2, 1 / 1.03), min_effect=0.02, noise_floor=None)[0] == "SLOWER"


def test_noise_floor_widens_the_band() -> None:
    word, reason = verdict(interval(1.03, 1.04), min_effect=0.02, noise_floor=0.05)
    assert word == "SAME"
    assert "the A/A noise floor of 5 %" in reason
    word, reason = verdict(interval(0.95, 1.05), min_effect=0.02, noise_floor=0.3)
    assert (word, reason.split(":")[0]) == ("AMBIGUOUS", "noisy")


def test_no_verdict_across_devices_or_from_few_rounds() -> None:
    clear = interval(2.0, 2.1)
    assert verdict(clear, min_effect=0.02, noise_floor=0.0, same_device=False)[1].startswith("other-device")
    few = verdict(interval(2.0, 2.1, n=5), min_effect=0.02, noise_floor=0.0)
    assert (few[0], few[1].split(":")[0]) == ("AMBIGUOUS", "few-rounds")
    assert verdict(interval(2.0, 2.1, n=6), min_effect=0.02, noise_floor=0.0)[0] == "FASTER"


def test_undisturbed_ratio_sees_through_interruptions_of_most_samples() -> None:
    generator = np.random.default_rng(9)
    work = 100 * generator.lognormal(0, 0.002, 60)
    interrupted = work * np.where(np.arange(60) % 6, 3.0, 1.0)
    assert float(np.median(interrupted) / np.median(work)) > 2.9
    assert undisturbed_ratio(work, interrupted) == pytest.approx(1, abs=0.01)
    assert undisturbed_ratio(1.1 * work, interrupted) == pytest.approx(1.1, abs=0.01)


@pytest.mark.parametrize(
    ("low", "high", "undisturbed", "word"),
    [
        (1.10, 1.20, 1.10, "FASTER"),
        (1.10, 1.20, 1.02, "FASTER"),  # half of the band of 4 % is enough
        (1.10, 1.20, 1.01, "AMBIGUOUS"),
        (1.10, 1.20, 0.90, "AMBIGUOUS"),
        (0.80, 0.90, 0.90, "SLOWER"),
        (0.80, 0.90, 1.00, "AMBIGUOUS"),
        (0.99, 1.01, 1.50, "SAME"),
    ],
)
def test_effect_that_undisturbed_samples_do_not_show_is_doubted(
    low: float, high: float, undisturbed: float, word: str
) -> None:
    found, reason = verdict(interval(low, high), min_effect=0.04, noise_floor=None, undisturbed_ratio=undisturbed)
    assert found == word
    assert (reason.split(":")[0] == "disturbed") == (word == "AMBIGUOUS")
