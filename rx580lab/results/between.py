"""One point of two runs, compared: what can be said of A and B when nothing was interleaved between them.

Within a run, rounds in random order let disturbances cancel. Between runs nothing does: the machine may be in another
state for the whole of one of them. Three things keep a verdict honest all the same:

- the ratio is that of independent medians, and the band of no effect is at least 5 %, and at least the larger noise
  floor of the two runs. (Six runs of one code, one thread, CPU time, on a shared two-core virtual machine: medians of
  gemm 256 and 512 differed by up to 4.3 % between runs whose A/A floors were 0.4 to 1.9 %.)
- a peer that did not change (same label, so same library and version) shows what the machine itself changed by: its
  shift between the runs comes on top of the floor of everything beside it;
- where such a peer took part, our time *relative to it* is compared as well, from the interleaved pairs within each
  run; that ratio of ratios is the steadier evidence.

Other devices, other clocks, wrong results or no noise floor at all make a verdict AMBIGUOUS, and the reason says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Literal

from rx580lab.results.records import (
    Comparison,
    Environment,
    Interval,
    Point,
    Record,
    Roof,
    Scalar,
    Series,
    VerdictWord,
)
from rx580lab.results.statistics import LEAST_ROUNDS_FOR_A_VERDICT, ratio_interval, undisturbed_ratio, verdict

__all__ = [
    "MIN_EFFECT_BETWEEN_RUNS",
    "PairVerdict",
    "compare_points",
    "device_facts",
    "match_points",
    "what_was_measured",
]


#: The least relative change between two runs that is called one.
MIN_EFFECT_BETWEEN_RUNS = 0.05
_OTHER_DEVICE = (
    "other-device: A and B were measured on different devices or drivers; the ratio says nothing of the code"
)


# How long and how often a point was timed, and where: not what was measured.
_PROTOCOL = frozenset(
    {"device", "n_samples", "warmup_max_s", "warmup_window", "warmup_rel", "gap_s", "max_s", "min_effect", "seed"}
)
# Facts of a device that may differ between two openings of one device and driver.
_PASSING = frozenset(
    {
        "hash",
        "memory_bytes",
        "allocation_bytes",
        "limits",
        "max_clock_mhz",
        "event_clock",
        "event_clock_reason",
        "linker",
    }
)


class PairVerdict(Record):
    """One quantity of one point in A and in B. ``ratio`` above 1: B is quicker (time of A over B, rate of B over A)."""

    contestant: str
    label: str
    role: Literal["lab", "peer", "control", "roof"]
    quantity: Literal["time", "relative", "rate"]
    against: str | None = None
    unit: str
    a: Interval
    b: Interval
    ratio: Interval
    verdict: VerdictWord
    reason: str
    min_effect: float
    noise_floor: float | None


def what_was_measured(params: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The parameters that decide what a figure is of: all but the device, the contestants and the protocol's own."""
    return {name: value for name, value in params.items() if name not in _PROTOCOL and name != "contestants"}


def match_points(a: Sequence[Mapping[str, Scalar]], b: Sequence[Mapping[str, Scalar]]) -> list[tuple[int, int]]:
    """Pairs of places in ``a`` and ``b`` whose points measured the same thing.

    Where that alone does not tell the points of a run apart, their contestants are looked at as well.
    """
    for key in (_key_of_subject, _key_with_contestants):
        left, right = [key(each) for each in a], [key(each) for each in b]
        if len(set(left)) == len(left) and len(set(right)) == len(right):
            break
    first_places = {key: place for place, key in reversed(list(enumerate(right)))}
    return [(place, first_places[key]) for place, key in enumerate(left) if key in first_places]


def _key_of_subject(params: Mapping[str, Scalar]) -> str:
    return json.dumps(what_was_measured(params), sort_keys=True)


def _key_with_contestants(params: Mapping[str, Scalar]) -> str:
    return json.dumps({**what_was_measured(params), "contestants": params.get("contestants")}, sort_keys=True)


