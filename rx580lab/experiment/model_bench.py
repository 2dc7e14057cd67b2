"""A whole model raced with ONNX Runtime and tinygrad, and taken apart: time by step, launches, memory."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from rx580lab import models, reference
from rx580lab.device import Array, Device, sensors
from rx580lab.errors import InputError, PeerUnavailable
from rx580lab.graph import Model, ModelPlan, TensorInfo, load
from rx580lab.graph.inputs import assumed_lengths
from rx580lab.measure import (
    Contestant,
    Protocol,
    checked,
    compare_series,
    environment,
    measure_roofs,
    noise_floor,
    profile,
    race,
)
from rx580lab.peers import Entrant, onnxruntime, tinygrad
from rx580lab.peers.entrant import in_a_row
from rx580lab.results.records import Check, Comparison, Metric, NoiseFloor, Point, Series, StepTime

__all__ = ["ORACLE", "bench_model", "by_operator", "example_inputs", "find_model", "parse_lengths"]

AnyArray = npt.NDArray[Any]
ORACLE = "ONNX Runtime without graph optimisations: each operator as it stands in the file"
# Of a model's largest output value: what fp32 sums in another order may differ by over a hundred layers.
TOLERANCE = 1e-4
# Lines of text need so many pixels each way to be lines.
SMALLEST_PAGE = 24
# Peers that run whole models.
RIVALS: Mapping[str, Callable[[Device, Path, Mapping[str, AnyArray], Mapping[str, AnyArray]], Entrant]] = {
    "onnxruntime": onnxruntime.model,
    "tinygrad": tinygrad.model,
}


@dataclass(frozen=True)
class _Ours:
    """Our model ready to race, and how long that took in this process; unit: s."""

    entrant: Entrant
    plan: ModelPlan
    load_s: float
    first_run_s: float


def find_model(name: str, folder: Path) -> Path:
    """The file of that path, or the demo model of that name, written below ``folder``."""
    if name.endswith(".onnx"):
        return Path(name)
    return models.export(name, folder)


def parse_lengths(text: str, inputs: Mapping[str, TensorInfo]) -> dict[str, tuple[int, ...]]:
    """``"x=1x3x640x640 mask=1x16"`` -> lengths of the inputs that are named.

    The first input's name may be left out. Raises InputError for what no input has.
    """
    found: dict[str, tuple[int, ...]] = {}
    for part in text.split():
        name, _, lengths = part.rpartition("=")
        name = name or next(iter(inputs))
        if name not in inputs:
            raise InputError("model", f"expected lengths of {', '.join(inputs)}, got {name!r}")
        try:
            found[name] = tuple(int(n) for n in lengths.split("x")) if lengths != "scalar" else ()
        except ValueError:
            raise InputError("model", f"expected lengths such as 1x3x224x224, got {lengths!r}") from None
    return found


def example_inputs(
    inputs: Mapping[str, TensorInfo], lengths: Mapping[str, tuple[int, ...]], seed: int
) -> dict[str, AnyArray]:
    """Arrays of the kind that models are made for: pages of text for pictures (N, 1 or 3, height, width) from 24 x 24
    on, of -1 to 1; else normal values, whole numbers from 1 to 99, masks of ones. ``lengths`` as in ``parse_lengths``;
    a length that neither they nor the file give is 1.
    """
    rng = np.random.default_rng(seed)
    whole = assumed_lengths(inputs, lengths)

    def one(info: TensorInfo) -> AnyArray:
        shape = whole[info.name]
        if info.dtype.kind == "f" and len(shape) == 4 and shape[1] in (1, 3) and min(shape[2:]) >= SMALLEST_PAGE:
            pages = [page_of_text(shape[2], shape[3], rng) for _ in range(shape[0])]
            return np.ascontiguousarray(np.broadcast_to(np.stack(pages)[:, None], shape), info.dtype)
        if info.dtype.kind == "f":
            return np.asarray(rng.standard_normal(shape), info.dtype)
        if "mask" in info.name or info.dtype.kind == "b":
            return np.ones(shape, info.dtype)
        return np.asarray(rng.integers(1, 100, shape), info.dtype)

    return {name: one(info) for name, info in inputs.items()}


def page_of_text(height: int, width: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A page (height, width) of words by chance, dark on light, from -1 to 1.

    Noise would leave a detector or a classifier without anything to see, and its output at values where fp32 says
    little.
    """
    page = Image.new("L", (width, height), 245)
    pen, size = ImageDraw.Draw(page), max(12, min(height // 2, 36))
    font = ImageFont.load_default(size)
    for top in range(size // 4, height, int(1.6 * size)):
        words = ["".join(rng.choice(list("aeionrstlmd"), rng.integers(2, 9))) for _ in range(width // size + 1)]
        pen.text((size // 2, top), " ".join(words), fill=20, font=font)
    return np.asarray(page, np.float32) / np.float32(127.5) - np.float32(1)


def bench_model(
    model: str,
    lengths: str = "",
    *,
    device: Device,
    contestants: Sequence[str] = ("lab", "onnxruntime"),
    protocol: Protocol,
    params: Mapping[str, Any] | None = None,
) -> Point:
    """One model and one shape of its inputs: everybody races on the same arrays, then our steps are timed one by one.

    Args:
        model: a path that ends in ``.onnx``, or a demo model as ``rx580lab models`` lists them.
        lengths: of inputs, as in ``parse_lengths``.
        device: where ours runs.
        contestants: ``lab`` and peers.
        protocol: of race, profile and roofs.
        params: what to record as the point's parameters.

    ``lab`` uploads its inputs in each run and leaves its outputs on the device; a peer has both bound. All outputs are
    compared with the oracle before and after the race: they may differ by ``TOLERANCE`` of their largest value.
    """
    unknown = set(contestants) - {"lab", *RIVALS}
    if unknown or "lab" not in contestants:
        raise InputError("bench", f"expected lab and any of {', '.join(RIVALS)}, got {', '.join(contestants)}")
    with tempfile.TemporaryDirectory() as folder:
        path = find_model(model, Path(folder))
        return _bench(path, lengths, device, contestants, protocol, dict(params or {"model": model}))


def _bench(
    path: Path, lengths: str, device: Device, contestants: Sequence[str], protocol: Protocol, params: dict[str, Any]
) -> Point:
    before = sensors(device)
    began = perf_counter()
    loaded = load(path, device)
    load_s = perf_counter() - began
    inputs = example_inputs(loaded.inputs, parse_lengths(lengths, loaded.inputs), protocol.seed)
    expected = onnxruntime.unoptimised(path, inputs)
    ours = _lined_up(loaded, device, inputs, load_s)
    ready, unavailable = [ours.entrant], {}
    for name in contestants:
        if name in RIVALS:
            try:
                ready.append(RIVALS[name](device, path, inputs, expected))
            except PeerUnavailable as error:
                unavailable[name] = error.message
    first = [_check(one, expected) for one in ready]
    series = race([one.contestant for one in ready], protocol, device)
    last = [_check(one, expected) for one in ready]
    floor = noise_floor(ours.entrant.contestant, replace(protocol, clock=series[0].clock), device)
    roofs = measure_roofs(device, protocol)
    steps = profile(ours.plan.steps, device, protocol, roofs) if device.event_clock else []
    comparisons = [
        found
        for name in contestants
        if name in RIVALS and name not in unavailable
        for found in compare_series(series, name, protocol, floor)
        if found.contestant == "lab"
    ]
    return Point(
        title=f"{path.parent.parent.name if path.name == 'model.onnx' else path.stem} on {device.selector}",
        params=params,
        series=series,
        checks=[after if held.ok else held for held, after in zip(first, last, strict=True)],
        comparisons=comparisons,
        noise_floor=floor,
        roofs=roofs,
        steps=steps,
        metrics=_metrics(ours, device, series, comparisons, floor),
        unavailable=unavailable,
        notes=[one.note for one in ready],
        sensors_before=before,
        sensors_after=sensors(device),
        environment=environment(device),
    )


def _lined_up(loaded: Model, device: Device, inputs: Mapping[str, AnyArray], load_s: float) -> _Ours:
    began = perf_counter()
    loaded.run(inputs)
    first_run_s = perf_counter() - began
    plan = loaded.plan(inputs)
    outputs = [plan.outputs[name] for name in loaded.outputs]
    blanks = [reference.poison(one.shape, one.dtype) if isinstance(one, Array) else None for one in outputs]

    def spoil() -> None:
        for one, blank in zip(outputs, blanks, strict=True):
            if isinstance(one, Array) and blank is not None:
                one.write(blank)

    def run() -> Sequence[Any]:
        for name, array in inputs.items():
            plan.inputs[name].write(array)
        return plan.enqueue()

    def output() -> AnyArray:
        return in_a_row(np.asarray(one) for one in outputs)

    label = f"rx580lab, {len(plan.launches)} launches"
    contestant = Contestant("lab", label, "lab", run, device.finish, output)
    note = f"lab: {label}, arena of {plan.arena_bytes:,} bytes; each run uploads its inputs"
    return _Ours(Entrant(contestant, spoil, note), plan, load_s, first_run_s)


def _check(one: Entrant, expected: Mapping[str, AnyArray]) -> Check:
    runner = one.contestant
    one.spoil()
    runner.run()
    runner.sync()
    got = runner.output() if runner.output is not None else np.empty(0)
    wanted = in_a_row(expected.values())
    largest = [np.abs(array.astype(np.float64)).max() if array.size else 0.0 for array in expected.values()]
    tolerance = np.concatenate(
        [np.full(array.size, TOLERANCE * top) for array, top in zip(expected.values(), largest, strict=True)]
    )
    outcome = reference.compare(got, wanted, tolerance, dtype=np.float64)
    words = f"{TOLERANCE:g} of the largest value of an output ({', '.join(f'{top:.3g}' for top in largest)})"
    return checked(runner.name, ORACLE, outcome, words)


def _metrics(
    ours: _Ours, device: Device, series: Sequence[Series], comparisons: Sequence[Comparison], floor: NoiseFloor
) -> dict[str, Metric]:
    def figure(value: float, unit: str, *, higher: bool = False) -> Metric:
        return Metric(value=value, unit=unit, higher_is_better=higher)

    found = {
        f"model/{one.contestant}/time/median_ns": Metric(
            value=one.median_ns.value, low=one.median_ns.low, high=one.median_ns.high, unit="ns", higher_is_better=False
        )
        for one in series
    }
    for one in comparisons:
        found[f"model/lab/vs/{one.baseline}/speed_ratio"] = Metric(
            value=one.ratio.value, low=one.ratio.low, high=one.ratio.high, unit="1", higher_is_better=True
        )
    found["model/lab/launches"] = figure(len(ours.plan.launches), "1")
    found["model/lab/arena_bytes"] = figure(ours.plan.arena_bytes, "bytes")
    found["model/lab/peak_bytes"] = figure(device.bytes_peak, "bytes")
    found["model/lab/load_s"] = figure(ours.load_s, "s")
    found["model/lab/first_run_s"] = figure(ours.first_run_s, "s")
    found["model/lab/noise_floor"] = figure(floor.effect, "1")
    return {name: one for name, one in found.items() if math.isfinite(one.value)}


def by_operator(steps: Sequence[StepTime]) -> dict[str, float]:
    """Operator -> ns of all its steps together, the dearest first."""
    found: dict[str, float] = {}
    for one in steps:
        if one.time_ns is not None:
            found[one.operator] = found.get(one.operator, 0.0) + one.time_ns.value
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))
