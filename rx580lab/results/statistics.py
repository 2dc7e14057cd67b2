"""Medians, their bootstrap intervals, ratios of interleaved samples, outlier labels and verdicts.

Sources: Hoefler and Belli, "Scientific Benchmarking of Parallel Computing Systems", SC15 (medians with
non-parametric intervals); Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile
interval); NVBench's robust compare (words with a reason instead of a bare p-value).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.errors import ResultError
from rx580lab.results.records import Interval, VerdictWord

__all__ = [
    "LARGEST_FLOOR_FOR_SAME",
    "LEAST_ROUNDS_FOR_A_VERDICT",
    "median_interval",
    "outliers",
    "ratio_interval",
    "undisturbed_ratio",
    "verdict",
]

N_RESAMPLES = 2000
# The widest interval that n samples allow, minimum to maximum, covers the median with 1 - 2^(1-n): 0.94 at n = 5
# and 0.97 at n = 6. Below six samples no interval with 95 % exists, so no verdict is given.
LEAST_ROUNDS_FOR_A_VERDICT = 6
# "SAME within 30 %" says nothing that a reader would call the same.
LARGEST_FLOOR_FOR_SAME = 0.10
# Upper bound on one block of resampled values, so that long series do not fill the memory (64-bit: 32 MiB).
_BLOCK_VALUES = 4_000_000
_OUTER_FENCE_IQR = 3.0

_Floats = npt.NDArray[np.float64]


def median_interval(
    samples: Sequence[float] | npt.NDArray[Any],
    *,
    confidence: float = 0.95,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Interval:
    """Median of ``samples`` (any shape, flattened; any unit) with its percentile bootstrap interval.

    The resampling is seeded: the same samples give the same interval. One sample gives an interval of zero width,
    whose ``n`` of 1 says what it is worth. Raises ResultError for no samples or values that are not finite.
    """
    values = _as_samples(samples, "median_interval")
    medians = _resampled(len(values), confidence, seed, n_resamples, lambda rows: np.median(values[rows], axis=1))
    return _interval(float(np.median(values)), medians, confidence, len(values))


def ratio_interval(
    baseline: Sequence[float] | npt.NDArray[Any],
    contestant: Sequence[float] | npt.NDArray[Any],
    *,
    paired: bool = True,
    confidence: float = 0.95,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Interval:
    """Baseline's time over the contestant's: above 1 the contestant is quicker. Inputs are positive times, one unit.

    ``paired`` (interleaved rounds; sample i of both comes from round i): the median of the rounds' ratios, in which
    whatever slows a whole round cancels. Not paired: the ratio of the two medians, resampled independently. Both work
    on logarithms, so exchanging the two gives the reciprocal. Raises ResultError for unequal lengths when paired,
    no samples, or values that are not positive and finite.
    """
    log_baseline = _logarithms(baseline, "baseline")
    log_contestant = _logarithms(contestant, "contestant")
    if paired:
        if len(log_baseline) != len(log_contestant):
            raise ResultError(
                "ratio_interval",
                f"expected paired samples of equal number, got {len(log_baseline)} and {len(log_contestant)}; "
                "pass paired=False for series that were not interleaved",
            )
        differences = log_baseline - log_contestant
        value = float(np.median(differences))
        resampled = _resampled(
            len(differences), confidence, seed, n_resamples, lambda rows: np.median(differences[rows], axis=1)
        )
    else:
        value = float(np.median(log_baseline) - np.median(log_contestant))
        of_baseline = _resampled(
            len(log_baseline), confidence, seed, n_resamples, lambda rows: np.median(log_baseline[rows], axis=1)
        )
        of_contestant = _resampled(
            len(log_contestant), confidence, seed + 1, n_resamples, lambda rows: np.median(log_contestant[rows], axis=1)
        )
        resampled = of_baseline - of_contestant
    n = min(len(log_baseline), len(log_contestant))
    in_logarithms = _interval(value, resampled, confidence, n)
    return Interval(
        value=math.exp(in_logarithms.value),
        low=math.exp(in_logarithms.low),
        high=math.exp(in_logarithms.high),
        confidence=confidence,
        n=n,
    )


def undisturbed_ratio(
    baseline: Sequence[float] | npt.NDArray[Any], contestant: Sequence[float] | npt.NDArray[Any]
) -> float:
    """Baseline's lower decile over the contestant's: the ratio of the samples that were disturbed the least.

    Interruptions only ever lengthen a sample. Where they hit half of the samples or more, medians compare the
    interruptions, lower deciles still the work. Raises ResultError as ``ratio_interval`` does.
    """
    deciles = [
        float(np.quantile(_logarithms(samples, name), 0.1))
        for samples, name in ((baseline, "baseline"), (contestant, "contestant"))
    ]
    return math.exp(deciles[0] - deciles[1])


def outliers(samples: Sequence[float] | npt.NDArray[Any]) -> list[int]:
    """Indices of samples beyond Tukey's outer fence (3 interquartile ranges); they are labelled, never dropped.

    Fewer than five samples have no quartiles worth the name and give no labels. Where more than half of the samples
    agree to within a thousandth of the median, that thousandth stands for the range, so that a clock's last digit is
    not an outlier.
    """
    if len(samples) < 5:
        return []
    values = _as_samples(samples, "outliers")
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    fence = _OUTER_FENCE_IQR * max(float(high - low), abs(float(middle)) * 1e-3)
    return [int(i) for i in np.flatnonzero((values < low - fence) | (values > high + fence))]


def verdict(
    ratio: Interval,
    *,
    min_effect: float,
    noise_floor: float | None,
    undisturbed_ratio: float | None = None,
    same_device: bool = True,
) -> tuple[VerdictWord, str]:
    """One word and its reason, as ``code: sentence``, for a ratio of baseline's time over contestant's.

    The band of no effect is from 1/(1+e) to 1+e, where e is the larger of ``min_effect`` (the least relative change
    that matters) and ``noise_floor`` (the least that an A/A run lets one believe; None: there was none). FASTER and
    SLOWER need the *whole* interval beyond the band, SAME the whole interval within it; everything else is AMBIGUOUS.
    With ``undisturbed_ratio`` (see there) FASTER and SLOWER also need the least disturbed samples to show half of the
    band's effect in the same direction; otherwise the medians tell of the disturbance, not of the work.
    Raises ResultError for a negative effect.
    """
    if min_effect < 0 or (noise_floor is not None and noise_floor < 0):
        raise ResultError("verdict", f"expected effects of at least 0, got {min_effect} and {noise_floor}")
    if not same_device:
        return "AMBIGUOUS", "other-device: the two were measured on different devices or drivers"
    if ratio.n < LEAST_ROUNDS_FOR_A_VERDICT:
        return "AMBIGUOUS", f"few-rounds: {ratio.n} paired samples; a verdict needs {LEAST_ROUNDS_FOR_A_VERDICT}"
    floor = noise_floor or 0.0
    effect = max(min_effect, floor)
    owner = "the A/A noise floor" if floor > min_effect else "the minimum effect"
    band = f"{owner} of {100 * effect:.2g} %"
    found = f"the {100 * ratio.confidence:.4g} % interval {ratio.low:.3f} to {ratio.high:.3f}"
    above, below = ratio.low > 1 + effect, ratio.high < 1 / (1 + effect)
    if (above or below) and undisturbed_ratio is not None:
        shown = math.log(undisturbed_ratio) * (1 if above else -1)
        if shown < math.log1p(effect) / 2:
            return "AMBIGUOUS", (
                f"disturbed: {found} lies beyond {band}, but the quickest tenth of the samples, least disturbed, "
                f"gives {undisturbed_ratio:.3f}"
            )
    if above:
        return "FASTER", f"beyond-band: {found} lies above {band}"
    if below:
        return "SLOWER", f"beyond-band: {found} lies below {band}"
    if ratio.low < 1 / (1 + effect) or ratio.high > 1 + effect:
        return "AMBIGUOUS", f"straddles-band: {found} crosses {band}; more samples or a quieter machine would decide"
    if effect > LARGEST_FLOOR_FOR_SAME:
        return "AMBIGUOUS", f"noisy: {found} lies within {band}, which is too wide to call anything the same"
    return "SAME", f"within-band: {found} lies within {band}"


def _as_samples(samples: Sequence[float] | npt.NDArray[Any], where: str) -> _Floats:
    values: _Floats = np.asarray(samples, dtype=np.float64).ravel()
    if values.size == 0:
        raise ResultError(where, "expected at least one sample, got none")
    if not np.isfinite(values).all():
        raise ResultError(where, f"expected finite samples, got {values[~np.isfinite(values)][0]}")
    return values


def _logarithms(samples: Sequence[float] | npt.NDArray[Any], name: str) -> _Floats:
    values = _as_samples(samples, "ratio_interval")
    if values.min() <= 0:
        raise ResultError(
            "ratio_interval", f"expected positive times of the {name}, got {values.min()}; a time of 0 was not resolved"
        )
    logarithms: _Floats = np.log(values)
    return logarithms


def _resampled(
    n: int, confidence: float, seed: int, n_resamples: int, statistic: Callable[[npt.NDArray[np.int64]], _Floats]
) -> _Floats:
    """``statistic`` of ``n_resamples`` index rows of ``n`` draws with replacement, in blocks of bounded memory."""
    if not 0 < confidence < 1:
        raise ResultError("statistics", f"expected a confidence between 0 and 1, got {confidence}")
    if n_resamples < 1:
        raise ResultError("statistics", f"expected at least one resample, got {n_resamples}")
    generator = np.random.default_rng(seed)
    per_block = max(1, _BLOCK_VALUES // n)
    blocks = [
        statistic(generator.integers(0, n, size=(min(per_block, n_resamples - done), n)))
        for done in range(0, n_resamples, per_block)
    ]
    return np.concatenate(blocks)


def _interval(value: float, resampled: _Floats, confidence: float, n: int) -> Interval:
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    # Interpolated quantiles may miss the estimate by a rounding error; the estimate always lies in its interval.
    return Interval(value=value, low=min(float(low), value), high=max(float(high), value), confidence=confidence, n=n)