def device_facts(environment: Environment) -> dict[str, str]:
    """What makes a device and its driver the ones they are; two environments with equal facts can be compared.

    A device that computes on the CPU is its host's CPU as well. Sizes of free memory and the like are left out.
    """
    device = environment.device
    found = {f"device.{name}": _text(value) for name, value in device.items() if name not in _PASSING}
    if device.get("device_class", "cpu") == "cpu":
        for name in ("cpu", "n_cores_allowed"):
            found[f"host.{name}"] = _text(environment.host.get(name))
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def compare_points(
    a: Point, b: Point, *, same_device: bool, min_effect: float = MIN_EFFECT_BETWEEN_RUNS
) -> list[PairVerdict]:
    """Every contestant that both points timed, our own first; each of ours relative to each peer that did not change;
    and every roof that both measured. ``same_device`` False makes every verdict AMBIGUOUS.
    """
    floor = _floor(a, b)
    timed = [(one, other) for one in a.series for other in b.series if one.contestant == other.contestant]
    steady = [(one, other) for one, other in timed if one.role == "peer" and one.label == other.label]
    wrong = _wrong(a, "A") | _wrong(b, "B")
    judge = _Judge(min_effect, floor, same_device, wrong)
    found = [judge.time(one, other, steady if one.role != "peer" else []) for one, other in timed]
    names = {one.contestant for one, _ in steady}
    labels = {series.contestant: series.label for series in b.series}
    found += [
        judge.relative(first, second, labels)
        for first in a.comparisons
        for second in b.comparisons
        if (first.contestant, first.baseline) == (second.contestant, second.baseline) and first.baseline in names
    ]
    found += [judge.rate(one, other) for one in a.roofs for other in b.roofs if one.name == other.name]
    order = {"lab": 0, "control": 1, "peer": 2, "roof": 3}
    return sorted(found, key=lambda each: order[each.role])


def _floor(a: Point, b: Point) -> tuple[float | None, str]:
    """The larger noise floor of the two runs and where it is from; None where neither took one."""
    floors = [(point.noise_floor.effect, name) for point, name in ((a, "A"), (b, "B")) if point.noise_floor]
    return max(floors, default=(None, ""), key=lambda each: each[0] or 0.0)


def _wrong(point: Point, side: str) -> dict[str, str]:
    return {check.contestant: f"wrong-result: in {side} its output failed the oracle ({check.reason})"
            for check in point.checks if not check.ok}  # fmt: skip


