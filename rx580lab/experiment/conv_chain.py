"""Convolutions in a row, as a network has them, beside ONNX Runtime: the shapes that most of its time goes to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab import reference
from rx580lab.compile import Launch
from rx580lab.device import Device, sensors
from rx580lab.errors import InputError, PeerUnavailable
from rx580lab.measure import Contestant, Protocol, checked, compare_series, environment, race
from rx580lab.ops.conv import pack_weights, plan
from rx580lab.peers import Entrant, onnxruntime
from rx580lab.reference.conv import ORACLE, conv, dot_bound
from rx580lab.results.records import Check, Comparison, Metric, Point, Series
from rx580lab.results.statistics import ratio_interval

__all__ = ["SHAPES", "bench_conv_chain"]

N_LAYERS = 4
Floats = npt.NDArray[np.float64]
Array32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Chain:
    """``N_LAYERS`` convolutions of an ``edge`` x ``edge`` image, from C to K channels and back, by turns."""

    channels: int
    filters: int
    edge: int
    kernel: int

    @property
    def name(self) -> str:
        """For series and metrics."""
        return f"c{self.channels}_k{self.filters}_h{self.edge}_r{self.kernel}"

    @property
    def pads(self) -> tuple[int, int, int, int]:
        """Those that keep the edge."""
        return (self.kernel // 2,) * 4

    def tensors(self, seed: int) -> tuple[Array32, list[Array32]]:
        """X and the weights of each layer, of the size that keeps values as large as x's."""
        rng = np.random.default_rng((seed, self.channels, self.filters, self.edge, self.kernel))
        c, k = self.channels, self.filters
        x = rng.standard_normal((1, c, self.edge, self.edge), dtype=np.float32)
        weights = []
        for _ in range(N_LAYERS):
            scale = np.float32(1 / math.sqrt(c * self.kernel**2))
            weights.append(rng.standard_normal((k, c, self.kernel, self.kernel), dtype=np.float32) * scale)
            c, k = k, c
        return x, weights


# The layers of residual networks: four stages of 3x3, and the narrow and the wide end of a bottleneck.
SHAPES = (
    Chain(64, 64, 56, 3),
    Chain(128, 128, 28, 3),
    Chain(256, 256, 14, 3),
    Chain(512, 512, 7, 3),
    Chain(64, 256, 56, 1),
    Chain(256, 1024, 14, 1),
)


def bench_conv_chain(
    *,
    device: Device,
    protocol: Protocol,
    shapes: Sequence[Chain] = SHAPES,
    params: Mapping[str, Any] | None = None,
) -> Point:
    """Each shape raced by itself: ours over pixel-major arrays, ours from and to channel-major ones, ONNX Runtime.

    ``lab`` is what a graph runs between its ends: bordered pixel-major arrays, weights packed before. ``lab-ends``
    brings x from ONNX's layout and its result back into it, inside the time, as ONNX Runtime does.
    Every output is compared with the oracle before and after. Raises PeerUnavailable without ONNX Runtime.
    """
    reason = onnxruntime.unavailable(device)
    if reason is not None:
        raise PeerUnavailable("onnxruntime", reason)
    if not shapes:
        raise InputError("bench", "expected at least one shape, got none")
    before = sensors(device)
    series: list[Series] = []
    checks: list[Check] = []
    comparisons: list[Comparison] = []
    notes: list[str] = []
    for shape in shapes:
        x, weights = shape.tensors(protocol.seed)
        ready = [
            _ours(device, shape, x, weights, ends=False),
            _ours(device, shape, x, weights, ends=True),
            _peer(device, shape, x, weights),
        ]
        expected, tolerance = _oracle(shape, x, weights)
        first = [_check(one, expected, tolerance) for one in ready]
        raced = race([one.contestant for one in ready], protocol, device)
        last = [_check(one, expected, tolerance) for one in ready]
        checks += [after if before_.ok else before_ for before_, after in zip(first, last, strict=True)]
        series += raced
        comparisons += [
            found for found in compare_series(raced, f"onnxruntime/{shape.name}", protocol) if "lab" in found.contestant
        ]
        notes += [one.note for one in ready if one.note not in notes]
    return Point(
        title=f"chains of {N_LAYERS} convolutions on {device.selector}",
        params=dict(params or {}),
        op="conv",
        series=series,
        checks=checks,
        comparisons=comparisons,
        metrics=_metrics(shapes, series, protocol),
        notes=notes,
        sensors_before=before,
        sensors_after=sensors(device),
        environment=environment(device),
    )


