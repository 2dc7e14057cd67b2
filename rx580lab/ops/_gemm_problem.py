"""What a ``gemm`` is asked for: its lengths, its batch, and weights that are packed once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import DtypeError, InputError, ShapeError
from rx580lab.ops.plan import Cost, Shape, as_array
from rx580lab.ops.sizing import MAX_ELEMENTS, ceil_div

__all__ = [
    "PANEL",
    "STORED",
    "Matrix",
    "PackedB",
    "batch_offsets",
    "check_dtypes",
    "cost_of",
    "out_shape",
    "pack_b",
    "pack_launch",
    "panels_of",
    "shape_of",
]

# Kernels add a tile's length to a row or column before they compare it with M, N or K, in 32 bits.
MAX_LENGTH = MAX_ELEMENTS - 2**16
# Columns of a panel of B; fixed in micro_tile.h (NR).
PANEL = 16
# Panels, and rows of them, that a work-item packs; fixed in gemm_cpu.cl.
PACK, PACK_K = 4, 512

STORED = (np.dtype(np.float32), np.dtype(np.float16))


@dataclass(frozen=True)
class PackedB:
    """The right operand of ``gemm`` in the order in which the cpu template reads it; made by ``pack_b``.

    Attributes:
        panels: fp32, (matrices, ceil(N / 16), K, 16).
        shape: (..., K, N), whatever it was before. dtype: what it was before, and what A and C have to be.
    """

    panels: Array
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements, those that fill up the last panel not counted."""
        return math.prod(self.shape)


Matrix = Array | npt.NDArray[Any]


def pack_b(device: Device, b: Matrix, *, transpose_b: bool = False) -> PackedB:
    """``b`` (..., K, N), or (..., N, K) with ``transpose_b``, for many calls of ``gemm(device, a, packed)``.

    For weights on a processor, whose cpu template then skips the copy that it makes of B in each call; the templates
    of GPUs read B in place and have no use for it. Takes fp32 and fp16. Raises DtypeError and ShapeError.
    """
    weights = as_array(device, "gemm", "b", b, *STORED)
    if weights.ndim < 2:
        raise ShapeError("gemm", f"expected b of shape (..., K, N), got {weights.shape}")
    *batch, first, second = weights.shape
    shape = (*batch, second, first) if transpose_b else weights.shape
    _check_lengths(max(shape[-2:]))
    panels = panels_of(device.empty, math.prod(batch), shape[-2], shape[-1])
    if weights.size:
        pack_launch(device, weights, panels, shape[-2], shape[-1], transpose_b).enqueue()
    return PackedB(panels, shape, weights.dtype)


def panels_of(allocate: Callable[[tuple[int, ...]], Array], n_matrices: int, depth: int, n_cols: int) -> Array:
    """Room for the panels of B, by ``Device.empty`` or ``scratch``."""
    return allocate((n_matrices, ceil_div(n_cols, PANEL), depth, PANEL))


def pack_launch(device: Device, b: Array, panels: Array, depth: int, n_cols: int, transpose_b: bool) -> Launch:
    """The launch that copies B, not empty, to its panels."""
    kernel = load_kernel(device, "gemm_cpu", "gemm_cpu_pack", {"PACKED": 1, "HALF": int(b.dtype == np.float16)})
    groups = ceil_div(n_cols, PANEL * PACK), ceil_div(depth, PACK_K), panels.shape[0]
    return kernel.bind(groups, (1, 1, 1), np.int32(n_cols), np.int32(depth), np.int32(transpose_b), b, panels)


