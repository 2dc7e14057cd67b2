"""What every op's tests do alike: all of its suite's cases on one template."""

from __future__ import annotations

from collections.abc import Mapping

from rx580lab.device import Device
from rx580lab.ops import spec
from rx580lab.selftest import cases, prepare
from rx580lab.selftest.case import Tier
from rx580lab.selftest.check import stand_up

__all__ = ["sweep"]


def sweep(
    device: Device,
    op: str,
    template: str,
    params: Mapping[str, int] | None = None,
    tiers: tuple[Tier, ...] = ("small", "edge"),
) -> int:
    """Checks every case that the template takes; returns how many. Fails at the first wrong one, by name."""
    n_checked = 0
    for case in cases(op, tiers):
        prepared = prepare(op, case)
        if spec(op).template(template).applies(device, prepared.shape) is not None:
            continue
        outcome = stand_up(device, template, prepared, params=params).judge()
        assert outcome.ok, f"{op} {template} {params} on {case.name}: {outcome.reason}"
        n_checked += 1
    return n_checked