def _ours(device: Device, shape: Chain, x: Array32, weights: Sequence[Array32], *, ends: bool) -> Entrant:
    pads, outside = shape.pads, [(0, 0), *[(shape.kernel // 2,) * 2] * 2, (0, 0)]
    current = device.upload(x if ends else np.pad(np.moveaxis(x, 1, -1), outside))
    launches: list[Launch] = []
    for place, w in enumerate(weights):
        first, last = ends and place == 0, ends and place == len(weights) - 1
        layouts: dict[str, Any] = {"layout": "nchw" if first else "nhwc", "out_layout": "nchw" if last else "nhwc"}
        layouts |= {} if first else {"borders": pads}
        layouts |= {} if last else {"out_borders": pads}
        planned = plan(device, current, pack_weights(device, w), pads=pads, **layouts)
        launches += planned.launches
        current = planned.out
    out = current
    inside = slice(pads[0], pads[0] + shape.edge)

    def output() -> Array32:
        host: Array32 = out.download()
        return host if ends else np.moveaxis(host[:, inside, inside], -1, 1)

    blank = reference.poison((1, weights[-1].shape[0], shape.edge, shape.edge), np.float32)
    spoilt = blank if ends else np.pad(np.moveaxis(blank, 1, -1), outside)
    name = "lab-ends" if ends else "lab"
    what = "from and to channel-major arrays" if ends else "pixel-major arrays throughout"
    contestant = Contestant(
        name=f"{name}/{shape.name}",
        label=f"rx580lab conv, {what}, {shape.name}",
        role="lab",
        run=lambda: [launch.enqueue() for launch in launches],
        sync=device.finish,
        output=output,
    )

    def spoil() -> None:
        out.write(spoilt)

    chosen = ", ".join(f"{key}={value}" for key, value in planned.params.items())
    return Entrant(contestant, spoil, f"{name}: {what}, weights packed before, template {planned.template} ({chosen})")


def _peer(device: Device, shape: Chain, x: Array32, weights: Sequence[Array32]) -> Entrant:
    found = onnxruntime.conv_chain(device, x, [((w, None), {"pads": shape.pads}) for w in weights])
    runner = found.contestant
    named = Contestant(
        f"onnxruntime/{shape.name}", f"{runner.label}, {shape.name}", "peer", runner.run, runner.sync, runner.output
    )
    return Entrant(named, found.spoil, found.note)


def _oracle(shape: Chain, x: Array32, weights: Sequence[Array32]) -> tuple[Floats, Floats]:
    """The chain in float64, and what errors of every layer may add up to: each passes on what it is given."""
    value, bound = np.asarray(x, np.float64), np.zeros(x.shape)
    for w in weights:
        magnitude = np.abs(np.asarray(w, np.float64))
        own = dot_bound(conv(np.abs(value) + bound, magnitude, pads=shape.pads), w[0].size)
        bound = own + conv(bound, magnitude, pads=shape.pads)
        value = conv(value, w, pads=shape.pads)
    return value, bound


def _check(one: Entrant, expected: Floats, tolerance: Floats) -> Check:
    runner = one.contestant
    one.spoil()
    runner.run()
    runner.sync()
    got = runner.output() if runner.output is not None else np.empty(0, np.float32)
    outcome = reference.compare(got, expected, tolerance)
    return checked(
        runner.name,
        ORACLE,
        outcome,
        f"per value, an absolute error of {tolerance.min():.2g} to {tolerance.max():.2g} (bound of fp32)",
    )


def _metrics(shapes: Sequence[Chain], series: Sequence[Series], protocol: Protocol) -> dict[str, Metric]:
    """Of each shape and, as geometric means, of all: the median of paired ratios, and the ratio of quickest samples.

    The latter is the steadier one by the wall clock, where whatever else runs only ever adds.
    """
    named = {one.contestant: one for one in series}
    found: dict[str, Metric] = {}
    for ours in ("lab", "lab-ends"):
        medians, bests = [], []
        for shape in shapes:
            mine, theirs = named[f"{ours}/{shape.name}"], named[f"onnxruntime/{shape.name}"]
            ratio = ratio_interval(
                theirs.samples_ns, mine.samples_ns, confidence=protocol.confidence, seed=protocol.seed
            )
            medians.append(ratio.value)
            bests.append(min(theirs.samples_ns) / min(mine.samples_ns))
            path = f"conv_chain/{ours}/{shape.name}/vs/onnxruntime"
            found[f"{path}/speed_ratio"] = Metric(
                value=ratio.value, low=ratio.low, high=ratio.high, unit="1", higher_is_better=True
            )
        for word, values in (("speed_ratio", medians), ("best_ratio", bests)):
            mean = math.exp(sum(map(math.log, values)) / len(values))
            found[f"conv_chain/{ours}/geomean/vs/onnxruntime/{word}"] = Metric(
                value=mean, unit="1", higher_is_better=True
            )
    return found
