"""The process of a cell's bench: ``python -m rx580lab.jupyter.cell_bench FOLDER``.

It reads a request, checks each kernel against the oracle's answer, and only what is right is raced. Whoever started
it may end it at any time: a kernel that never ends takes nobody along.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, LocalBytes, load_source
from rx580lab.device import Array, Device, Limits, open_device
from rx580lab.errors import LabError
from rx580lab.jupyter.bench_request import ARRAYS_FILE, REQUEST_FILE, RESULT_FILE
from rx580lab.jupyter.cell import NAME
from rx580lab.measure import Contestant, Protocol, checked, compare_series, noise_floor, race
from rx580lab.reference import Outcome, Sentinels, compare, poison
from rx580lab.results.files import atomic_write
from rx580lab.results.records import Check, Comparison, Series

__all__ = ["main"]

# Elements past the end of the output that a kernel must leave alone.
_GUARD = 1024


@dataclass(frozen=True)
class _Ready:
    """A kernel with its arguments bound; ``whole`` is the output and the guard behind it."""

    name: str
    launch: Launch
    whole: Array
    shape: tuple[int, ...]

    def output(self) -> npt.NDArray[Any]:
        n = int(np.prod(self.shape))
        return self.whole.download()[:n].reshape(self.shape)

    def outcome(self, expected: npt.NDArray[Any], tolerance: npt.NDArray[Any]) -> Outcome:
        """Run once on a spoilt output and compared."""
        self.whole.write(poison(self.whole.shape, self.whole.dtype))
        self.launch.enqueue().wait()
        found = self.whole.download()
        n = int(np.prod(self.shape))
        guard = Sentinels(before=found[:0], after=found[n:])
        return compare(found[:n].reshape(self.shape), expected, tolerance, sentinels=guard)


def _prepared(device: Device, entry: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> _Ready:
    kernel = load_source(device, entry["text"], entry["name"].partition(" ")[0], entry["options"], where=NAME)
    arguments: list[Any] = []
    out = arrays[entry["values"][entry["out"]]["array"]]
    whole = device.empty(out.size + _GUARD, out.dtype)
    for place, value in enumerate(entry["values"]):
        if place == entry["out"]:
            arguments.append(whole)
        elif "local" in value:
            arguments.append(LocalBytes(value["local"]))
        elif "scalar" in value:
            arguments.append(arrays[value["scalar"]][()])
        else:
            arguments.append(device.upload(arrays[value["array"]]))
    launch = kernel.bind(entry["global"], entry["local"], *arguments)
    return _Ready(entry["name"], launch, whole, out.shape)


def bench(folder: Path) -> dict[str, Any]:
    """Checks, and where they pass the series and comparisons, as JSON-able records."""
    request = json.loads((folder / REQUEST_FILE).read_text(encoding="utf-8"))
    with np.load(folder / ARRAYS_FILE, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    device = open_device(request["device"], limits=Limits(**request["limits"]))
    ready = [_prepared(device, entry, arrays) for entry in request["entries"]]

    def checked() -> list[Check]:
        return [_check(one, one.outcome(arrays["expected"], arrays["tolerance"]), request) for one in ready]

    checks, series, comparisons = checked(), list[Series](), list[Comparison]()
    if all(check.ok for check in checks):
        series, comparisons = _raced(device, ready, request)
        checks = checked()  # what is right when cold may be wrong when warm
    return {
        "checks": [check.model_dump(mode="json") for check in checks],
        "series": [one.model_dump(mode="json") for one in series],
        "comparisons": [one.model_dump(mode="json") for one in comparisons],
    }


def _raced(device: Device, ready: list[_Ready], request: Mapping[str, Any]) -> tuple[list[Series], list[Comparison]]:
    contestants = [
        Contestant(
            name=one.name,
            label=f"{one.name} on {device.selector}",
            role="lab",
            run=lambda launch=one.launch: [launch.enqueue()],  # type: ignore[misc]
            sync=device.finish,
            output=one.output,
        )
        for one in ready
    ]
    # The race, and where there are two of them the noise floor after it.
    share = request["max_s"] / len(ready)
    protocol = Protocol(n_samples=request["n_samples"], warmup_max_s=min(1.0, share / 4), max_s=share)
    series = race(contestants, protocol, device)
    if len(ready) == 1:
        return series, []
    floor = noise_floor(contestants[-1], replace(protocol, clock=series[0].clock), device)
    return series, compare_series(series, contestants[-1].name, protocol, floor)


def _check(one: _Ready, outcome: Outcome, request: Mapping[str, Any]) -> Check:
    return checked(one.name, request["oracle"], outcome, request["tolerance"])


def main(arguments: list[str]) -> int:
    """Bench the request in the folder ``arguments[0]``; an error of ours is written there too."""
    folder = Path(arguments[0])
    try:
        answer = bench(folder)
    except LabError as error:
        answer = {"error": {"kind": type(error).__name__, "where": error.where, "message": error.message}}
    atomic_write(folder / RESULT_FILE, json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
