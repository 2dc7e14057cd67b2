"""What batches cost and bring, over HTTP: rows in one request, and clients that share launches.

Closed loops, in short rounds of random order, so that a busy moment of the machine falls on all sizes alike. Every
answer is compared with the model's own; who sends and compares runs in this process and takes its time.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from rx580lab.errors import InputError
from rx580lab.experiment.drawing import Drawing
from rx580lab.experiment.server_calls import HEADER_LENGTH, binary_request, outputs_of
from rx580lab.experiment.server_process import ServerProcess
from rx580lab.loadgen import Answer, Closed, Outcome, Request, run_here

__all__ = ["Size", "Sweep", "sweep_batches"]

Tensor = npt.NDArray[Any]
Oracle = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
# Float32 sums in another order: a launch of another size may take other work-groups.
_RTOL, _ATOL = 1e-4, 1e-5
_WARM_S = 0.2


@dataclass
class Size:
    """``clients`` that each send requests of ``rows`` rows; one outcome for each round."""

    rows: int
    clients: int
    rounds: list[Outcome] = field(default_factory=list, repr=False)

    @property
    def shared(self) -> bool:
        """Whether it is the server that makes the batch."""
        return self.clients > 1

    def rates(self) -> list[float]:
        """Rows a second, of each round."""
        return [self.rows * len(one.latencies_s) / one.seconds for one in self.rounds]

    def latencies_ms(self) -> list[float]:
        """Of all rounds."""
        return [1e3 * one for outcome in self.rounds for one in outcome.latencies_s]


@dataclass
class Sweep:
    """Every size with its rounds. A cell's result: a table; ``drawing()`` for a picture."""

    sizes: list[Size]

    def table(self) -> pd.DataFrame:
        """A row for each size; quantiles are of all its answers, the range of rates is that of its rounds."""
        rows = []
        for one in self.sizes:
            took, rates = sorted(one.latencies_ms()), one.rates()
            rows.append(
                {
                    "clients": one.clients,
                    "rows in a request": one.rows,
                    "answers": len(took),
                    "wrong": sum(outcome.n_wrong for outcome in one.rounds),
                    "lost or refused": sum(
                        outcome.n_lost + outcome.answered - len(outcome.latencies_s) for outcome in one.rounds
                    ),
                    "p50, ms": round(statistics.median(took), 2) if took else None,
                    "p99, ms": round(took[int(0.99 * (len(took) - 1))], 2) if len(took) >= 100 else None,
                    "rows/s": round(statistics.median(rates)),
                    "rows/s, range": f"{min(rates):.0f} to {max(rates):.0f}",
                }
            )
        return pd.DataFrame(rows).set_index(["clients", "rows in a request"])

    @property
    def n_wrong(self) -> int:
        """Answers that differ from the model's own."""
        return sum(outcome.n_wrong for one in self.sizes for outcome in one.rounds)

    @property
    def n_answers(self) -> int:
        """Answers in all, each of which was compared."""
        return sum(outcome.n_checked for one in self.sizes for outcome in one.rounds)

    def drawing(self) -> Drawing:
        """Median latency against rows a second: to the right is more work done, down is less waiting."""
        figure = Drawing(8, 4.2)
        axes = figure.subplots()
        kinds = ((False, "o-", "one client, n rows in a request"), (True, "s--", "n clients, one row in each request"))
        for shared, style, label in kinds:
            chosen = [one for one in self.sizes if one.shared is shared and one.latencies_ms()]
            at = [(statistics.median(one.rates()), statistics.median(one.latencies_ms())) for one in chosen]
            if not at:
                continue
            axes.plot([x for x, _ in at], [y for _, y in at], style, label=label)
            for one, (x, y) in zip(chosen, at, strict=True):
                axes.annotate(str(one.rows * one.clients), (x, y), textcoords="offset points", xytext=(5, 5))
        axes.set(xscale="log", yscale="log", xlabel="rows a second", ylabel="median latency of a request, ms")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("{x:g}")
        axes.grid(True, which="both", alpha=0.3)
        if axes.lines:
            axes.legend()
        return figure

    def _repr_html_(self) -> str:
        return str(self.table().to_html())


