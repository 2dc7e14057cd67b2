"""Oracle of ``reduce``: numpy's reductions in float64, and integers exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "reduce", "reduce_tolerance"]

ORACLE = (
    "numpy's reductions in float64, integers exactly; definitions after https://onnx.ai/onnx/operators/, error bounds "
    "after N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM 2002, chapter 4"
)

AnyArray = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_U = 2.0**-24
_TINY = 2.0**-126


def _axes(x: AnyArray, axes: Sequence[int] | int | None) -> tuple[int, ...]:
    if axes is None:
        return tuple(range(x.ndim))
    given = [axes] if isinstance(axes, (int, np.integer)) else list(axes)
    return tuple(sorted(int(axis) % x.ndim for axis in given))


def _rows(x: AnyArray, axes: tuple[int, ...]) -> AnyArray:
    """What is reduced as the last axis, and only there."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    moved = np.transpose(x, (*kept, *axes))
    return moved.reshape(*(x.shape[axis] for axis in kept), math.prod(x.shape[axis] for axis in axes))


def reduce(
    x: AnyArray,
    *,
    function: str = "sum",
    axes: Sequence[int] | int | None = None,
    keepdims: bool = True,
    select_last_index: bool = False,
) -> AnyArray:
    """``x`` reduced over ``axes``: float64 for floats, else x's dtype, which wraps; int64 for argmax and argmin."""
    given = np.asarray(x)
    reduced = _axes(given, axes)
    rows = _rows(given, reduced)
    with np.errstate(all="ignore"):
        if function in ("argmax", "argmin"):
            value = _places(rows, function, select_last_index)
        elif rows.dtype.kind == "f":
            value = _of_floats(rows.astype(np.float64), function)
        else:
            value = _of_wholes(rows, function)
    if keepdims:
        value = value.reshape([1 if axis in reduced else n for axis, n in enumerate(given.shape)])
    return value


def _places(rows: AnyArray, function: str, last: bool) -> AnyArray:
    find = np.argmax if function == "argmax" else np.argmin
    if last:
        return np.asarray(rows.shape[-1] - 1 - find(rows[..., ::-1], axis=-1), np.int64)
    return np.asarray(find(rows, axis=-1), np.int64)


def _of_floats(rows: Floats, function: str) -> Floats:
    if function == "max":
        return np.asarray(rows.max(axis=-1, initial=-np.inf))
    if function == "min":
        return np.asarray(rows.min(axis=-1, initial=np.inf))
    if function == "prod":
        return np.asarray(rows.prod(axis=-1))
    if function == "log_sum_exp":
        top = rows.max(axis=-1, initial=-np.inf)
        shift = np.where(np.isfinite(top), top, 0.0)
        value = np.log(np.exp(rows - shift[..., None]).sum(axis=-1)) + shift
        return np.asarray(np.where(np.isfinite(top), value, top))
    mapped = {"l1": np.abs, "l2": np.square, "sum_square": np.square}.get(function, np.asarray)(rows)
    total = np.asarray(mapped.sum(axis=-1))
    if function == "mean":
        return np.asarray(total / rows.shape[-1])
    return np.sqrt(total) if function == "l2" else total


def _of_wholes(rows: AnyArray, function: str) -> AnyArray:
    ends = np.iinfo(rows.dtype)
    if function == "max":
        return np.asarray(rows.max(axis=-1, initial=ends.min))
    if function == "min":
        return np.asarray(rows.min(axis=-1, initial=ends.max))
    if function == "prod":
        return np.asarray(rows.prod(axis=-1, dtype=rows.dtype))
    mapped = {"l1": np.abs, "sum_square": np.square}.get(function, np.asarray)(rows)
    return np.asarray(mapped.sum(axis=-1, dtype=rows.dtype))


def reduce_tolerance(
    x: AnyArray,
    *,
    function: str = "sum",
    axes: Sequence[int] | int | None = None,
    keepdims: bool = True,
    **_others: object,
) -> AnyArray | float:
    """0 for integers, places and extremes; else, with u = 2**-24, n elements to a result and p axes that are reduced:

    * a sum: k u of the sum of sizes, k = min(n + p, n / 64 + 128 p). An implementation must add up in blocks or in
      parallel: one chain of n additions may exceed it. A square adds u, the mean 5 u, the root 6 u and halves the rest;
    * a product: (n + p) u;
    * log_sum_exp: what a relative error of the sum of exponentials does to its logarithm, once for each axis: k u,
      exp's 4 u, and u |x - max| weighted by the exponentials; then OpenCL's 6 u of the logarithm, and the last sum.

    On top, 2**-126 for each element, since subnormal numbers may flush to 0; for fp16 storage its rounding.
    """
    given = np.asarray(x)
    if given.dtype.kind != "f" or function in ("argmax", "argmin"):
        return 0.0
    reduced = _axes(given, axes)
    rows = _rows(given, reduced).astype(np.float64)
    value = reduce(given, function=function, axes=axes, keepdims=False)
    n, p = rows.shape[-1], max(len(reduced), 1)
    with np.errstate(all="ignore"):
        bound = _bound(rows, value, function, n, p) * (1 + 2.0**-10) + 2 * (n + 1) * _TINY
        if given.dtype == np.float16:
            bound = bound + (np.abs(value) + bound) * 2.0**-11 + 2.0**-25
        bound = np.where(np.isfinite(value), bound, 0.0)
    return bound.reshape(reduce(given, function=function, axes=axes, keepdims=keepdims).shape)


def _bound(rows: Floats, value: Floats, function: str, n: int, p: int) -> Floats:
    k = min(n + p, n / 64 + 128 * p)
    if function in ("max", "min"):
        return np.zeros(value.shape)
    if function == "prod":
        return np.abs(value) * ((n + p) * _U)
    if function == "log_sum_exp":
        top = rows.max(axis=-1, initial=-np.inf)
        distance = np.where(np.isfinite(rows), top[..., None] - rows, 0.0)
        weighted = (np.exp(rows - value[..., None]) * distance).sum(axis=-1)
        size = np.abs(value) + np.abs(top)
        return np.asarray(p * _U * (k + 5 + weighted) + 6 * _U * np.abs(value - top) + 2 * p * _U * size)
    if function in ("sum", "l1", "mean"):
        total = np.abs(rows).sum(axis=-1)
        return np.asarray(total * (k * _U) if function != "mean" else total / n * ((k + 5) * _U))
    squares = np.square(rows).sum(axis=-1) * ((k + 1) * _U)
    return np.asarray(
        squares if function == "sum_square" else squares / np.where(value > 0, 2 * value, 1.0) + 6 * _U * value
    )
