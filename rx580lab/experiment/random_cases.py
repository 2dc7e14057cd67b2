"""An op on cases by chance: shapes, strides, parameters, templates and their macros, each compared with the oracle."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import product
from typing import Any

import numpy as np

from rx580lab import ops
from rx580lab.device import Device, sensors
from rx580lab.errors import InputError, LabError, LimitExceeded
from rx580lab.measure import environment
from rx580lab.ops import Template
from rx580lab.results.records import Check, Metric, Point
from rx580lab.selftest.case import Case, Prepared, prepare, suite
from rx580lab.selftest.check import does_not_fit, stand_up

__all__ = ["Fault", "random_case", "random_cases", "settings"]

Progress = Callable[[str], None]
# Settings of a template that a run tries, its default among them. Each is a build of its own.
N_SETTINGS = 5
_MOST_COMBINATIONS = 20000


@dataclass(frozen=True)
class Fault:
    """A wrong answer: ``random_case(op, seed, index)`` makes the case again."""

    op: str
    seed: int
    index: int
    case: str
    template: str
    params: Mapping[str, int]
    reason: str

    def __str__(self) -> str:
        setting = f" {dict(self.params)}" if self.params else ""
        return f"seed {self.seed}, case {self.index} ({self.case}), {self.template}{setting}: {self.reason}"


@dataclass
class Tally:
    """What the cases of one template came to."""

    n_cases: int = 0
    n_values: int = 0
    worst_share: float = 0.0
    faults: list[Fault] = field(default_factory=list)


def random_case(op: str, seed: int, index: int) -> Case:
    """The case of that number: the same one every time, whatever ran before it."""
    return suite(op).random(np.random.default_rng((seed, index)))


def settings(template: Template, rng: np.random.Generator, n: int = N_SETTINGS) -> list[dict[str, int]]:
    """Up to ``n`` legal settings of a template's macros: none (its own choice), then some of its space by chance."""
    names = list(template.space)
    combinations = list(product(*template.space.values()))[:_MOST_COMBINATIONS] if names else []
    found: list[dict[str, int]] = [{}]
    for place in rng.permutation(len(combinations)):
        if len(found) == n:
            break
        params = dict(zip(names, combinations[place], strict=True))
        try:
            template.checked(params)
        except InputError:
            continue
        found.append(params)
    return found


def random_cases(
    op: str,
    *,
    device: Device,
    n_cases: int,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    progress: Progress = print,
) -> Point:
    """Runs ``n_cases`` cases by chance, each by one template by chance, and compares each with the oracle.

    A case that no template takes, or that is beyond the device's limits, is counted as refused, with its reason.
    ``progress`` gets a line every few seconds. Raises InputError for an unknown op.
    """
    before = sensors(device)
    spec = ops.spec(op)
    rng = np.random.default_rng((seed, 2**31))
    choices = {one.name: settings(one, rng) for one in spec.templates}
    tallies = {one.name: Tally() for one in spec.templates}
    refused: Counter[str] = Counter()
    spoken = time.monotonic()
    for index in range(n_cases):
        prepared = prepare(op, random_case(op, seed, index))
        template = _template(device, prepared, rng)
        reason = does_not_fit(device, prepared) if template else "no template takes it"
        if template is not None and reason is None:
            setting = choices[template][rng.integers(len(choices[template]))]
            reason = _tried(device, prepared, template, setting, tallies[template], (seed, index))
        if reason is not None:
            refused[reason] += 1
        if time.monotonic() - spoken >= 5:
            spoken = time.monotonic()
            progress(f"{op}: {index + 1} of {n_cases} cases, {_n_wrong(tallies)} wrong")
    return Point(
        title=f"{n_cases:,} cases of {op} by chance on {device.selector}",
        params=dict(params or {"op": op, "n_cases": n_cases, "seed": seed}),
        op=op,
        checks=_checks(op, tallies),
        metrics=_metrics(tallies, refused),
        notes=[f"refused {n} times: {reason}" for reason, n in refused.most_common(20)],
        sensors_before=before,
        sensors_after=sensors(device),
        environment=environment(device),
    )


def _template(device: Device, prepared: Prepared, rng: np.random.Generator) -> str | None:
    able = [one.name for one in ops.spec(prepared.op).templates if one.applies(device, prepared.shape) is None]
    return able[rng.integers(len(able))] if able else None


def _tried(
    device: Device,
    prepared: Prepared,
    template: str,
    setting: Mapping[str, int],
    tally: Tally,
    place: tuple[int, int],
) -> str | None:
    """Runs the case and keeps what came of it; the reason if it was refused."""
    try:
        outcome = stand_up(device, template, prepared, params=setting or None).judge()
        wrong = None if outcome.ok else str(outcome.reason)
        tally.worst_share = max(tally.worst_share, outcome.worst_share or 0.0)
    except LimitExceeded as error:
        return f"{template}: {error.message}"
    except LabError as error:
        if setting:  # a setting that a launcher refuses for this shape, with its reason
            return f"{template} with {dict(setting)}: {error.message}"
        wrong = str(error)
    tally.n_cases += 1
    tally.n_values += int(prepared.expected.size)
    if wrong is not None:
        tally.faults.append(Fault(prepared.op, *place, prepared.case.name, template, setting, wrong))
    return None


def _n_wrong(tallies: Mapping[str, Tally]) -> int:
    return sum(len(one.faults) for one in tallies.values())


def _checks(op: str, tallies: Mapping[str, Tally]) -> list[Check]:
    oracle = str(import_module(f"rx580lab.reference.{op}").ORACLE)
    return [
        Check(
            contestant=name,
            oracle=oracle,
            ok=not one.faults,
            reason=f"{len(one.faults)} of {one.n_cases} cases wrong, the first: {one.faults[0]}"
            if one.faults
            else None,
            worst_share=one.worst_share,
            tolerance="per value, the bound of the op's own algorithm",
            n_values=one.n_values,
        )
        for name, one in tallies.items()
        if one.n_cases
    ]


def _metrics(tallies: Mapping[str, Tally], refused: Counter[str]) -> dict[str, Metric]:
    n_cases = sum(one.n_cases for one in tallies.values())
    counts = {
        "random/n_cases": (n_cases, True),
        "random/n_wrong": (_n_wrong(tallies), False),
        "random/n_refused": (refused.total(), False),
        "random/n_templates": (sum(one.n_cases > 0 for one in tallies.values()), True),
    }
    shares = {f"random/{name}/worst_share": (one.worst_share, False) for name, one in tallies.items() if one.n_cases}
    return {
        path: Metric(value=value, unit="1", higher_is_better=better)
        for path, (value, better) in {**counts, **shares}.items()
    }