def shape_of(
    a: Matrix,
    b: Matrix | PackedB,
    bias: Matrix | None = None,
    residual: Matrix | None = None,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    constant_b: bool = False,
    **_others: Any,
) -> dict[str, int]:
    """Lengths and switches, by which templates and costs judge.

    ``M N K`` of each product, ``B`` products, of ``A`` and ``W`` different matrices on the left and right; the rest 0
    or 1. A batch that shares one B is one product of more rows.
    """
    for name, matrix, letters in (("a", a, "(..., M, K)"), ("b", b, "(..., K, N)")):
        if matrix.ndim < 2:
            raise ShapeError("gemm", f"expected {name} of shape {letters}, got {matrix.shape}")
    packed = isinstance(b, PackedB)
    if packed and (transpose_b or constant_b):
        raise InputError("gemm", "expected a packed b as it is: transpose_b and constant_b are for pack_b")
    n_rows, depth = a.shape[-2:][::-1] if transpose_a else a.shape[-2:]
    b_depth, n_cols = b.shape[-2:][::-1] if transpose_b else b.shape[-2:]
    if depth != b_depth:
        letters = "(..., N, K)" if transpose_b else "(..., K, N)"
        turned = " transposed" if transpose_a else ""
        raise ShapeError(
            "gemm", f"expected b of shape {letters} with K = {depth} as in a {a.shape}{turned}, got {b.shape}"
        )
    _check_lengths(max(n_rows, n_cols, depth))
    batch = _batch(a, b)
    _check_terms(bias, residual, (*batch, n_rows, n_cols))
    products, n_left, n_right = math.prod(batch), math.prod(a.shape[:-2]), math.prod(b.shape[:-2])
    if n_right == 1 and n_left == products and not transpose_a:
        n_rows, products, n_left = n_rows * products, 1, 1
        _check_lengths(n_rows)
    return {
        "M": n_rows,
        "N": n_cols,
        "K": depth,
        "B": products,
        "A": n_left,
        "W": n_right,
        "transpose_a": int(transpose_a),
        "transpose_b": int(transpose_b),
        "half": int(a.dtype == np.float16),
        "packed": int(packed),
        "constant_b": int(constant_b),
        "bias": int(bias is not None),
        "residual": int(residual is not None),
    }


def _check_lengths(longest: int) -> None:
    if longest > MAX_LENGTH:
        raise ShapeError("gemm", f"expected M, N and K of at most {MAX_LENGTH:,}, got {longest:,}")


def _batch(a: Matrix, b: Matrix | PackedB) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ShapeError(
            "gemm", f"expected batch axes that broadcast, got {a.shape[:-2]} of a and {b.shape[:-2]} of b"
        ) from None


def _check_terms(bias: Matrix | None, residual: Matrix | None, wanted: tuple[int, ...]) -> None:
    if bias is not None and bias.shape != wanted[-1:]:
        raise ShapeError("gemm", f"expected bias of shape (N,) = {wanted[-1:]}, got {bias.shape}")
    if residual is not None and residual.shape != wanted:
        raise ShapeError("gemm", f"expected residual of shape {wanted}, as the result, got {residual.shape}")


def out_shape(
    a: Matrix, b: Matrix | PackedB, *, transpose_a: bool = False, transpose_b: bool = False
) -> tuple[int, ...]:
    """(..., M, N), of operands that ``shape_of`` has checked."""
    return (*_batch(a, b), a.shape[-1 if transpose_a else -2], b.shape[-2 if transpose_b else -1])


def check_dtypes(a: Array, b: Array | PackedB, bias: Array | None, residual: Array | None) -> None:
    """DtypeError unless all are of a's element type."""
    for name, one in (("b", b), ("bias", bias), ("residual", residual)):
        if one is not None and one.dtype != a.dtype:
            raise DtypeError("gemm", f"expected {name} of {a.dtype}, as a is, got {one.dtype}")


def batch_offsets(a: Matrix, b: Matrix | PackedB, shape: Shape, *, panels: bool) -> npt.NDArray[np.int64]:
    """(products, 2): where each product's A and B start, in elements, B's in its ``panels`` if so asked."""
    if shape["B"] == 1:
        return np.zeros((1, 2), np.int64)
    batch = _batch(a, b)
    right = shape["K"] * (ceil_div(shape["N"], PANEL) * PANEL if panels else shape["N"])
    sides = ((a.shape[:-2], shape["M"] * shape["K"]), (b.shape[:-2], right))
    starts = [
        np.broadcast_to(np.arange(math.prod(axes), dtype=np.int64).reshape(axes) * size, batch).ravel()
        for axes, size in sides
    ]
    return np.stack(starts, axis=1)


def cost_of(shape: Shape) -> Cost:
    """Each different matrix read once, C written once; a residual is read as well."""
    m, n, k = shape["M"], shape["N"], shape["K"]
    products = shape.get("B", 1)
    elements = shape.get("A", 1) * m * k + shape.get("W", 1) * k * n + products * m * n * (1 + shape.get("residual", 0))
    width = 2 if shape.get("half", 0) else 4
    return Cost(bytes=width * (elements + shape.get("bias", 0) * n), flop=2 * products * m * n * k)
