"""The stopwatch: callables in, samples and verdicts out; roofs, sensors and surroundings beside them."""

from __future__ import annotations

from rx580lab.measure.clocks import Timers
from rx580lab.measure.contestant import Contestant, Protocol, Stamped, repeated
from rx580lab.measure.profile import profile
from rx580lab.measure.roofs import ROOF_OPS, measure_roofs, stream_bytes
from rx580lab.measure.self_check import TRIAL_PROTOCOL, aa_trials, planted_trials, trial_metrics
from rx580lab.measure.stopwatch import race
from rx580lab.measure.surroundings import environment
from rx580lab.measure.verdicts import achieved, checked, compare_series, noise_floor, rate

__all__ = [
    "ROOF_OPS",
    "TRIAL_PROTOCOL",
    "Contestant",
    "Protocol",
    "Stamped",
    "Timers",
    "aa_trials",
    "achieved",
    "checked",
    "compare_series",
    "environment",
    "measure_roofs",
    "noise_floor",
    "planted_trials",
    "profile",
    "race",
    "rate",
    "repeated",
    "stream_bytes",
    "trial_metrics",
]
