"""What the kernel explorer has done in a child process: build, check against the oracle, time, place under the roofs.

Run by ``python -m``; the request comes and the events go by a ``Channel``.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from rx580lab import ops
from rx580lab.device import Device, open_device
from rx580lab.errors import BuildError, InputError, LabError, LimitExceeded
from rx580lab.experiment.timing_lock import TimingLock
from rx580lab.measure import Contestant, Protocol, achieved, measure_roofs, race
from rx580lab.results.records import Roof, Series, Work
from rx580lab.selftest import cases
from rx580lab.selftest.case import prepare_problem
from rx580lab.selftest.check import Standing, check_case, does_not_fit, stand_up
from rx580lab.widgets.channel import Channel

__all__ = ["main"]

_ROOF_PROTOCOL = Protocol(n_samples=15, warmup_max_s=0.5, max_s=8.0)


def main(arguments: list[str]) -> int:
    """Do what the channel's request asks. 0 also for a kernel that does not build or is wrong: the events say so."""
    channel = Channel(arguments)
    try:
        _Work(channel).run()
    except BuildError as error:
        channel.send("build_failed", log=error.log or error.message, message=error.message.splitlines()[0])
    except LabError as error:
        channel.send("refused", text=str(error))
    return 0


class _Work:
    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        request = channel.request
        self.op = str(request["op"])
        self.template = str(request["template"])
        self.params: dict[str, int] = request["params"]
        self.shape: dict[str, int] = request["shape"]
        self.name: str | None = request["device"]
        self.protocol = Protocol(
            n_samples=int(request["n_samples"]), warmup_max_s=float(request["warmup_max_s"]), max_s=10.0
        )
        self.roofs: list[Roof] | None = (
            None if request["roofs"] is None else [Roof.model_validate(roof) for roof in request["roofs"]]
        )
        self.may_measure_roofs = bool(request["may_measure_roofs"])

    def stage(self, text: str) -> None:
        """Says what is being done: if the child dies or has to be ended, this is where."""
        self.channel.send("stage", text=text)

    def run(self) -> None:
        self.stage("opening the device")
        device = open_device(self.name)
        self.channel.send("device", selector=device.selector, name=device.name)
        standing = self._build(device)
        if not self._check(device, standing):
            return
        lock = TimingLock(f"the kernel explorer on {device.selector}")
        lock.acquire(lambda holder: self.channel.send("waiting", text=holder), lambda: False)
        try:
            series = self._time(device, standing)
            self._place(device, standing, series)
        finally:
            lock.release()

    def _build(self, device: Device) -> Standing:
        self.stage("asking the oracle")
        prepared = prepare_problem(self.op, self.shape, seed=self.protocol.seed)
        too_large = does_not_fit(device, prepared)
        if too_large is not None:
            raise LimitExceeded(self.op, f"{too_large}; choose a smaller shape")
        self.stage("building the kernel")
        began = time.monotonic()
        standing = stand_up(device, self.template, prepared, params=self.params)
        plan = standing.plan
        self.channel.send(
            "built", seconds=time.monotonic() - began, params=plan.params, launches=[repr(one) for one in plan.launches]
        )
        return standing

    def _check(self, device: Device, standing: Standing) -> bool:
        self.stage("running the kernel and comparing it with the oracle")
        outcome = standing.judge()
        faults = [] if outcome.ok else [f"this shape: {outcome.reason}"]
        left_out = []
        n_right = int(outcome.ok)
        for case in cases(self.op, ("small",)):
            self.stage(f"checking the case {case.name}")
            try:
                found = check_case(device, self.op, self.template, case, params=self.params)
            except (InputError, LimitExceeded) as error:
                left_out.append(f"{case.name}: {error.message}")
                continue
            n_right += found.ok
            faults += [] if found.ok else [f"{case.name}: {found.reason}"]
        self.channel.send(
            "verdict", ok=not faults, n_right=n_right, faults=faults, left_out=left_out,
            n_values=outcome.n_values, worst_share=outcome.worst_share,
        )  # fmt: skip
        return not faults

    def _time(self, device: Device, standing: Standing) -> Series:
        self.stage("timing")
        plan = standing.plan
        if not plan.launches:
            raise InputError(self.op, f"expected a shape with something to compute, got {self.shape}")
        contestant = Contestant("lab", f"{self.op}, {plan.template}", "lab", run=plan.enqueue, sync=device.finish)
        series = race([contestant], self.protocol, device)[0]
        cost = ops.spec(self.op).cost(standing.prepared.shape)
        self.channel.send(
            "time", median_ns=series.median_ns.model_dump(), clock=series.clock, clock_reason=series.clock_reason,
            settled=series.warmup_settled, shortfall=series.shortfall, bytes=cost.bytes, flop=cost.flop,
        )  # fmt: skip
        return series

    def _place(self, device: Device, standing: Standing, series: Series) -> None:
        if self.roofs is None:
            if not self.may_measure_roofs:
                return
            self.stage("measuring the roofs of this device, once")
            self.roofs = measure_roofs(device, _ROOF_PROTOCOL)
            self.channel.send("roofs", roofs=[_dumped(roof) for roof in self.roofs])
        cost = ops.spec(self.op).cost(standing.prepared.shape)
        rates = achieved([series], Work(bytes=cost.bytes, flop=cost.flop), self.roofs)
        self.channel.send("achieved", rates=[rate.model_dump() for rate in rates])


def _dumped(roof: Roof) -> dict[str, Any]:
    return roof.model_dump()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
