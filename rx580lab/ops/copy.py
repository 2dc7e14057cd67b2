"""``out = x``: one read and one write of everything, the plainest bandwidth roof. Kernels: ``kernels/copy.cl``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import load_kernel
from rx580lab.device import Array, Device
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
from rx580lab.ops.sizing import WAVEFRONT, ceil_div, checked_count, fitted_group, plain_sizes, wants_wavefronts

__all__ = ["SPEC", "copy", "plan"]


def copy(
    device: Device,
    x: Array | npt.NDArray[np.float32],
    *,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``out[i] = x[i]`` for fp32 of any shape, bit for bit.

    numpy in gives numpy out; an Array in gives an Array out. ``out`` must not overlap ``x``.
    Raises DtypeError for other element types, ShapeError when ``out`` does not fit.
    """
    return given_back(plan(device, x, out=out, template=template, params=params), x)


def plan(
    device: Device,
    x: Array | npt.NDArray[np.float32],
    *,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launch that ``copy`` runs, bound once, for running many times."""
    source = as_array(device, "copy", "x", x)
    target = output(device, "copy", out, source.shape)
    shape = _shape(source)
    n = shape["N"]
    chosen, merged = choose(device, SPEC, shape, template, params)
    if chosen.name == "gpu":
        merged = fitted_group(device, merged, params)
    if n == 0:
        return Plan("copy", chosen.name, merged, (), target)
    kernel = load_kernel(device, chosen.source, f"copy_{chosen.name}", merged)
    sizes = stream_sizes(device, chosen.name, merged, n)
    return Plan("copy", chosen.name, merged, (kernel.bind(*sizes, source, target, np.uint32(n)),), target)


def _shape(x: Array | npt.NDArray[np.float32]) -> dict[str, int]:
    return {"N": checked_count("copy", x.size)}


def stream_sizes(device: Device, template: str, params: Params, n: int) -> tuple[tuple[int], tuple[int]]:
    """Global and local size of an elementwise template over n elements."""
    if template == "gpu":
        group = params["WG_X"]
        return (ceil_div(n, group * params["VEC"] * params["PER_ITEM"]) * group,), (group,)
    if template == "cpu":
        return (ceil_div(n, params["TILE"]),), (1,)
    return plain_sizes(device, n)


def stream_templates(op: str, per_item: int) -> tuple[Template, ...]:
    """The three templates of an elementwise op whose kernels lie in ``kernels/<op>.cl``."""
    whole = Constraint(f"WG_X to be a multiple of {WAVEFRONT}", lambda p: p["WG_X"] % WAVEFRONT == 0)
    return (
        Template(
            name="plain",
            source=op,
            space={},
            default={},
            precondition="always; one work-item per element",
        ),
        Template(
            name="gpu",
            source=op,
            space={"WG_X": (64, 128, 256), "VEC": (4, 8, 16), "PER_ITEM": (1, 2, 4, 8)},
            default={"WG_X": 256, "VEC": 4, "PER_ITEM": per_item},
            constraints=(whole,),
            precondition=f"work-groups of {WAVEFRONT} or more; whole wavefronts that load neighbouring vectors",
            applies=wants_wavefronts,
            preferred_class="gpu",
        ),
        Template(
            name="cpu",
            source=op,
            space={"VEC": (8, 16), "TILE": (16384, 65536, 262144), "STREAM_FROM": (2097152, 8388608, 33554432)},
            default={"VEC": 16, "TILE": 65536, "STREAM_FROM": 8388608},
            precondition="always; work-groups of one that walk TILE elements, past the caches from STREAM_FROM on",
            preferred_class="cpu",
        ),
    )


def _cost(shape: Shape) -> Cost:
    return Cost(bytes=8 * shape["N"], flop=0)


SPEC = OpSpec(
    name="copy",
    summary="out = x: 1 read + 1 write of N floats",
    templates=stream_templates("copy", per_item=4),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
