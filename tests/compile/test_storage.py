"""``include/storage.h``: fp16 in memory is widened exactly and rounded to the nearest even, at every width."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rx580lab.compile import expanded_source, load_sources
from rx580lab.device import Device, open_device

WIDTHS = ("", "2", "4", "8", "16")
# x and y may start at any element, so the walk does too.
SOURCE = """
#include "storage.h"
typedef float float_u;
#define WALK(width, n)                                                                        \\
  __kernel void widen##width(const __global stored *x, __global float *y, const uint last) {  \\
    for (uint i = 1; i + n <= last; i += n)                                                   \\
      *(__global float##width##_u *)(y + i) = READ##width(x + i);                             \\
  }                                                                                           \\
  __kernel void narrow##width(const __global float *x, __global stored *y, const uint last) { \\
    for (uint i = 1; i + n <= last; i += n)                                                   \\
      WRITE##width(*(const __global float##width##_u *)(x + i), y + i);                       \\
  }
WALK(, 1)
WALK(2, 2)
WALK(4, 4)
WALK(8, 8)
WALK(16, 16)
"""


def walked(device: Device, entry: str, half: int, x: npt.NDArray[Any], out: npt.DTypeLike) -> npt.NDArray[Any]:
    """What the kernel makes of the values: they lie from element 1 on, in a whole number of the widest vectors."""
    padded = np.concatenate([x[:1], x, np.zeros(-x.size % 16, x.dtype)])
    kernels = load_sources(device, expanded_source(SOURCE, "storage test", {"HALF": half}), where="storage test")
    y = device.empty(padded.shape, out)
    kernels[entry].launch((1,), (1,), device.upload(padded), y, np.uint32(padded.size))
    return y.download()[1 : 1 + x.size]


def every_half() -> npt.NDArray[np.float16]:
    return np.arange(1 << 16, dtype=np.uint16).view(np.float16)


def around_every_half() -> npt.NDArray[np.float32]:
    """Each finite fp16 value, the middle between neighbours, the fp32 numbers next to it; overflow, NaN, infinities."""
    halves = every_half()
    exact = np.sort(halves[np.isfinite(halves)].astype(np.float32))
    middle = (exact[:-1] + exact[1:]) / np.float32(2)
    inf = np.float32(np.inf)
    rest = np.array([65519.996, 65520, 1e6, -65520, 3e38, np.inf, -np.inf, np.nan, 1e-8, -1e-45, 2**-25], np.float32)
    return np.concatenate([exact, middle, np.nextafter(middle, inf), np.nextafter(middle, -inf), rest])


@pytest.mark.parametrize("width", WIDTHS)
def test_every_half_is_widened_exactly(pocl: Device, width: str) -> None:
    x = every_half()
    np.testing.assert_array_equal(walked(pocl, f"widen{width}", 1, x, np.float32), x.astype(np.float32))


@pytest.mark.parametrize("width", WIDTHS)
def test_narrowing_rounds_to_the_nearest_even(pocl: Device, width: str) -> None:
    x = around_every_half()
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16)
    np.testing.assert_array_equal(walked(pocl, f"narrow{width}", 1, x, np.float16), expected)


@pytest.mark.parametrize("width", WIDTHS)
def test_fp32_keeps_every_bit(pocl: Device, width: str) -> None:
    x = around_every_half()
    for entry in (f"widen{width}", f"narrow{width}"):
        np.testing.assert_array_equal(walked(pocl, entry, 0, x, np.float32).view(np.uint32), x.view(np.uint32))


@pytest.mark.parametrize("width", WIDTHS)
def test_without_x86_instructions_it_is_the_same(width: str) -> None:
    simulator = open_device("oclgrind")  # its compiler knows no __F16C__: the path of the card
    x = every_half()[::97]
    np.testing.assert_array_equal(walked(simulator, f"widen{width}", 1, x, np.float32), x.astype(np.float32))
    wide = around_every_half()[::397]
    with np.errstate(over="ignore"):
        expected = wide.astype(np.float16)
    np.testing.assert_array_equal(walked(simulator, f"narrow{width}", 1, wide, np.float16), expected)
