"""From series to words: the A/A noise floor, comparisons in pairs, shares of the measured roofs, and checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rx580lab.errors import MeasureError
from rx580lab.measure.clocks import Timers
from rx580lab.measure.contestant import Contestant, Protocol
from rx580lab.measure.stopwatch import race
from rx580lab.reference import Outcome
from rx580lab.results.records import Achieved, Check, Comparison, Interval, NoiseFloor, Roof, Series, Work
from rx580lab.results.statistics import ratio_interval, undisturbed_ratio, verdict

if TYPE_CHECKING:
    from rx580lab.device import Device

__all__ = ["achieved", "checked", "compare_series", "noise_floor", "rate", "roof_above"]


def noise_floor(
    contestant: Contestant,
    protocol: Protocol,
    device: Device | None = None,
    *,
    timers: Timers | None = None,
    shader_clock: Callable[[], float | None] | None = None,
) -> NoiseFloor:
    """Race a contestant against itself. ``effect`` is the end of the ratio's interval that is furthest from 1:
    a difference below it cannot be told from none on this machine, in this hour, by this clock. Give a protocol whose
    ``clock`` is that of the race which it is for: alone, a contestant may be timed by a better one.
    """
    twins = [replace(contestant, name=f"{contestant.name}/{letter}") for letter in "AB"]
    first, second = race(twins, protocol, device, timers=timers, shader_clock=shader_clock)
    ratio = ratio_interval(first.samples_ns, second.samples_ns, confidence=protocol.confidence, seed=protocol.seed)
    return NoiseFloor(
        contestant=contestant.name,
        ratio=ratio,
        effect=max(ratio.high - 1, 1 / ratio.low - 1),
        clock=first.clock,
    )


def compare_series(
    series: Sequence[Series], baseline: str, protocol: Protocol, noise_floor: NoiseFloor | None = None
) -> list[Comparison]:
    """Every series of one race against the one named ``baseline``, in pairs by round.

    A floor taken by another clock than the race's says nothing about it: then every verdict is AMBIGUOUS. Raises
    MeasureError if the baseline is absent or the series are of different races: other clocks, other numbers of samples.
    """
    named = {one.contestant: one for one in series}
    if baseline not in named:
        raise MeasureError("compare", f"expected a baseline among {', '.join(named) or 'none'}, got {baseline!r}")
    base = named[baseline]
    floor = noise_floor.effect if noise_floor else None
    found: list[Comparison] = []
    for one in series:
        if one is base:
            continue
        if one.clock != base.clock or len(one.samples_ns) != len(base.samples_ns):
            raise MeasureError(
                "compare",
                f"expected series of one race, got {base.contestant} with {len(base.samples_ns)} samples by the "
                f"{base.clock} clock and {one.contestant} with {len(one.samples_ns)} by the {one.clock} clock",
            )
        ratio = ratio_interval(base.samples_ns, one.samples_ns, confidence=protocol.confidence, seed=protocol.seed)
        word, reason = verdict(
            ratio,
            min_effect=protocol.min_effect,
            noise_floor=floor,
            undisturbed_ratio=undisturbed_ratio(base.samples_ns, one.samples_ns),
        )
        if noise_floor and noise_floor.clock not in (None, base.clock):
            word, reason = (
                "AMBIGUOUS",
                (f"other-clock: the noise floor was taken by the {noise_floor.clock} clock, this race by {base.clock}"),
            )
        found.append(
            Comparison(
                contestant=one.contestant,
                baseline=baseline,
                ratio=ratio,
                verdict=word,
                reason=reason,
                min_effect=protocol.min_effect,
                noise_floor=floor,
            )
        )
    return found


def checked(contestant: str, oracle: str, outcome: Outcome, tolerance: str) -> Check:
    """A comparison with the oracle, for the record; ``tolerance`` in words and figures."""
    return Check(
        contestant=contestant,
        oracle=oracle,
        ok=outcome.ok,
        reason=outcome.reason,
        max_abs_error=outcome.max_abs_error,
        max_rel_error=outcome.max_rel_error,
        worst_share=outcome.worst_share,
        tolerance=tolerance,
        n_values=outcome.n_values,
    )


def rate(amount: float, time_ns: Interval) -> Interval:
    """``amount`` per call (bytes or FLOP) over a time per call: GB/s or GFLOP/s, the interval turned round with it."""
    return Interval(
        value=amount / time_ns.value,
        low=amount / time_ns.high,
        high=amount / time_ns.low,
        confidence=time_ns.confidence,
        n=time_ns.n,
    )


def achieved(series: Sequence[Series], work: Work, roofs: Sequence[Roof]) -> list[Achieved]:
    """Rates of each series, and their share of the roofline: the lower of arithmetic roof and bandwidth roof times
    intensity (Williams, Waterman and Patterson, CACM 2009). Of several roofs of a kind the highest counts.

    ``above_roof`` is set where the whole rate interval lies above the roof's: then bytes or FLOP are miscounted, or a
    cache held the data. ``roof_share`` is a share of the roof's median. Raises MeasureError if no roof applies.
    """
    if work.bytes < 1 or work.flop < 0:
        raise MeasureError("roofline", f"expected work of at least 1 byte and 0 FLOP, got {work}")
    roof, amount = roof_above(work, roofs)
    found: list[Achieved] = []
    for one in series:
        reached = rate(amount, one.median_ns)
        found.append(
            Achieved(
                contestant=one.contestant,
                gflop_s=rate(work.flop, one.median_ns),
                gb_s=rate(work.bytes, one.median_ns),
                flop_per_byte=work.flop / work.bytes,
                roof=roof.name,
                roof_share=reached.value / roof.rate.value,
                above_roof=reached.low > roof.rate.high,
            )
        )
    return found


def roof_above(work: Work, roofs: Sequence[Roof]) -> tuple[Roof, int]:
    """The roof that bounds this work, and what the work moves under it: the one that would take the longest."""
    times: list[tuple[float, Roof, int]] = []
    for kind, amount in (("bandwidth", work.bytes), ("arithmetic", work.flop)):
        highest = max((roof for roof in roofs if roof.kind == kind), key=lambda roof: roof.rate.value, default=None)
        if highest is not None and amount:
            times.append((amount / highest.rate.value, highest, amount))
    if not times:
        raise MeasureError("roofline", "expected a bandwidth or arithmetic roof for this work, got none")
    _, roof, amount = max(times, key=lambda found: found[0])
    return roof, amount
