"""Every op's suite: cases by chance are right, benchmarks state problems, outputs after the first are judged too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rx580lab import ops
from rx580lab.device import Device
from rx580lab.experiment.problem import parse_shape
from rx580lab.selftest.case import Problem, prepare, suite
from rx580lab.selftest.check import Standing, stand_up


@pytest.mark.parametrize("op", ops.NAMES)
def test_cases_by_chance_are_right_by_every_template(pocl: Device, op: str) -> None:
    rng = np.random.default_rng(580)
    ran = set()
    for _ in range(6):
        prepared = prepare(op, suite(op).random(rng))
        for template in ops.spec(op).templates:
            if template.applies(pocl, prepared.shape) is None:
                outcome = stand_up(pocl, template.name, prepared).judge()
                assert outcome.ok, f"{op} {template.name} on {prepared.case.name}: {outcome.reason}"
                ran.add(template.name)
    assert ran


@pytest.mark.parametrize("op", ops.NAMES)
def test_cases_by_chance_differ_and_their_names_tell(op: str) -> None:
    rng = np.random.default_rng(1)
    names = [suite(op).random(rng).name for _ in range(20)]
    assert len(set(names)) > 10


@pytest.mark.parametrize("op", ops.NAMES)
def test_the_example_of_a_benchmark_is_a_problem(op: str) -> None:
    sizes = parse_shape(op)
    made = suite(op).bench.make(sizes, np.random.default_rng(0))
    assert isinstance(made, Problem)
    cost = ops.spec(op).cost(ops.spec(op).shape(*made.arrays, **made.keywords))
    assert cost.bytes > 0
    assert cost.flop >= 0


def test_a_wrong_output_after_the_first_is_a_fault(pocl: Device) -> None:
    case = next(case for case in suite("copy").cases if case.name == "N=65")
    standing = stand_up(pocl, "plain", prepare("copy", case))
    twin = pocl.empty((65,))
    (given,) = standing.prepared.arrays
    assert given is not None

    def judged(second: np.ndarray) -> str | None:
        plan = replace(standing.plan, more=(twin,))
        prepared = replace(standing.prepared, more=((second, 0.0),))
        return Standing(prepared, standing.inputs, standing.out, plan).judge().reason

    assert judged(given) == "output 1: 65 of 65 values never written, the first at [0]"
