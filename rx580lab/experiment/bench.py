"""What the benchmark notebooks ask: an op's contestants raced, checked against the oracle and held to the roofs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from rx580lab import ops, peers, reference
from rx580lab.device import Device, sensors, shader_clock_reader
from rx580lab.errors import InputError, MeasureError, PeerUnavailable
from rx580lab.experiment.problem import parse_shape
from rx580lab.measure import (
    Contestant,
    Protocol,
    aa_trials,
    achieved,
    checked,
    compare_series,
    environment,
    measure_roofs,
    noise_floor,
    planted_trials,
    race,
    trial_metrics,
)
from rx580lab.peers import Entrant
from rx580lab.results.records import Achieved, Check, Comparison, Metric, NoiseFloor, Point, Series, Work
from rx580lab.selftest.case import Prepared, prepare_problem

__all__ = ["LAB", "bench_op", "bench_roofs", "bench_stopwatch"]

# Contestants of ours: "lab" is what an op chooses by itself, "lab-<template>" is one template by name.
LAB = "lab"


def bench_op(
    op: str,
    shape: str,
    *,
    device: Device,
    contestants: Sequence[str],
    protocol: Protocol,
    params: Mapping[str, Any] | None = None,
) -> Point:
    """One sweep point: everybody races on the same inputs by the same clock.

    Args:
        op: name of an op.
        shape: its sizes, such as ``"512x512x512"``.
        device: where our contestants run; peers that use OpenCL share its queue.
        contestants: ``lab`` (the op's own choice), ``lab-<template>``, and names of peers. A peer that is not
            installed, or a template that cannot run here, is recorded as unavailable with its reason.
        protocol: how the race, the noise floor and the roofs are measured.
        params: what to record as the point's parameters.

    Each output is compared with the oracle before and after the race; a wrong one fails the check whatever its speed.
    Raises InputError for an unknown op, shape, template or peer, and if nobody can run.
    """
    sizes = parse_shape(op, shape)
    before = sensors(device)
    problem = prepare_problem(op, sizes, seed=protocol.seed)
    ready, unavailable = _line_up(problem, device, contestants)
    judge = _Judge(problem)
    for one in ready:
        judge.look(one)
    series = race([one.contestant for one in ready], protocol, device, shader_clock=shader_clock_reader(device))
    for one in ready:
        judge.look(one)
    # By the race's own clock: a floor of another clock says nothing about it.
    floor = noise_floor(ready[0].contestant, replace(protocol, clock=series[0].clock), device)
    roofs = measure_roofs(device, protocol)
    cost = ops.spec(op).cost(problem.shape)
    work = Work(bytes=cost.bytes, flop=cost.flop)
    comparisons = _comparisons(ready, series, protocol, floor)
    rates = achieved(series, work, roofs)
    return Point(
        title=f"{op} {shape} on {device.selector}",
        params=dict(params or {"op": op, "shape": shape}),
        op=op,
        shape=sizes,
        work=work,
        series=series,
        checks=judge.checks(),
        comparisons=comparisons,
        noise_floor=floor,
        roofs=roofs,
        achieved=rates,
        metrics=_metrics(op, series, comparisons, rates, floor, judge.checks()),
        unavailable=unavailable,
        notes=[one.note for one in ready if one.note],
        sensors_before=before,
        sensors_after=sensors(device),
        environment=environment(device),
    )


def bench_roofs(*, device: Device, protocol: Protocol, params: Mapping[str, Any] | None = None) -> Point:
    """The device's ceilings: bandwidth by ``copy`` and ``triad``, arithmetic by ``fma_peak``, each checked."""
    before = sensors(device)
    roofs = measure_roofs(device, protocol)
    metrics = {
        f"roofs/{roof.name}/rate": Metric(
            value=roof.rate.value, low=roof.rate.low, high=roof.rate.high, unit=roof.unit, higher_is_better=True
        )
        for roof in roofs
    }
    return Point(
        title=f"roofs of {device.selector}",
        params=dict(params or {}),
        checks=[roof.check for roof in roofs],
        roofs=roofs,
        metrics=metrics,
        sensors_before=before,
        sensors_after=sensors(device),
        environment=environment(device),
    )


def bench_stopwatch(
    op: str,
    shape: str,
    *,
    device: Device,
    protocol: Protocol,
    n_trials: int,
    params: Mapping[str, Any] | None = None,
) -> Point:
    """The stopwatch judged by itself on an op: ``n_trials`` races of equal work, as many of a tenth more work."""
    sizes = parse_shape(op, shape)
    before = sensors(device)
    problem = prepare_problem(op, sizes, seed=protocol.seed)
    ready, _ = _line_up(problem, device, [LAB])
    judge = _Judge(problem)
    judge.look(ready[0])
    contestant = ready[0].contestant
    trials = [
        aa_trials(contestant, protocol, n_trials, device=device),
        planted_trials(contestant, protocol, n_trials, device=device),
    ]
    judge.look(ready[0])
    return Point(
        title=f"the stopwatch on {op} {shape}, {device.selector}",
        params=dict(params or {"op": op, "shape": shape}),
        op=op,
        shape=sizes,
        checks=judge.checks(),
        trials=trials,
        metrics={name: metric for one in trials for name, metric in trial_metrics(one).items()},
        notes=[ready[0].note],
        sensors_before=before,
        sensors_after=sensors(device),
        environment=environment(device),
    )


def _line_up(problem: Prepared, device: Device, names: Sequence[str]) -> tuple[list[Entrant], dict[str, str]]:
    ready: list[Entrant] = []
    unavailable: dict[str, str] = {}
    for name in names:
        try:
            ours = name == LAB or name.startswith(f"{LAB}-")
            if ours:
                ready.append(_ours(problem, device, name))
            else:
                ready.append(peers.peer(name).entrant(device, problem.op, problem.arrays, problem.case.keywords))
        except PeerUnavailable as error:
            unavailable[name] = error.message
    if not ready:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in unavailable.items())
        raise InputError("bench", f"expected at least one contestant that can run, got none: {reasons}")
    return ready, unavailable


