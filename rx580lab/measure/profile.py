"""Where a model's time goes: each step's time on the device, by its own events, over rounds of the whole model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol as Shape

from rx580lab.device import Device
from rx580lab.errors import MeasureError
from rx580lab.measure.contestant import Protocol, Stamped
from rx580lab.measure.verdicts import rate, roof_above
from rx580lab.results.records import Roof, StepTime, Work
from rx580lab.results.statistics import median_interval

__all__ = ["profile"]


class Queued(Shape):
    """What is launched: ``compile.Launch`` is one."""

    def enqueue(self) -> Stamped:
        """Queues it and returns its event."""


class Cost(Shape):
    """Bytes and FLOP of a step: ``ops.Cost`` is one."""

    @property
    def bytes(self) -> int:
        """Bytes moved."""

    @property
    def flop(self) -> int:
        """Floating-point operations."""


class Named(Shape):
    """A node of a graph."""

    @property
    def name(self) -> str:
        """The model's name for it."""

    @property
    def op(self) -> str:
        """Its operator."""


class Profiled(Shape):
    """A step of a model: ``graph.Step`` is one."""

    @property
    def node(self) -> Named:
        """What it computes."""

    @property
    def launches(self) -> Sequence[Queued]:
        """What it launches."""

    @property
    def ops(self) -> Sequence[str]:
        """Names of the ops that it calls."""

    @property
    def cost(self) -> Cost:
        """What they must do."""


def profile(
    steps: Sequence[Profiled], device: Device, protocol: Protocol, roofs: Sequence[Roof] = ()
) -> list[StepTime]:
    """The time of each step, in ns by the device's events: medians over ``protocol.n_samples`` rounds of all steps.

    The launches of a round are queued in the model's order and run one after the other, as in use, so that each step
    finds the caches as the one before left them. A step's time is the sum of its kernels' times; what the device does
    between kernels belongs to none. With ``roofs`` each step is set beside the one that bounds it.

    Raises MeasureError where the device's event clock cannot be believed.
    """
    if not device.event_clock:
        raise MeasureError("profile", f"expected a device whose events can be trusted: {device.event_clock_reason}")
    samples: list[list[float]] = [[] for _ in steps]
    for number in range(protocol.n_samples + 1):
        queued = [[launch.enqueue() for launch in step.launches] for step in steps]
        device.finish()
        if number:  # the first round warms up
            for times, events in zip(samples, queued, strict=True):
                times.append(float(sum(event.end_ns - event.start_ns for event in events)))
    return [_timed(step, times, protocol, roofs) for step, times in zip(steps, samples, strict=True)]


def _timed(step: Profiled, times: Sequence[float], protocol: Protocol, roofs: Sequence[Roof]) -> StepTime:
    found = StepTime(
        node=step.node.name,
        operator=step.node.op,
        ops=list(step.ops),
        n_launches=len(step.launches),
        time_ns=median_interval(times, seed=protocol.seed) if step.launches else None,
        bytes=step.cost.bytes,
        flop=step.cost.flop,
    )
    if found.time_ns is None or not roofs or not step.cost.bytes or found.time_ns.low <= 0:
        return found
    roof, amount = roof_above(Work(bytes=step.cost.bytes, flop=step.cost.flop), roofs)
    reached = rate(amount, found.time_ns)
    return found.model_copy(update={"roof": roof.name, "roof_share": reached.value / roof.rate.value})
