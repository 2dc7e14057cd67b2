"""What clients wait for when requests come at their own times: launches shared, beside one launch a request."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rx580lab.device import Device, sensors
from rx580lab.errors import InputError, MeasureError
from rx580lab.experiment.serving_bench import Cell, prepared
from rx580lab.experiment.serving_contestants import lined_up
from rx580lab.experiment.serving_models import write_mlp
from rx580lab.loadgen import Closed, Generator, Open, Outcome, constant, poisson
from rx580lab.measure import environment
from rx580lab.results.records import Check, Metric, Point, Series
from rx580lab.results.statistics import median_interval, ratio_interval

__all__ = ["bench_batching"]

CONTESTANTS = ("batched", "unbatched")
PAYLOAD = "binary-1"
QUANTILES = {"p50": 0.5, "p99": 0.99}
CHECK_EVERY = 20
_WAITED = "from when a request should have left to its answer; one quantile a round"


@dataclass
class _Side:
    """One server. ``outcomes``: of its rounds; ``order``: their places among all."""

    cell: Cell
    outcomes: list[Outcome] = field(default_factory=list)
    order: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.cell.contestant.name

    def waits_ns(self, quantile: str, outcomes: Sequence[Outcome]) -> list[float]:
        """That quantile of each round. MeasureError where the generator fell behind, so that it would be its own."""
        found = []
        for one in outcomes:
            wait = one.quantile(QUANTILES[quantile])
            if wait is None:
                raise MeasureError(
                    self.name,
                    f"expected {one.intended_rate:.3g} requests a second and answers, got {one.achieved_rate:.3g} a "
                    f"second, {one.statuses}, lost {one.lost}; a quieter machine or a lower rate is needed",
                )
            found.append(1e9 * wait)
        return found

    @property
    def n_unserved(self) -> int:
        """Requests of all rounds without an answer of status 200."""
        return sum(one.intended - one.statuses.get(200, 0) for one in self.outcomes)


def bench_batching(
    *,
    device: Device,
    rate: float = 150.0,
    arrivals: str = "constant",
    seconds: float = 8.0,
    n_samples: int = 6,
    widths: Sequence[int] = (784, 8192, 2048),
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
) -> Point:
    """Latency from the intended start, of requests of one row each, in interleaved rounds.

    Args:
        device: its name is what both servers open.
        rate: requests a second.
        arrivals: ``constant`` or ``poisson``.
        seconds: of one round of one server.
        n_samples: rounds.
        widths: of the MLP that is served.
        seed: of weights, inputs, arrivals and order.
        params: what to record as the point's parameters.

    MeasureError where the generator did not keep its rate.
    """
    if arrivals not in {"constant", "poisson"}:
        raise InputError("serving", f"expected arrivals constant or poisson, got {arrivals!r}")
    before = sensors(device)
    with tempfile.TemporaryDirectory() as folder:
        path = write_mlp(Path(folder), widths=tuple(widths), seed=seed)
        with lined_up(CONTESTANTS, path, device.selector) as (ready, unavailable), Generator() as generator:
            sides = [_Side(prepared(one, PAYLOAD, path, widths[0], seed, device)) for one in ready]
            for side in sides:
                cell = side.cell
                # Every size of a launch has run before the first round counts.
                for n in (2, 8, 32):
                    generator.run(cell.contestant.url, Closed(n, seconds=min(1.0, seconds)), cell.requests)
            rng = np.random.default_rng(seed)
            for turn in range(n_samples):
                for index in rng.permutation(len(sides)):
                    side = sides[index]
                    cell = side.cell
                    steady = arrivals == "constant"
                    load = Open(constant(rate, seconds) if steady else poisson(rate, seconds, seed + turn))
                    side.order.append(sum(len(one.order) for one in sides))
                    side.outcomes.append(
                        generator.run(
                            cell.contestant.url, load, cell.requests, check=cell.right, check_every=CHECK_EVERY
                        )
                    )
    return Point(
        title=f"{rate:g} requests a second to an MLP {'x'.join(map(str, widths))} on {device.selector}",
        params=dict(params or {}),
        series=[_series(side, quantile) for side in sides for quantile in QUANTILES],
        checks=[_check(side, quantile) for side in sides for quantile in QUANTILES],
        metrics=_metrics(sides),
        unavailable=unavailable,
        notes=[_note(side) for side in sides],
        sensors_before=before,
        sensors_after=sensors(device),
        environment=environment(device),
    )


def _series(side: _Side, quantile: str) -> Series:
    samples = side.waits_ns(quantile, side.outcomes)
    return Series(
        contestant=f"{side.name}/{quantile}",
        label=side.cell.contestant.label,
        role="lab" if side.name == "batched" else "control",
        clock="wall",
        clock_reason=_WAITED,
        samples_ns=samples,
        order=side.order,
        warmup_ns=[],
        warmup_settled=True,
        median_ns=median_interval(samples),
    )


def _check(side: _Side, quantile: str) -> Check:
    found = side.cell.check
    if found is None:
        raise MeasureError(side.name, "expected a comparison with the oracle before the first round, got none")
    wrong = [reason for one in side.outcomes for reason in one.wrong]
    if found.ok and wrong:
        found = found.model_copy(update={"ok": False, "reason": "; ".join(wrong[:3])})
    return found.model_copy(update={"contestant": f"{side.name}/{quantile}"})


def _metrics(sides: Sequence[_Side]) -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for side in sides:
        for quantile in QUANTILES:
            median = median_interval(side.waits_ns(quantile, side.outcomes))
            found[f"batching/{side.name}/{quantile}_ms"] = Metric(
                value=median.value / 1e6, low=median.low / 1e6, high=median.high / 1e6, unit="ms",
                higher_is_better=False,
            )  # fmt: skip
        shares = [(one.achieved_rate or math.nan) / (one.intended_rate or math.nan) for one in side.outcomes]
        counts = {
            "n_intended": (sum(one.intended for one in side.outcomes), True),
            "n_unserved": (side.n_unserved, False),
            "n_lost": (sum(one.n_lost for one in side.outcomes), False),
            "n_late": (sum(one.late for one in side.outcomes), False),
            "achieved_share": (min(shares), True),
            "n_checked": (sum(one.n_checked for one in side.outcomes), True),
        }
        found |= {
            f"batching/{side.name}/{name}": Metric(value=value, unit="1", higher_is_better=better)
            for name, (value, better) in counts.items()
        }
    by_name = {side.name: side for side in sides}
    for quantile in QUANTILES:
        pair = [by_name[name].waits_ns(quantile, by_name[name].outcomes) for name in CONTESTANTS]
        ratio = ratio_interval(*pair)
        found[f"batching/batched/vs/unbatched/{quantile}_ratio"] = Metric(
            value=ratio.value, low=ratio.low, high=ratio.high, unit="1", higher_is_better=False
        )
    return found


def _note(side: _Side) -> str:
    statuses: dict[int, int] = {}
    for one in side.outcomes:
        for status, n in one.statuses.items():
            statuses[status] = statuses.get(status, 0) + n
    intended = sum(one.intended for one in side.outcomes)
    lost = sum(one.n_lost for one in side.outcomes)
    return f"{side.name}: {intended:,} requests, answers by status {statuses}, {lost} lost"
