"""Is a result right? One comparison for tests, selftest, measurements and reports.

The order is fixed, because each question only makes sense when the one before it was answered:

1. **finite**: NaN and infinities stand exactly where the oracle has them, infinities with the same sign;
2. **sentinels**: the guard regions before and after the output still hold their pattern;
3. **dtype and shape**;
4. **error**: no value is further from the oracle than its own tolerance.

An output buffer is poisoned with the sentinel before the kernel runs, so a value that the kernel never wrote is
told apart from a NaN that the kernel computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.errors import InputError

__all__ = ["Outcome", "Sentinels", "compare", "is_sentinel", "poison", "sentinel_of"]

AnyArray = npt.NDArray[Any]

# A quiet NaN (so that no load or store may change it) with a payload that no arithmetic unit produces by itself.
_NAN_BITS = {2: 0x7E5D, 4: 0x7FC5_EEDB, 8: 0x7FF8_5EED_BEEF_5EED}
_INTEGER_BYTE = 0xA5


@dataclass(frozen=True)
class Outcome:
    """What a comparison found. ``None`` stands for a figure that could not be computed, never 0.

    ``max_abs_error`` and ``max_rel_error`` cover the finite values (relative error where the oracle is not 0);
    ``worst_share`` is the largest error as a share of its own tolerance: at most 1 when ``ok``.
    """

    ok: bool
    reason: str | None
    max_abs_error: float | None
    max_rel_error: float | None
    worst_share: float | None
    n_values: int


@dataclass(frozen=True)
class Sentinels:
    """The guard regions around an output, read back after the kernel ran; each was filled by ``poison``."""

    before: AnyArray
    after: AnyArray

    def damage(self) -> str | None:
        """What was written into a guard region, or None when both are intact."""
        for region, where in ((self.after, "after the end"), (self.before, "before the start")):
            changed = np.flatnonzero(~is_sentinel(region).reshape(-1))
            if changed.size == 0:
                continue
            nearest = int(changed[0]) if region is self.after else region.size - 1 - int(changed[-1])
            return (
                f"wrote {where} of the output: {changed.size} of {region.size} guard values changed, "
                f"the nearest {nearest + 1} past the edge"
            )
        return None


def sentinel_of(dtype: npt.DTypeLike) -> AnyArray:
    """The sentinel as an array of shape (1,): a NaN with a payload for floats, 0xA5 bytes for the rest."""
    kind = np.dtype(dtype)
    if kind.kind == "f" and kind.itemsize in _NAN_BITS:
        return np.array([_NAN_BITS[kind.itemsize]], dtype=f"u{kind.itemsize}").view(kind)
    return np.full(kind.itemsize, _INTEGER_BYTE, dtype=np.uint8).view(kind)


def poison(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> AnyArray:
    """An array of this shape whose every element is the sentinel, bit for bit."""
    kind = np.dtype(dtype)
    filled = np.empty(shape, dtype=kind)
    # Through bytes: an assignment of NaN may lose the payload.
    filled.reshape(-1).view(np.uint8).reshape(-1, kind.itemsize)[:] = sentinel_of(kind).view(np.uint8)
    return filled


def is_sentinel(values: AnyArray) -> npt.NDArray[np.bool_]:
    """Where ``values`` hold the sentinel of their dtype, bit for bit; the same shape as ``values``."""
    flat = np.ascontiguousarray(values)
    as_bytes = flat.reshape(-1).view(np.uint8).reshape(-1, flat.dtype.itemsize)
    same: npt.NDArray[np.bool_] = (as_bytes == sentinel_of(flat.dtype).view(np.uint8)).all(axis=1)
    return same.reshape(values.shape)


def compare(
    got: AnyArray,
    expected: AnyArray,
    tolerance: float | AnyArray,
    *,
    sentinels: Sentinels | None = None,
    dtype: npt.DTypeLike | None = None,
) -> Outcome:
    """Compare ``got`` with the oracle's ``expected``, value by value.

    ``tolerance`` is absolute, a scalar or one value per element of ``expected``; 0 asks for equality. ``dtype`` is
    what ``got`` must have: by default float32 for a float64 oracle, otherwise the oracle's own. Where the oracle's
    value is beyond the range of that dtype, an infinity of the same sign is right.
    Raises InputError when the tolerance is negative or NaN, or does not broadcast to ``expected``.
    """
    wanted = np.dtype(dtype) if dtype is not None else _result_dtype(expected)
    allowed = _checked_tolerance(tolerance, expected)
    if got.shape == expected.shape:
        reason = _finite_fault(got, expected, wanted)
    else:
        reason = None if np.isfinite(_as_float(got)).all() else "the output holds NaN or infinities"
    if reason is None and sentinels is not None:
        reason = sentinels.damage()
    if reason is None and got.dtype != wanted:
        reason = f"expected dtype {wanted}, got {got.dtype}"
    if reason is None and got.shape != expected.shape:
        reason = f"expected shape {expected.shape}, got {got.shape}"
    if got.shape != expected.shape:
        return Outcome(False, reason, None, None, None, int(got.size))
    return _error_outcome(got, expected, allowed, reason)


def _result_dtype(expected: AnyArray) -> np.dtype[Any]:
    return np.dtype(np.float32) if expected.dtype == np.float64 else expected.dtype


def _checked_tolerance(tolerance: float | AnyArray, expected: AnyArray) -> npt.NDArray[np.float64]:
    try:
        allowed = np.broadcast_to(np.asarray(tolerance, dtype=np.float64), expected.shape)
    except ValueError as error:
        raise InputError("compare", f"expected a tolerance that broadcasts to {expected.shape}: {error}") from error
    judged = allowed[np.isfinite(_as_float(expected))]
    if not (judged >= 0).all():
        raise InputError("compare", "expected tolerances >= 0 wherever the oracle is finite, got a negative or NaN one")
    return allowed


def _as_float(values: AnyArray) -> npt.NDArray[np.float64]:
    # bool, integers up to 32 bits and float16/32 are exact in float64. A bool is its byte: 0 or 1, and nothing else.
    whole = np.ascontiguousarray(values).view(np.uint8).reshape(values.shape) if values.dtype == np.bool_ else values
    return np.asarray(whole, dtype=np.float64)


def _finite_fault(got: AnyArray, expected: AnyArray, wanted: np.dtype[Any]) -> str | None:
    """The first value whose class (finite, NaN, +inf, -inf) is not the oracle's, in words."""
    value = _as_float(got)
    target = _as_float(expected)
    if wanted.kind == "f":
        with np.errstate(over="ignore"):  # the point of the cast is to see what overflows
            target = _as_float(target.astype(wanted))
    agree = (np.isfinite(value) & np.isfinite(target)) | (np.isnan(value) & np.isnan(target)) | (value == target)
    if agree.all():
        return None
    if got.dtype.kind == "f":
        unwritten = ~agree & is_sentinel(got)
        if unwritten.any():
            return f"{_count(unwritten)} never written, the first at {_where(unwritten)}"
    first = tuple(int(i[0]) for i in np.nonzero(~agree))
    return (
        f"{_count(~agree)} not finite where the oracle is, or the reverse: "
        f"at {_where(~agree)} expected {target[first]}, got {value[first]}"
    )


