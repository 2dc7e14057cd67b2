"""``attention`` as a chain of ops, with a buffer of all scores: what the fused templates must beat."""

from __future__ import annotations

from rx580lab.device import Array, Device
from rx580lab.ops.gemm import plan as plan_gemm
from rx580lab.ops.plan import Plan, Shape
from rx580lab.ops.softmax import plan as plan_softmax

__all__ = ["refusal", "unfused"]


def refusal(_device: Device, shape: Shape) -> str | None:
    """Why the chain cannot run, or None: it has no place for a mask, nor for rows that see nothing."""
    if shape["in_rows"]:
        return "takes heads that lie one after another"
    if shape["itemsize"] != 4:
        return "takes fp32 only: its scores would be rounded to fp16"
    if shape["mask"] or shape["past"] < shape["S"]:
        return "takes neither a mask nor causal attention"
    return None if shape["S"] and shape["D"] else "takes one key and one value a head at least"


def unfused(device: Device, q: Array, k: Array, v: Array, out: Array, scale: float) -> Plan:
    """Scores by ``gemm``, ``softmax`` in place, and ``gemm`` again; heads that share keys are rows of one product."""
    (b, h, t, d), (g, s), e = q.shape, k.shape[1:3], v.shape[3]
    rows = h // g * t
    scores = device.scratch((b, g, rows, s))
    first = plan_gemm(device, q.reshape(b, g, rows, d), k, transpose_b=True, alpha=scale, out=scores)
    second = plan_softmax(device, scores, out=scores)
    third = plan_gemm(device, scores, v, out=out.reshape(b, g, rows, e))
    steps = (first, second, third)
    launches = tuple(launch for step in steps for launch in step.launches)
    workspace = (scores, *(array for step in steps for array in step.workspace))
    return Plan("attention", "unfused", {}, launches, out, workspace)
