"""What ops on int8 give their kernels alike: zero points, biases and scales with their steps, the output's type."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.plan import as_array

__all__ = ["OUTPUTS", "Vector", "flip", "lowest_of", "output_type", "vector"]

# What OUTPUT means in include/requantize.h; both kinds of bytes are one program.
OUTPUTS = {np.dtype(np.int32): 0, np.dtype(np.float32): 1, np.dtype(np.int8): 2, np.dtype(np.uint8): 2}

Vector = Array | npt.NDArray[Any] | None


def output_type(where: str, dtype: npt.DTypeLike, zero_point: int) -> np.dtype[Any]:
    """``dtype``, checked with the zero point that goes with it."""
    kind = np.dtype(dtype)
    if kind not in OUTPUTS:
        raise DtypeError(where, f"expected an output of {' or '.join(map(str, OUTPUTS))}, got {kind}")
    low, high = (np.iinfo(kind).min, np.iinfo(kind).max) if kind.itemsize == 1 else (0, 0)
    if not low <= zero_point <= high:
        raise InputError(where, f"expected an out_zero_point of {low} to {high} for {kind}, got {zero_point}")
    return kind


def lowest_of(kind: np.dtype[Any]) -> np.int32:
    """The least value of an output of bytes; 0 of the others, where no kernel reads it."""
    return np.int32(np.iinfo(kind).min if kind.itemsize == 1 else 0)


def flip(matrix: Array) -> np.int32:
    """What turns a byte's bits into its value plus a constant that its zero point shares."""
    return np.int32(128 if matrix.dtype == np.int8 else 0)


def vector(
    device: Device, where: str, name: str, value: Vector, dtype: npt.DTypeLike, length: int | None, default: int
) -> tuple[Array, np.int32]:
    """The values, and the step between them: 0 if one serves all. ``length`` None asks for one."""
    if value is None:
        return device.constant(np.full(1, default, dtype)), np.int32(0)
    found = as_array(device, where, name, value, dtype)
    if found.size == 1 and found.ndim <= 1:
        return found, np.int32(0)
    if length is None or found.shape != (length,):
        wanted = "one value" if length is None else f"one value or ({length},)"
        raise ShapeError(where, f"expected {name} of {wanted}, got shape {found.shape}")
    return (found if found.size else device.zeros(1, dtype)), np.int32(1)
