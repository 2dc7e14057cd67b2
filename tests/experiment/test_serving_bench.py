"""Servers side by side: every figure checked, rounds in turns, ratios of the right pairs; nothing lost is hidden."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rx580lab.device import Device
from rx580lab.errors import InputError, MeasureError
from rx580lab.experiment.serving_asks import RightOutputs
from rx580lab.experiment.serving_batching import _Side
from rx580lab.experiment.serving_bench import Cell, _judged, _metrics, _note_faults, _pairs, examples, mlp_oracle
from rx580lab.experiment.serving_contestants import ServingContestant, lined_up
from rx580lab.experiment.serving_models import write_mlp
from rx580lab.graph import load
from rx580lab.loadgen import Outcome
from rx580lab.results.records import Check


def cell(name: str, payload: str, us: float) -> Cell:
    server = "rx580lab" if name in {"bare", "full"} else name.partition("-")[0]
    made = Cell(
        ServingContestant(name, server, name, "http://127.0.0.1:1", 1), payload, [], RightOutputs(server, [], 0)
    )
    made.samples_ns = [1e3 * us * factor for factor in (1.0, 1.1, 0.9)]
    made.check = Check(contestant=made.name, oracle="o", ok=True, tolerance="t", n_values=1)
    return made


CELLS = [
    cell("bare", "json-1", 300), cell("full", "json-1", 390), cell("litserve", "json-1", 1500),
    cell("litserve-unbatched", "json-1", 1000), cell("mlserver", "json-1", 600), cell("bare", "json-64", 3000),
    cell("bare", "binary-64", 750),
]  # fmt: skip


def test_ratios_are_ours_over_the_cheaper_of_a_rivals_configurations() -> None:
    found = {name: one.value for name, one in _metrics(CELLS).items() if name.endswith("ratio")}
    assert found == pytest.approx(
        {
            "serving/bare/json-1/vs/litserve/cpu_ratio": 0.3,
            "serving/bare/json-1/vs/mlserver/cpu_ratio": 0.5,
            "serving/full/json-1/vs/bare/cpu_ratio": 1.3,
            "serving/bare/json-64/vs/binary/cpu_ratio": 4.0,
        }
    )
    assert len(_pairs([one for one in CELLS if "litserve" not in one.name])) == 3


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(statuses={200: 5, 503: 1}),
        Outcome(statuses={200: 5}, lost={"no answer in time": 1}),
        Outcome(statuses={200: 5}, n_wrong=1, wrong=["differs by 1"]),
    ],
)
def test_a_fault_in_any_round_fails_the_check(outcome: Outcome) -> None:
    one = cell("bare", "json-1", 1)
    _note_faults(one, Outcome(statuses={200: 5}))
    assert _judged(one).ok
    _note_faults(one, outcome)
    assert not _judged(one).ok
    assert _judged(one).reason


def test_a_generator_that_fell_behind_gives_no_tail() -> None:
    side = _Side(cell("batched", "binary-1", 1))
    behind = Outcome(intended=10, latencies_s=[0.1] * 10, statuses={200: 10}, intended_rate=10, achieved_rate=8)
    with pytest.raises(MeasureError, match="quieter machine"):
        side.waits_ns("p99", [behind])
    side.outcomes = [Outcome(intended=10, statuses={200: 7, 503: 1}, lost={"x": 2})]
    assert side.n_unserved == 3


def test_the_oracle_is_the_model(pocl: Device, tmp_path: Path) -> None:
    path = write_mlp(tmp_path, widths=(20, 30, 5))
    (x, *_) = examples("json-64", 20, 0)
    assert x.shape == (64, 20)
    found = load(path, pocl).run({"x": x})["y"]
    np.testing.assert_allclose(found, mlp_oracle(path)(x), atol=1e-4)


def test_a_contestant_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bare, full"), lined_up(["bear"], tmp_path, "pocl"):
        pass