def _ours(problem: Prepared, device: Device, name: str) -> Entrant:
    op = ops.spec(problem.op)
    template = None if name == LAB else name.removeprefix(f"{LAB}-")
    if template is not None:
        refusal = op.template(template).applies(device, problem.shape)
        if refusal is not None:
            raise PeerUnavailable(name, refusal)
    arrays = (None if array is None else device.upload(array) for array in problem.arrays)
    plan = op.plan(device, *arrays, template=template, **problem.case.keywords)
    chosen = ", ".join(f"{key}={value}" for key, value in plan.params.items())
    contestant = Contestant(
        name=name,
        label=f"rx580lab {op.name}, template {plan.template}",
        role="lab",
        run=plan.enqueue,
        sync=device.finish,
        output=plan.out.download,
    )
    blank = reference.poison(plan.out.shape, plan.out.dtype)

    def spoil() -> None:
        plan.out.write(blank)

    return Entrant(contestant, spoil, f"{name}: template {plan.template} ({chosen})")


class _Judge:
    """Compares outputs with the oracle; a contestant is right only if every look at it was."""

    def __init__(self, problem: Prepared) -> None:
        self._oracle = str(import_module(f"rx580lab.reference.{problem.op}").ORACLE)
        self._problem = problem
        self._checks: dict[str, Check] = {}

    def look(self, one: Entrant) -> None:
        """Runs it once on a spoilt output and compares."""
        contestant = one.contestant
        one.spoil()
        contestant.run()
        contestant.sync()
        if contestant.output is None:
            raise MeasureError("bench", f"expected an output of {contestant.name} to check, got none")
        outcome = reference.compare(
            contestant.output(), self._problem.expected, self._problem.tolerance, dtype=self._problem.dtype
        )
        kept = self._checks.get(contestant.name)
        if kept is not None and not kept.ok:
            return
        if kept is not None and outcome.ok and (outcome.worst_share or 0) <= (kept.worst_share or 0):
            return
        self._checks[contestant.name] = checked(contestant.name, self._oracle, outcome, self._tolerance_in_words())

    def _tolerance_in_words(self) -> str:
        bound = np.asarray(self._problem.tolerance)
        if bound.size == 0 or not np.isfinite(bound).any():
            return "none applies"
        finite = bound[np.isfinite(bound)]
        return f"per value, an absolute error of {finite.min():.2g} to {finite.max():.2g} (bound of the fp32 algorithm)"

    def checks(self) -> list[Check]:
        """One per contestant."""
        return list(self._checks.values())


def _comparisons(
    ready: Sequence[Entrant], series: Sequence[Series], protocol: Protocol, floor: NoiseFloor
) -> list[Comparison]:
    """Each of ours against each peer; without a peer, each of ours against the first one."""
    roles = {one.contestant.name: one.contestant.role for one in ready}
    baselines = [name for name, role in roles.items() if role == "peer"] or [series[-1].contestant]
    found = [item for base in baselines for item in compare_series(series, base, protocol, floor)]
    return [item for item in found if roles[item.contestant] == "lab"]


def _metrics(
    op: str,
    series: Sequence[Series],
    comparisons: Sequence[Comparison],
    rates: Sequence[Achieved],
    floor: NoiseFloor,
    checks: Sequence[Check],
) -> dict[str, Metric]:
    found: dict[str, Metric] = {}

    def add(
        path: str, value: float, unit: str, better: bool, low: float | None = None, high: float | None = None
    ) -> None:
        found[f"{op}/{path}"] = Metric(value=value, low=low, high=high, unit=unit, higher_is_better=better)

    for one in series:
        median = one.median_ns
        add(f"{one.contestant}/time/median_ns", median.value, "ns", False, median.low, median.high)
    for rate in rates:
        gflop_s, gb_s = rate.gflop_s, rate.gb_s
        if gflop_s.value:
            add(f"{rate.contestant}/rate/gflop_s", gflop_s.value, "GFLOP/s", True, gflop_s.low, gflop_s.high)
        add(f"{rate.contestant}/rate/gb_s", gb_s.value, "GB/s", True, gb_s.low, gb_s.high)
        add(f"{rate.contestant}/roof/share", rate.roof_share, "1", True)
    for item in comparisons:
        ratio = item.ratio
        add(f"{item.contestant}/vs/{item.baseline}/speed_ratio", ratio.value, "1", True, ratio.low, ratio.high)
    for check in checks:
        if check.worst_share is not None:
            add(f"{check.contestant}/error/worst_share", check.worst_share, "1", False)
    add("noise/effect", floor.effect, "1", False)
    return found