class _Judge:
    """Turns two intervals into a verdict, by what is known of this pair of points."""

    def __init__(
        self, min_effect: float, floor: tuple[float | None, str], same_device: bool, wrong: dict[str, str]
    ) -> None:
        self._min_effect = min_effect
        self._floor, side = floor
        self._floor_words = f"the A/A noise floor of {side}, the larger one"
        self._same_device = same_device
        self._wrong = wrong

    def time(self, a: Series, b: Series, steady: Sequence[tuple[Series, Series]]) -> PairVerdict:
        """The time of one contestant; the shift of ``steady`` ones between the runs widens the band."""
        ratio = ratio_interval(a.samples_ns, b.samples_ns, paired=False)
        shifts = [(_size(old.median_ns.value / now.median_ns.value), old.label)
                  for old, now in steady if old.clock == now.clock]  # fmt: skip
        floor, words = self._floor, self._floor_words
        shift, label = max(shifts, default=(0.0, ""))
        if floor is not None and shift > 0:
            # Two sources of noise, within a run and between runs: a difference may owe something to both.
            floor = (1 + floor) * (1 + shift) - 1
            words += f" plus the {100 * shift:.2g} % by which {label}, itself unchanged, differs between the runs"
        refusal = None
        if a.clock != b.clock:
            refusal = f"other-clock: A was timed by the {a.clock} clock, B by the {b.clock} clock"
        quickest = undisturbed_ratio(a.samples_ns, b.samples_ns)
        word, reason = self._word(a.contestant, ratio, floor, words, refusal, quickest)
        if word in ("FASTER", "SLOWER") and not shifts and b.role != "peer":
            reason += "; no peer that stayed as it was took part, so the machine's own change is unknown"
        return PairVerdict(
            contestant=a.contestant, label=_renamed(a.label, b.label), role=b.role, quantity="time", unit="ns",
            a=a.median_ns, b=b.median_ns, ratio=ratio, verdict=word, reason=reason,
            min_effect=self._min_effect, noise_floor=floor,
        )  # fmt: skip

    def relative(self, a: Comparison, b: Comparison, labels: Mapping[str, str]) -> PairVerdict:
        """Our speed relative to an unchanged peer's in B over the same in A; ``labels`` has the contestants' names."""
        ratio = _quotient(b.ratio, a.ratio)
        word, reason = self._word(a.contestant, ratio, self._floor, self._floor_words, None, None)
        return PairVerdict(
            contestant=a.contestant, label=labels[a.contestant], role="lab", quantity="relative",
            against=a.baseline, unit="ratio", a=a.ratio, b=b.ratio, ratio=ratio, verdict=word, reason=reason,
            min_effect=self._min_effect, noise_floor=self._floor,
        )  # fmt: skip

    def rate(self, a: Roof, b: Roof) -> PairVerdict:
        """One measured roof."""
        ratio = _quotient(b.rate, a.rate)
        bad = next((f"wrong-result: in {side} its output failed the oracle"
                    for roof, side in ((a, "A"), (b, "B")) if not roof.check.ok), None)  # fmt: skip
        # Memory's state differs from run to run by more than anything in one run shows; only sameness can be told.
        word, reason = self._word(f"roof/{a.name}", ratio, self._floor or 0.0, self._floor_words, bad, None)
        if word in ("FASTER", "SLOWER"):
            word, reason = (
                "AMBIGUOUS",
                (
                    f"once-per-run: {reason.partition(': ')[2]}, but roofs of one code differ as much between runs; "
                    "`rx580lab history` shows by how much"
                ),
            )
        return PairVerdict(
            contestant=a.name, label=f"roof {a.name}", role="roof", quantity="rate", unit=a.unit,
            a=a.rate, b=b.rate, ratio=ratio, verdict=word, reason=reason,
            min_effect=self._min_effect, noise_floor=self._floor,
        )  # fmt: skip

    def _word(
        self, contestant: str, ratio: Interval, floor: float | None, floor_words: str,
        refusal: str | None, quickest: float | None,
    ) -> tuple[VerdictWord, str]:  # fmt: skip
        if not self._same_device:
            return "AMBIGUOUS", _OTHER_DEVICE
        refusal = self._wrong.get(contestant) or refusal
        if refusal:
            return "AMBIGUOUS", refusal
        if ratio.n < LEAST_ROUNDS_FOR_A_VERDICT:
            return (
                "AMBIGUOUS",
                f"few-samples: {ratio.n} in one of the runs; a verdict needs {LEAST_ROUNDS_FOR_A_VERDICT}",
            )
        if floor is None:
            return "AMBIGUOUS", "no-floor: neither run compared a contestant with itself, so its noise is unknown"
        word, reason = verdict(ratio, min_effect=self._min_effect, noise_floor=floor, undisturbed_ratio=quickest)
        if floor > self._min_effect:
            reason = f"{reason.replace('the A/A noise floor', 'the noise floor')}; the floor is {floor_words}"
        return word, reason


def _size(ratio: float) -> float:
    return max(ratio, 1 / ratio) - 1


def _renamed(a: str, b: str) -> str:
    return b if a == b else f"{b} (in A: {a})"


def _quotient(above: Interval, below: Interval) -> Interval:
    """``above / below`` of two independent intervals: their half widths, in logarithms, add up in quadrature."""
    middle = math.log(above.value) - math.log(below.value)
    down = math.hypot(math.log(above.value / above.low), math.log(below.high / below.value))
    up = math.hypot(math.log(above.high / above.value), math.log(below.value / below.low))
    return Interval(
        value=math.exp(middle),
        low=math.exp(middle - down),
        high=math.exp(middle + up),
        confidence=min(above.confidence, below.confidence),
        n=min(above.n, below.n),
    )
