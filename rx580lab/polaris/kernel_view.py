"""What the card would run of an op: one view for each kernel that its templates build."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from rx580lab.device import Device, open_device
from rx580lab.ops import spec
from rx580lab.ops.plan import Params
from rx580lab.polaris.builds import PlannedKernel, gpu_templates, planned_kernels
from rx580lab.polaris.checks import Fault, faults_of
from rx580lab.polaris.cycles import Mix, Pressure, instruction_mix, pressure
from rx580lab.polaris.isa import Loop, Resources, parse_kernel
from rx580lab.polaris.occupancy import Occupancy, occupancy
from rx580lab.polaris.toolchain import Compiled, compile_build

__all__ = ["NOT_RUN", "KernelView", "KernelViews", "LoopView", "view", "view_kernel"]

NOT_RUN = (
    "Compiled and counted only: nothing ran on a card, where a driver compiles by itself and may choose otherwise."
)
_MACRO = re.compile(r"^#define (\w+) (.*)$", re.MULTILINE)
# Compilers that run at once: a laptop's cores, beside whatever else goes on.
_COMPILERS = 2


@dataclass(frozen=True)
class LoopView:
    """An innermost loop, one turn of it through all of its blocks. ``label`` is its place in the assembly."""

    label: str
    mix: Mix
    pressure: Pressure

    @property
    def multiply_add_share(self) -> float:
        """Multiply-adds among all instructions."""
        return self.mix.multiply_add / self.mix.total


@dataclass(frozen=True)
class KernelView:
    """One kernel as clang makes it for gfx803. Nothing of it was run.

    Attributes:
        op, template, kernel, source: where it comes from; ``macros``: what the launcher defined for it.
        compiler: clang's version. options: what it got beside our target.
        group: work-items of a work-group per dimension. lds_bytes: local memory of a group, declared and by argument.
        resources: registers, scratch and spills of a work-item. occupancy: wavefronts per SIMD.
        mix: instructions of the whole kernel, each counted once. loops: the innermost ones.
        faults: the checks that failed; with any, the figures describe no kernel that should run.
        isa: the assembly.
    """

    op: str
    template: str
    kernel: str
    source: str
    macros: dict[str, str]
    compiler: str
    options: tuple[str, ...]
    group: tuple[int, ...]
    lds_bytes: int
    resources: Resources
    occupancy: Occupancy
    mix: Mix
    loops: tuple[LoopView, ...]
    faults: tuple[Fault, ...]
    isa: str = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return not self.faults

    @property
    def hot_loop(self) -> LoopView | None:
        """The innermost loop with most multiply-adds, and among those with most instructions; None without loops."""
        return max(self.loops, key=lambda loop: (loop.mix.multiply_add, loop.mix.total), default=None)

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, dicts, strings and numbers; without the assembly."""
        known = {name: value for name, value in asdict(self).items() if name not in {"isa", "loops"}}
        hot = self.hot_loop
        return {
            **known,
            "loops": [_loop_dict(loop) for loop in self.loops],
            "hot_loop": None if hot is None else hot.label,
            "ok": self.ok,
            "contraction": "a*b+c becomes one instruction, as clang does for OpenCL and include/mac.h asks",
            "note": NOT_RUN,
        }

    def _repr_html_(self) -> str:
        from rx580lab.polaris.show import kernel_html

        return kernel_html(self)


class KernelViews(list[KernelView]):
    """The views of an op; a notebook shows them as one table."""

    def _repr_html_(self) -> str:
        from rx580lab.polaris.show import views_html

        return views_html(self)


def view(
    op: str, templates: Sequence[str] | None = None, *, params: Params | None = None, device: Device | None = None
) -> KernelViews:
    """Compiles what the templates of ``op`` build for its small and edge cases, all but those for processors.

    ``params`` are macros over the defaults, as ops take them; they must fit each of the templates. ``device`` is where
    launches are planned, and not what is compiled for: by default PoCL, held to an RX 580's limits. The code is kept
    in the user's cache, so a second look is quick.

    Raises InputError for an unknown op or template or illegal parameters, CompilerUnavailable without ziglang,
    BuildError when a kernel does not compile. A failed check does not raise: see ``KernelView.faults``.
    """
    found = spec(op)
    chosen = gpu_templates(found, templates)
    planner = open_device("pocl", limits="rx580") if device is None else device
    planned = [kernel for template in chosen for kernel in planned_kernels(found, template, planner, params)]
    builds = list(dict.fromkeys(kernel.build for kernel in planned))
    with ThreadPoolExecutor(_COMPILERS) as pool:
        compiled = dict(zip(builds, pool.map(compile_build, builds), strict=True))
    return KernelViews(view_kernel(op, kernel, compiled[kernel.build]) for kernel in planned)


def view_kernel(op: str, planned: PlannedKernel, compiled: Compiled) -> KernelView:
    """The figures of one compiled kernel."""
    build = planned.build
    code = parse_kernel(compiled.isa, build.entry)
    found = code.resources
    group = planned.group or found.group or (found.max_group,)
    lds_bytes = found.lds_bytes + planned.dynamic_lds_bytes
    return KernelView(
        op=op,
        template=planned.template,
        kernel=build.entry,
        source=build.where,
        macros=dict(_MACRO.findall(build.text.partition("#line ")[0])),
        compiler=compiled.compiler,
        options=build.options,
        group=group,
        lds_bytes=lds_bytes,
        resources=found,
        occupancy=occupancy(found.vgprs, found.sgprs, lds_bytes, math.prod(group)),
        mix=instruction_mix(code.instructions),
        loops=tuple(map(_loop_view, code.loops)),
        faults=faults_of(compiled, code),
        isa=code.text,
    )


def _loop_view(loop: Loop) -> LoopView:
    return LoopView(loop.label, instruction_mix(loop.instructions), pressure(loop.instructions))


def _loop_dict(loop: LoopView) -> dict[str, Any]:
    return {**asdict(loop), "instructions": loop.mix.total, "multiply_add_share": loop.multiply_add_share}
