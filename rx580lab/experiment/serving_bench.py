"""What a request costs a server: processor time per request, ours beside rivals that serve the same file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab import reference
from rx580lab.device import Device, sensors
from rx580lab.errors import MeasureError
from rx580lab.experiment.serving_asks import PAYLOADS, RightOutputs, decoded, rows_of, serving_request
from rx580lab.experiment.serving_contestants import ServingContestant, family_cpu_s, lined_up
from rx580lab.experiment.serving_models import write_mlp
from rx580lab.graph import load
from rx580lab.loadgen import Closed, Generator, Outcome, Request, run_here
from rx580lab.measure import checked, environment
from rx580lab.results.records import Check, Comparison, Interval, Metric, Point, Series
from rx580lab.results.statistics import median_interval, ratio_interval, verdict

__all__ = ["ORACLE", "WIDTHS", "Cell", "bench_serving", "examples", "mlp_oracle", "prepared"]

WIDTHS = (784, 512, 10)
ORACLE = "the MLP in float64 by numpy, from the weights in the file"
# Of the largest output value: what float32 sums in another order may differ by.
TOLERANCE = 1e-4
# Different requests of one payload; sent in turn.
N_EXAMPLES = 8
CHECK_EVERY = 50
_CLOCK = "processor time of all processes of the server, user and system, over the answers of one round"
# Two configurations of one rival: it is held against the one that costs it less.
_LITSERVE = ("litserve", "litserve-unbatched")


@dataclass
class Cell:
    """One server asked for one payload. ``samples_ns``: processor time per answer, one sample a round."""

    contestant: ServingContestant
    payload: str
    requests: list[Request]
    right: RightOutputs
    check: Check | None = None
    warmup_ns: list[float] = field(default_factory=list)
    samples_ns: list[float] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    n_answers: int = 0
    n_checked: int = 0
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """Such as ``bare/json-1``."""
        return f"{self.contestant.name}/{self.payload}"


def mlp_oracle(path: Path) -> Any:
    """The function of an MLP that ``write_mlp`` wrote, in float64: rows in, rows out."""
    import onnx
    from onnx import numpy_helper

    weights = {one.name: numpy_helper.to_array(one).astype(np.float64) for one in onnx.load(path).graph.initializer}
    layers = sorted(name for name in weights if name.startswith("w"))

    def forward(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        found = x.astype(np.float64)
        for name in layers:
            found = found @ weights[name] + weights[f"b{name[1:]}"]
            if name != layers[-1]:
                found = np.maximum(found, 0)
        return found

    return forward


def examples(payload: str, width: int, seed: int) -> list[npt.NDArray[np.float32]]:
    """``N_EXAMPLES`` times the rows of one request, between 0 and 1."""
    rng = np.random.default_rng((seed, rows_of(payload)))
    return [rng.random((rows_of(payload), width), dtype=np.float32) for _ in range(N_EXAMPLES)]


def prepared(contestant: ServingContestant, payload: str, path: Path, width: int, seed: int, device: Device) -> Cell:
    """The cell, after each of its requests was sent once and its answer compared with the oracle.

    So was ``rx580lab.load(path).run``, by which all of them serve: what differs after that is the server's.
    """
    given = examples(payload, width, seed)
    forward = mlp_oracle(path)
    expected = [forward(x) for x in given]
    tolerance = TOLERANCE * max(float(np.abs(one).max()) for one in expected)
    model = load(path, device)
    (name,), (made,) = model.inputs, model.outputs
    direct = [model.run({name: x})[made] for x in given]
    requests = [serving_request(contestant.server, payload, x, key=contestant.key) for x in given]
    cell = Cell(contestant, payload, requests, RightOutputs(contestant.server, expected, tolerance))
    got: list[npt.NDArray[Any]] = []

    def keep(_which: int, answer: Any) -> str | None:
        got.append(decoded(contestant.server, answer))
        return None

    outcome = run_here(contestant.url, Closed(1, seconds=60, requests=len(requests)), requests, check=keep)
    if len(got) != len(given):
        raise MeasureError(cell.name, f"expected {len(given)} answers, got {outcome.statuses}, lost {outcome.lost}")
    wanted = np.concatenate(expected)
    found = [np.concatenate(one) for one in (got, direct)]
    words = f"{TOLERANCE:g} of the largest output value ({np.abs(wanted).max():.3g})"
    compared = [reference.compare(one, wanted, tolerance, dtype=np.float32) for one in found]
    cell.check = checked(cell.name, ORACLE, compared[0] if compared[1].ok else compared[1], words)
    return cell


def bench_serving(
    *,
    device: Device,
    contestants: Sequence[str] = ("bare", "full"),
    payloads: Sequence[str] = ("json-1", "json-64", "binary-64"),
    n_samples: int = 7,
    seconds: float = 2.0,
    connections: int = 8,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
) -> Point:
    """Processor time per request of each server for each payload, in interleaved rounds of random order.

    Args:
        device: its name is what every server opens.
        contestants: of ``serving_contestants.CONTESTANTS``.
        payloads: of ``serving_asks.PAYLOADS``; binary ones are sent to our own servers only.
        n_samples: rounds.
        seconds: that one server is asked for in a round.
        connections: each sends the next request when it has the last answer.
        seed: of weights, inputs and order.
        params: what to record as the point's parameters.
    """
    before = sensors(device)
    with tempfile.TemporaryDirectory() as folder:
        path = write_mlp(Path(folder), widths=WIDTHS, seed=seed)
        with lined_up(contestants, path, device.selector) as (ready, unavailable), Generator() as generator:
            cells = [
                prepared(one, payload, path, WIDTHS[0], seed, device)
                for one in ready
                for payload in payloads
                if one.server == "rx580lab" or payload.startswith("json")
            ]
            rng = np.random.default_rng(seed)
            place = 0
            for turn in range(n_samples + 1):
                for index in rng.permutation(len(cells)):
                    cell = cells[index]
                    cost = _asked(cell, generator, Closed(connections, seconds=seconds), warm_up=0.2 * seconds)
                    if turn == 0:
                        cell.warmup_ns.append(cost)
                        continue
                    cell.samples_ns.append(cost)
                    cell.order.append(place)
                    place += 1
    return Point(
        title=f"servers on {device.selector}, {connections} connections",
        params=dict(params or {}),
        series=[_series(cell) for cell in cells],
        checks=[_judged(cell) for cell in cells],
        comparisons=_comparisons(cells),
        metrics=_metrics(cells),
        unavailable=unavailable,
        notes=[*(f"{cell.name}: {len(cell.requests[0].body):,} bytes a request, {cell.n_answers:,} answers, "
                 f"{cell.n_answers / cell.seconds:.0f} a second" for cell in cells)],
        sensors_before=before,
        sensors_after=sensors(device),
        environment=environment(device),
    )  # fmt: skip


def _asked(cell: Cell, generator: Generator, load: Closed, warm_up: float) -> float:
    """Ns of processor time per answer."""
    url = cell.contestant.url
    generator.run(url, Closed(load.connections, seconds=warm_up), cell.requests)
    time.sleep(0.02)
    began = family_cpu_s(cell.contestant.pid)
    outcome = generator.run(url, load, cell.requests, check=cell.right, check_every=CHECK_EVERY)
    spent = family_cpu_s(cell.contestant.pid) - began
    cell.n_answers += outcome.answered
    cell.n_checked += outcome.n_checked
    cell.seconds += outcome.seconds
    _note_faults(cell, outcome)
    if not outcome.answered or spent <= 0:
        raise MeasureError(cell.name, f"expected answers, got {outcome.statuses}, lost {outcome.lost}")
    return 1e9 * spent / outcome.answered


def _note_faults(cell: Cell, outcome: Outcome) -> None:
    cell.faults += outcome.wrong
    if set(outcome.statuses) != {200}:
        cell.faults.append(f"statuses {outcome.statuses}")
    if outcome.lost:
        cell.faults.append(f"lost {outcome.lost}")


def _judged(cell: Cell) -> Check:
    """The comparison before the first round, or what went wrong later."""
    if cell.check is None:
        raise MeasureError(cell.name, "expected a comparison with the oracle before the first round, got none")
    if cell.check.ok and cell.faults:
        return cell.check.model_copy(update={"ok": False, "reason": "; ".join(cell.faults[:3])})
    return cell.check


def _series(cell: Cell) -> Series:
    return Series(
        contestant=cell.name,
        label=cell.contestant.label,
        role="lab" if cell.contestant.server == "rx580lab" else "peer",
        clock="cpu",
        clock_reason=_CLOCK,
        samples_ns=cell.samples_ns,
        order=cell.order,
        warmup_ns=cell.warmup_ns,
        warmup_settled=True,
        median_ns=median_interval(cell.samples_ns),
    )


def _pairs(cells: Sequence[Cell]) -> list[tuple[str, Cell, Cell]]:
    """Name of the rival, ours, theirs: whose ratio is told. Of two configurations of a rival the cheaper."""
    found: list[tuple[str, Cell, Cell]] = []
    of = {(cell.contestant.name, cell.payload): cell for cell in cells}
    for payload in PAYLOADS:
        ours = of.get(("bare", payload))
        if ours is None:
            continue
        both = [of[name, payload] for name in _LITSERVE if (name, payload) in of]
        if both:
            found.append(("litserve", ours, min(both, key=lambda one: float(np.median(one.samples_ns)))))
        if ("mlserver", payload) in of:
            found.append(("mlserver", ours, of["mlserver", payload]))
        if ("full", payload) in of:
            found.append(("bare", of["full", payload], ours))
        binary = of.get(("bare", f"binary-{rows_of(payload)}"))
        if binary is not None and payload.startswith("json"):
            found.append(("binary", ours, binary))
    return found


def _ratio(ours: Cell, theirs: Cell) -> Interval:
    """Our processor time over theirs, of each round; the median."""
    return ratio_interval(ours.samples_ns, theirs.samples_ns)


def _comparisons(cells: Sequence[Cell]) -> list[Comparison]:
    found = []
    for _, ours, theirs in _pairs(cells):
        ratio = ratio_interval(theirs.samples_ns, ours.samples_ns)
        word, reason = verdict(ratio, min_effect=0.05, noise_floor=None)
        found.append(
            Comparison(
                contestant=ours.name,
                baseline=theirs.name,
                ratio=ratio,
                verdict=word,
                reason=reason,
                min_effect=0.05,
                noise_floor=None,
            )
        )
    return found


def _metrics(cells: Sequence[Cell]) -> dict[str, Metric]:
    found = {}
    for cell in cells:
        median = median_interval(cell.samples_ns)
        found[f"serving/{cell.name}/cpu/median_us"] = Metric(
            value=median.value / 1e3, low=median.low / 1e3, high=median.high / 1e3, unit="us", higher_is_better=False
        )
    for rival, ours, theirs in _pairs(cells):
        ratio = _ratio(ours, theirs)
        found[f"serving/{ours.name}/vs/{rival}/cpu_ratio"] = Metric(
            value=ratio.value, low=ratio.low, high=ratio.high, unit="1", higher_is_better=rival == "binary"
        )
    found["serving/n_checked"] = Metric(value=sum(cell.n_checked for cell in cells), unit="1", higher_is_better=True)
    return found