def _error_outcome(got: AnyArray, expected: AnyArray, allowed: npt.NDArray[np.float64], reason: str | None) -> Outcome:
    """The error figures over the values that are finite on both sides; fills in ``reason`` when nothing else failed."""
    value, target = _as_float(got), _as_float(expected)
    finite = np.isfinite(value) & np.isfinite(target)
    error = np.zeros(value.shape)
    error[finite] = np.abs(value[finite] - target[finite])
    if got.dtype.kind in "iu" and expected.dtype.kind in "iu":  # 64-bit ones that differ may be equal in float64
        error = np.maximum(error, got != expected)
    beyond = error > np.where(finite, allowed, np.inf)
    if reason is None and beyond.any():
        worst = _worst(error, allowed, beyond)
        reason = (
            f"{_count(beyond)} beyond tolerance: at {_index(worst)} expected {target[worst]:.9g}, "
            f"got {value[worst]:.9g}, error {error[worst]:.3g} > {allowed[worst]:.3g}"
        )
    if not finite.any():
        # Nothing to measure is a perfect score only when there was nothing wrong either.
        nothing = 0.0 if reason is None else None
        return Outcome(reason is None, reason, nothing, nothing, nothing, int(got.size))
    relative = finite & (target != 0)
    return Outcome(
        ok=reason is None,
        reason=reason,
        max_abs_error=float(error.max()),
        max_rel_error=float((error[relative] / np.abs(target[relative])).max()) if relative.any() else None,
        worst_share=_share(error[finite], allowed[finite]),
        n_values=int(got.size),
    )


def _share(error: npt.NDArray[np.float64], allowed: npt.NDArray[np.float64]) -> float | None:
    """Largest error over tolerance; None when an error stands against a tolerance of 0."""
    exact = allowed == 0
    if (error[exact] > 0).any():
        return None
    return float((error[~exact] / allowed[~exact]).max()) if (~exact).any() else 0.0


def _worst(
    error: npt.NDArray[np.float64], allowed: npt.NDArray[np.float64], beyond: npt.NDArray[np.bool_]
) -> tuple[int, ...]:
    excess = np.where(beyond, error - np.where(beyond, allowed, 0.0), -1.0)
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(excess)), excess.shape))


def _count(mask: npt.NDArray[np.bool_]) -> str:
    return f"{int(np.count_nonzero(mask))} of {mask.size} values"


def _where(mask: npt.NDArray[np.bool_]) -> str:
    return _index(tuple(int(i[0]) for i in np.nonzero(mask)))


def _index(index: tuple[int, ...]) -> str:
    return "[" + ", ".join(str(i) for i in index) + "]"
