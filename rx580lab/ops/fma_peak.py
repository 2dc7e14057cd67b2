"""``v -> v * m + c``, n_steps times on every element: the arithmetic roof. Kernels: ``kernels/fma_peak.cl``.

``m = 1 - 1/(n_steps + 1)`` and ``c = 1/(2 (n_steps + 1))``, in fp32. So values stay between the input and 0.5 and are
ordinary at every step (no subnormals, no overflow), the result still depends on every single step, and the rounding
error stays below n_steps units in the last place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import InputError
from rx580lab.ops.plan import (
    Constraint,
    Cost,
    OpSpec,
    Params,
    Plan,
    Shape,
    Template,
    as_array,
    choose,
    given_back,
    output,
)
from rx580lab.ops.sizing import (
    MAX_ELEMENTS,
    WAVEFRONT,
    checked_count,
    fitted_group,
    plain_sizes,
    too_many_turns,
    wants_wavefronts,
)

__all__ = ["N_STEPS", "SPEC", "fma_peak", "plan"]

# 2048 FLOP for every 8 bytes: far to the right of any ridge point (24 FLOP/B on an RX 580).
N_STEPS = 1024


def fma_peak(
    device: Device,
    x: Array | npt.NDArray[np.float32],
    *,
    n_steps: int = N_STEPS,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """Every element of ``x`` (fp32, any shape) after ``n_steps`` (0 or more) multiply-adds.

    numpy in gives numpy out; an Array in gives an Array out. Raises InputError for a negative ``n_steps``,
    DtypeError for other element types, ShapeError when ``out`` does not fit.
    """
    return given_back(plan(device, x, n_steps=n_steps, out=out, template=template, params=params), x)


def plan(
    device: Device,
    x: Array | npt.NDArray[np.float32],
    *,
    n_steps: int = N_STEPS,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """What ``fma_peak`` runs, bound once, for running many times: whole blocks, and the rest by the plain kernel.

    ``n`` in whole blocks (4096 for gpu, 96 for cpu, by default) makes it one launch.
    """
    source = as_array(device, "fma_peak", "x", x)
    target = output(device, "fma_peak", out, source.shape)
    shape = _shape(source, n_steps=n_steps)
    n = shape["N"]
    chosen, merged = choose(device, SPEC, shape, template, params)
    if chosen.name == "gpu":
        merged = fitted_group(device, merged, params)
    if n == 0:
        return Plan("fma_peak", chosen.name, merged, (), target)
    factor, addend = np.float32(1 - 1 / (n_steps + 1)), np.float32(0.5 / (n_steps + 1))
    arguments = (source, target, factor, addend, np.uint32(n_steps))
    group, block = _block(chosen.name, merged)
    n_whole = n // block
    launches = []
    if n_whole:
        kernel = load_kernel(device, chosen.source, f"fma_peak_{chosen.name}", merged)
        launches.append(kernel.bind((n_whole * group,), (group,), *arguments))
    if n_whole * block < n:
        rest = load_kernel(device, chosen.source, "fma_peak_plain", merged)
        first = n_whole * block
        launches.append(rest.bind(*plain_sizes(device, n - first), *arguments, np.uint32(first), np.uint32(n)))
    return Plan("fma_peak", chosen.name, merged, tuple(launches), target)


def _shape(x: Array | npt.NDArray[np.float32], *, n_steps: int = N_STEPS) -> dict[str, int]:
    if n_steps < 0:
        raise InputError("fma_peak", f"expected n_steps of 0 or more, got {n_steps}")
    return {"N": checked_count("fma_peak", x.size), "STEPS": n_steps}


def _block(template: str, params: Params) -> tuple[int, int]:
    """Work-items of a group, and elements that it takes; the plain template has no whole blocks at all."""
    if template == "gpu":
        return params["WG_X"], params["WG_X"] * params["VEC"] * params["CHAINS"]
    if template == "cpu":
        return 1, params["VEC"] * params["CHAINS"]
    return 1, MAX_ELEMENTS + 1


def _steps_refusal(device: Device, shape: Shape) -> str | None:
    return too_many_turns(device, shape.get("STEPS", N_STEPS) + WAVEFRONT)


def _gpu_refusal(device: Device, shape: Shape) -> str | None:
    return _steps_refusal(device, shape) or wants_wavefronts(device, shape)


def _cost(shape: Shape) -> Cost:
    return Cost(bytes=8 * shape["N"], flop=2 * shape["N"] * shape.get("STEPS", N_STEPS))


SPEC = OpSpec(
    name="fma_peak",
    summary="n_steps multiply-adds on every element, in registers: 2 * n_steps FLOP for 8 bytes",
    templates=(
        Template(
            name="plain",
            source="fma_peak",
            space={},
            default={},
            precondition="always; one dependent chain per work-item",
            applies=_steps_refusal,
        ),
        Template(
            name="gpu",
            source="fma_peak",
            space={"WG_X": (64, 128, 256), "VEC": (4, 8), "CHAINS": (1, 2, 4, 8), "UNROLL_K": (4, 8, 16)},
            default={"WG_X": 256, "VEC": 4, "CHAINS": 4, "UNROLL_K": 8},
            constraints=(
                Constraint(f"WG_X to be a multiple of {WAVEFRONT}", lambda p: p["WG_X"] % WAVEFRONT == 0),
                Constraint("VEC * CHAINS up to 64, to stay in registers", lambda p: p["VEC"] * p["CHAINS"] <= 64),
            ),
            precondition=f"work-groups of {WAVEFRONT} or more; VEC * CHAINS chains per work-item",
            applies=_gpu_refusal,
            preferred_class="gpu",
        ),
        Template(
            name="cpu",
            source="fma_peak",
            space={"VEC": (8, 16), "CHAINS": (4, 6, 8, 10, 12, 14), "UNROLL_K": (4, 8, 16)},
            default={"VEC": 8, "CHAINS": 12, "UNROLL_K": 4},
            precondition="always; work-groups of one, CHAINS vectors in registers",
            applies=_steps_refusal,
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
