"""``out = a + s * b``: two reads and one write, STREAM's bandwidth roof. Kernels: ``kernels/triad.cl``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import ShapeError
from rx580lab.ops.copy import stream_sizes, stream_templates
from rx580lab.ops.plan import Cost, OpSpec, Params, Plan, Shape, as_array, choose, given_back, output
from rx580lab.ops.sizing import checked_count, fitted_group

__all__ = ["SPEC", "plan", "triad"]

SCALAR = 3.0  # STREAM's own


def triad(
    device: Device,
    a: Array | npt.NDArray[np.float32],
    b: Array | npt.NDArray[np.float32],
    *,
    s: float = SCALAR,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """``out[i] = a[i] + s * b[i]`` for fp32 of any one shape; ``s`` is rounded to fp32.

    numpy in gives numpy out; an Array in gives an Array out. ``out`` must not overlap ``a`` or ``b``.
    Raises DtypeError for other element types, ShapeError when shapes differ.
    """
    return given_back(plan(device, a, b, s=s, out=out, template=template, params=params), a, b)


def plan(
    device: Device,
    a: Array | npt.NDArray[np.float32],
    b: Array | npt.NDArray[np.float32],
    *,
    s: float = SCALAR,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launch that ``triad`` runs, bound once, for running many times."""
    first = as_array(device, "triad", "a", a)
    second = as_array(device, "triad", "b", b)
    shape = _shape(first, second)
    target = output(device, "triad", out, first.shape)
    n = shape["N"]
    chosen, merged = choose(device, SPEC, shape, template, params)
    if chosen.name == "gpu":
        merged = fitted_group(device, merged, params)
    if n == 0:
        return Plan("triad", chosen.name, merged, (), target)
    kernel = load_kernel(device, chosen.source, f"triad_{chosen.name}", merged)
    sizes = stream_sizes(device, chosen.name, merged, n)
    launch = kernel.bind(*sizes, first, second, target, np.float32(s), np.uint32(n))
    return Plan("triad", chosen.name, merged, (launch,), target)


def _shape(
    a: Array | npt.NDArray[np.float32], b: Array | npt.NDArray[np.float32], **_keywords: float
) -> dict[str, int]:
    if a.shape != b.shape:
        raise ShapeError("triad", f"expected a and b of one shape, got {a.shape} and {b.shape}")
    return {"N": checked_count("triad", a.size)}


def _cost(shape: Shape) -> Cost:
    return Cost(bytes=12 * shape["N"], flop=2 * shape["N"])


SPEC = OpSpec(
    name="triad",
    summary="out = a + s * b: 2 reads + 1 write of N floats",
    templates=stream_templates("triad", per_item=2),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
