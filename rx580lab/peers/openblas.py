"""OpenBLAS, as numpy's wheels bring it: ``np.matmul`` on host arrays, with as many threads as it was started with."""

from __future__ import annotations

from typing import Any

import numpy as np
import threadpoolctl

from rx580lab.device import Device
from rx580lab.measure import Contestant
from rx580lab.peers.entrant import NONE, Entrant, Inputs, Keywords, checked_matrices, checked_operands
from rx580lab.reference import poison

__all__ = ["OPS", "entrant", "unavailable"]

OPS = ("gemm", "gemv")


def unavailable(_device: Device) -> str | None:
    """None where numpy is linked to OpenBLAS; it runs on the host, whatever the device."""
    if _library() is not None:
        return None
    return "numpy is linked to another BLAS here; pip install --force-reinstall numpy brings one with OpenBLAS"


def entrant(device: Device, op: str, inputs: Inputs, keywords: Keywords = NONE) -> Entrant:
    """``np.matmul(a, b, out=c)``; for a ``gemv`` w @ x, or x @ w.T where x holds several vectors.

    Its threads follow OPENBLAS_NUM_THREADS, which must be set before numpy loads.
    """
    if op == "gemv":
        w, x = checked_operands("openblas", op, OPS, unavailable(device), inputs, keywords)
        a, b = (w, x) if x.ndim == 1 else (x, w.T)
        shape = (*x.shape[:-1], w.shape[0])
    else:
        a, b = checked_matrices("openblas", op, OPS, unavailable(device), inputs, keywords, views=True)
        shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    out = poison(shape, np.float32)
    blank = out.copy()
    library = _library() or {}
    what = f"OpenBLAS {library.get('version')}, {library.get('architecture')} kernels"

    def run() -> None:
        np.matmul(a, b, out=out)  # no events to return: it ran on the host

    contestant = Contestant(
        name="openblas",
        label=f"numpy matmul, {what}",
        role="peer",
        run=run,
        sync=lambda: None,
        output=out.copy,
    )
    note = f"openblas: {what}, threads {library.get('num_threads')}"
    return Entrant(contestant, lambda: np.copyto(out, blank), note)


def _library() -> dict[str, Any] | None:
    """What threadpoolctl knows of the OpenBLAS that numpy loaded; None if it loaded none."""
    found = threadpoolctl.threadpool_info()
    return next((entry for entry in found if entry.get("internal_api") == "openblas"), None)
