"""Which kernels an op really builds: its cases are planned on a device, template by template, and nothing is run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rx580lab.compile import Build
from rx580lab.device import Device
from rx580lab.errors import InputError
from rx580lab.ops import NAMES, OpSpec, Plan, Template
from rx580lab.ops.plan import Params
from rx580lab.selftest import cases

__all__ = ["PlannedKernel", "gpu_templates", "planned_kernels"]


@dataclass(frozen=True)
class PlannedKernel:
    """A build that some launch of a template uses.

    ``group`` is the launch's work-items per dimension, None where the driver would choose; ``dynamic_lds_bytes`` the
    local memory that it passes by argument.
    """

    template: str
    build: Build
    group: tuple[int, ...] | None
    dynamic_lds_bytes: int


def gpu_templates(op: OpSpec, names: Sequence[str] | None = None) -> tuple[Template, ...]:
    """The templates that the card would be given: all that are not shaped for a processor, or those of ``names``.

    One that is made of another op's kernels is left to that op, since which of them it takes follows from the device
    that it is planned on. Raises InputError for an unknown name and for a template of a processor.
    """
    able = tuple(
        template
        for template in op.templates
        if template.preferred_class != "cpu" and (template.source == op.name or template.source not in NAMES)
    )
    chosen = able if names is None else tuple(op.template(name) for name in names)
    for template in chosen:
        if template not in able:
            raise InputError(
                "polaris", f"expected a template of {op.name} for the card among {', '.join(t.name for t in able)}, "
                f"got {template.name!r}, which is for processors or made of other ops",
            )  # fmt: skip
    return chosen


def planned_kernels(
    op: OpSpec, template: Template, device: Device, params: Params | None = None
) -> list[PlannedKernel]:
    """The distinct kernels that ``template`` with ``params`` launches over the op's small and edge cases.

    Raises InputError where it takes none of them (then nothing is known of its kernels), and for illegal parameters.
    """
    found: dict[PlannedKernel, None] = {}
    refusals: list[str] = []
    for plan in _plans(op, template, device, params, refusals):
        for launch in plan.launches:
            found[PlannedKernel(template.name, launch.build, launch.local_size, launch.dynamic_lds_bytes)] = None
    if not found:
        why = refusals[0] if refusals else "no case launches anything"
        raise InputError("polaris", f"expected a case that {op.name} {template.name} takes, got none: {why}")
    return list(found)


def _plans(
    op: OpSpec, template: Template, device: Device, params: Params | None, refusals: list[str]
) -> Iterator[Plan]:
    for case in cases(op.name, ("small", "edge")):
        arrays = case.inputs(np.random.default_rng(0))
        refusal = template.applies(device, op.shape(*arrays, **case.keywords))
        if refusal is None:  # on the device, as selftest has them: some indices would be refused on the host
            held = (None if array is None else device.upload(array) for array in arrays)
            yield op.plan(device, *held, template=template.name, params=params, **case.keywords)
        else:
            refusals.append(f"{case.name}: {refusal}")
