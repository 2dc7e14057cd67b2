"""CLBlast through its C interface: its kernels run on our queue and buffers, with the parameters it ships."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from rx580lab.device import Device
from rx580lab.errors import MeasureError
from rx580lab.measure import Contestant
from rx580lab.peers.entrant import NONE, Entrant, Inputs, Keywords, checked_matrices
from rx580lab.reference import poison

__all__ = ["OPS", "entrant", "unavailable"]

OPS = ("gemm",)
LIBRARY = "libclblast.so.1"
# Values of CLBlastLayout and CLBlastTranspose in clblast_c.h.
ROW_MAJOR, NOT_TRANSPOSED = 101, 111


def unavailable(device: Device) -> str | None:
    """None where the library is installed; a simulator is left alone, since it would need minutes per call."""
    if device.info.is_simulator:
        return f"{device.selector} is a simulator, on which CLBlast takes minutes per call"
    try:
        _library()
    except OSError as error:
        return f"{LIBRARY} cannot be loaded ({error}); on Debian: apt-get install libclblast1"
    return None


def entrant(device: Device, op: str, inputs: Inputs, keywords: Keywords = NONE) -> Entrant:
    """``CLBlastSgemm`` on copies of ``inputs``. Its first call builds its kernels: up to a minute on PoCL."""
    host_a, host_b = checked_matrices("clblast", op, OPS, unavailable(device), inputs, keywords)
    a, b = device.upload(host_a), device.upload(host_b)
    (m, k), n = host_a.shape, host_b.shape[1]
    blank = poison((m, n), np.float32)
    out = device.upload(blank)
    queue = ctypes.c_void_p(device.queue_int_ptr)
    sgemm = _library().CLBlastSgemm

    def run() -> None:
        # alpha = 1, beta = 0; (buffer, offset, leading dimension) for each matrix; no event wanted.
        status = sgemm(
            ROW_MAJOR, NOT_TRANSPOSED, NOT_TRANSPOSED, m, n, k,
            1.0, a.int_ptr, 0, k, b.int_ptr, 0, n, 0.0, out.int_ptr, 0, n,
            ctypes.byref(queue), None,
        )  # fmt: skip
        if status != 0:
            raise MeasureError("clblast", f"expected CLBlastSgemm to return 0, got {status} for {m}x{n}x{k}")

    def spoil() -> None:
        out.write(blank)

    contestant = Contestant(
        name="clblast",
        label="CLBlast, untuned",
        role="peer",
        run=run,
        sync=device.finish,
        output=out.download,
    )
    return Entrant(contestant, spoil, f"clblast: {LIBRARY}, parameters as shipped")


@cache
def _library() -> Any:
    """The library with the signature of the one function that is called. OSError if it is not installed."""
    library = ctypes.CDLL(LIBRARY)
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    matrix: list[Any] = [pointer, size, size]
    library.CLBlastSgemm.argtypes = [
        *[ctypes.c_int] * 3, *[size] * 3, ctypes.c_float, *matrix, *matrix, ctypes.c_float, *matrix,
        ctypes.POINTER(pointer), pointer,
    ]  # fmt: skip
    library.CLBlastSgemm.restype = ctypes.c_int
    return library