def sweep_batches(
    server: ServerProcess,
    model: str,
    inputs: Mapping[str, Tensor],
    oracle: Oracle,
    *,
    sizes: Sequence[int] = (1, 2, 4, 8, 16, 32),
    n_rounds: int = 3,
    seconds: float = 0.2,
    seed: int = 0,
) -> Sweep:
    """Measures one client with n rows in a request, and n clients with one row each, for each n of ``sizes``.

    Args:
        server: a running one, with limits that the load does not reach.
        model: its name there.
        inputs: name -> array with at least ``max(sizes)`` rows, to be sent in slices.
        oracle: the same inputs to the right outputs, such as the ``run`` of the loaded model.
        sizes: rows, and clients.
        n_rounds: of each; all are measured once before any is measured again.
        seconds: of a round.
        seed: of the order.

    Raises InputError for too few rows. Wrong, lost and refused answers are counted in the result.
    """
    most = min((len(one) for one in inputs.values()), default=0)
    if not sizes or min(sizes) < 1 or max(sizes) > most:
        raise InputError("server_sweep", f"expected sizes from 1 to the {most} rows of the inputs, got {list(sizes)}")
    wanted = [Size(n, 1) for n in sizes] + [Size(1, n) for n in sizes if n > 1]
    answers = _Answers(inputs, oracle)
    loads = {id(one): _requests(server, model, answers, one.rows) for one in wanted}
    rng = random.Random(seed)
    # The generator has a loop of its own, and a notebook's thread runs one already.
    with ThreadPoolExecutor(1, thread_name_prefix="load") as thread:
        for place in range(n_rounds + 1):
            for one in rng.sample(wanted, len(wanted)):
                load = Closed(one.clients, seconds if place else min(seconds, _WARM_S))
                requests, check = loads[id(one)]
                outcome = thread.submit(run_here, server.url, load, requests, check=check).result()
                if place:  # the first round builds plans for each size, which is nobody's latency
                    one.rounds.append(outcome)
    return Sweep(wanted)


class _Answers:
    """The right outputs of each slice, asked for once."""

    def __init__(self, inputs: Mapping[str, Tensor], oracle: Oracle) -> None:
        self.inputs = inputs
        self.right = {name: np.asarray(one) for name, one in oracle(inputs).items()}

    def slice(self, first: int, rows: int) -> Mapping[str, Tensor]:
        return {name: one[first : first + rows] for name, one in self.inputs.items()}

    def fault(self, found: Mapping[str, Tensor], first: int, rows: int) -> str | None:
        for name, one in self.right.items():
            expected = one[first : first + rows]
            if name not in found or found[name].shape != expected.shape:
                return f"expected {name} of {expected.shape}, got another"
            if not np.allclose(found[name], expected, _RTOL, _ATOL):
                return f"{name} differs by up to {np.abs(found[name] - expected).max():.3g}"
        return None


def _requests(
    server: ServerProcess, model: str, answers: _Answers, rows: int
) -> tuple[list[Request], Callable[[int, Answer], str | None]]:
    n_rows = min(len(one) for one in answers.inputs.values())
    firsts = list(range(0, n_rows - rows + 1, rows))
    requests = []
    for first in firsts:
        body, headers = binary_request(answers.slice(first, rows))
        if "user" in server.keys:
            headers["X-API-Key"] = server.keys["user"]
        requests.append(Request(f"/v2/models/{model}/infer", "POST", headers, body))

    def check(which: int, answer: Answer) -> str | None:
        length = answer.headers.get(HEADER_LENGTH.lower())
        if length is None:
            return "expected binary outputs, got none"
        return answers.fault(outputs_of(answer.body, int(length)), firsts[which], rows)

    return requests, check
