"""Is the stopwatch to be believed? Many A/A races must stay silent; races with planted extra work must not.

Both run the very functions that a benchmark runs: ``race``, ``noise_floor`` and ``compare_series``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from rx580lab.errors import MeasureError
from rx580lab.measure.clocks import Timers
from rx580lab.measure.contestant import Contestant, Protocol, repeated
from rx580lab.measure.stopwatch import race
from rx580lab.measure.verdicts import compare_series, noise_floor
from rx580lab.results.records import Comparison, Metric, Series, Trials

if TYPE_CHECKING:
    from rx580lab.device import Device

__all__ = ["TRIAL_PROTOCOL", "aa_trials", "planted_trials", "trial_metrics"]

# 25 rounds of two samples of 10 ms are half a second, so that 120 trials take little more than a minute. The process
# is warm after the first races; each race keeps a short warm-up of its own.
TRIAL_PROTOCOL = Protocol(n_samples=25, warmup_max_s=0.1)

Progress = Callable[[int, int, Comparison], None]


def aa_trials(
    contestant: Contestant,
    protocol: Protocol = TRIAL_PROTOCOL,
    n_trials: int = 120,
    *,
    device: Device | None = None,
    timers: Timers | None = None,
    progress: Progress | None = None,
) -> Trials:
    """Race ``contestant`` against itself ``n_trials`` times; each FASTER or SLOWER is a false alarm.

    The noise floor comes from one A/A race before, as in a benchmark. ``progress`` is called after each trial with its
    number from 1, ``n_trials`` and the comparison.
    """
    twins = (replace(contestant, name=f"{contestant.name}/A"), replace(contestant, name=f"{contestant.name}/B"))
    return _trials("aa", contestant, twins, 0.0, protocol, n_trials, device, timers, progress)


def planted_trials(
    contestant: Contestant,
    protocol: Protocol = TRIAL_PROTOCOL,
    n_trials: int = 100,
    *,
    extra: float = 0.10,
    device: Device | None = None,
    timers: Timers | None = None,
    progress: Progress | None = None,
) -> Trials:
    """Race ``contestant`` against one that really does ``extra`` more of the same work; each SLOWER is a detection.

    One run of the baseline is ten runs of the contestant, one run of its rival is eleven (for 0.10), so ``extra`` must
    be a multiple of a tenth.
    """
    times = round(10 * (1 + extra))
    if times <= 10 or abs(times / 10 - 1 - extra) > 1e-9:
        raise MeasureError("planted_trials", f"expected extra work of 0.1, 0.2 and so on, got {extra}")
    pair = (repeated(contestant, 10), repeated(contestant, times))
    return _trials("planted", contestant, pair, extra, protocol, n_trials, device, timers, progress)


def trial_metrics(trials: Trials) -> dict[str, Metric]:
    """The figures that a gate can name: ``self_check/aa/false_alarms`` or ``self_check/planted/detected_share``."""
    if trials.kind == "aa":
        return {
            "self_check/aa/false_alarms": Metric(value=trials.n_hits, unit="of the trials", higher_is_better=False),
            "self_check/aa/n_trials": Metric(value=trials.n_trials, unit="trials", higher_is_better=True),
        }
    return {
        "self_check/planted/detected_share": Metric(
            value=trials.n_hits / trials.n_trials, unit="share of the trials", higher_is_better=True
        ),
        "self_check/planted/n_trials": Metric(value=trials.n_trials, unit="trials", higher_is_better=True),
    }


def _trials(
    kind: Literal["aa", "planted"],
    contestant: Contestant,
    pair: tuple[Contestant, Contestant],
    planted: float,
    protocol: Protocol,
    n_trials: int,
    device: Device | None,
    timers: Timers | None,
    progress: Progress | None,
) -> Trials:
    if n_trials < 1:
        raise MeasureError("trials", f"expected at least one trial, got {n_trials}")
    began = time.perf_counter()
    floor = noise_floor(pair[0], protocol, device, timers=timers)
    comparisons: list[Comparison] = []
    series: list[Series] = []
    for number in range(1, n_trials + 1):
        # Another seed for each trial: another random order, another resampling.
        own = replace(protocol, seed=protocol.seed + number)
        series = race(pair, own, device, timers=timers)
        comparisons += compare_series(series, pair[0].name, own, floor)
        if progress:
            progress(number, n_trials, comparisons[-1])
    words = Counter(comparison.verdict for comparison in comparisons)
    return Trials(
        kind=kind,
        contestant=contestant.name,
        planted=planted,
        n_trials=n_trials,
        n_hits=words["SLOWER"] + (words["FASTER"] if kind == "aa" else 0),
        verdicts=dict(words),
        ratios=[comparison.ratio for comparison in comparisons],
        min_effect=protocol.min_effect,
        noise_floor=floor.effect,
        n_samples=protocol.n_samples,
        clock=series[0].clock,
        clock_reason=series[0].clock_reason,
        seconds=time.perf_counter() - began,
    )
