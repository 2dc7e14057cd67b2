"""Oracle of ``lstm``: the recurrence in float64, with its own bound on what fp32 loses from step to step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ORACLE", "lstm", "lstm_tolerance"]

ORACLE = (
    "ONNX LSTM (opset 22) in numpy float64, the state quantized in each step as DynamicQuantizeLinear where weights "
    "are bytes; fp32's error is carried along with the state, to first order"
)

U = 2.0**-24
Wide = npt.NDArray[np.float64]
AnyArray = npt.NDArray[Any]


@dataclass
class _Run:
    """What a run of all steps gives, and how far fp32 may be from it."""

    y: Wide
    h: Wide
    c: Wide
    y_bound: Wide
    h_bound: Wide
    c_bound: Wide


def lstm(*arrays: Any, **keywords: Any) -> tuple[AnyArray, AnyArray, AnyArray]:
    """All states (T, D, B, H), and the last h and c (D, B, H)."""
    found = _run(*arrays, **keywords)
    return found.y.astype(np.float32), found.h.astype(np.float32), found.c.astype(np.float32)


def lstm_tolerance(*arrays: Any, **keywords: Any) -> tuple[AnyArray, AnyArray, AnyArray]:
    """The bounds of the three; the oracle's own rounding to fp32 included."""
    found = _run(*arrays, **keywords)
    y, h, c = found.y, found.h, found.c
    return _rounded(y, found.y_bound), _rounded(h, found.h_bound), _rounded(c, found.c_bound)


def _rounded(value: AnyArray, bound: AnyArray) -> AnyArray:
    return np.asarray(1.01 * bound + U * np.abs(value) + 1e-30)


def _run(
    gates: AnyArray,
    r: AnyArray,
    bias: AnyArray | None = None,
    initial_h: AnyArray | None = None,
    initial_c: AnyArray | None = None,
    lengths: AnyArray | None = None,
    peephole: AnyArray | None = None,
    r_scale: AnyArray | None = None,
    r_zero_point: AnyArray | None = None,
    *,
    direction: str = "forward",
    clip: float | None = None,
) -> _Run:
    n_directions, n_steps, batch, width = gates.shape
    units = width // 4
    shape = n_directions, batch, units
    zeros = np.zeros(shape)
    h = zeros.copy() if initial_h is None else initial_h.astype(np.float64)
    c = zeros.copy() if initial_c is None else initial_c.astype(np.float64)
    made = _Run(np.zeros((n_steps, *shape)), h, c, np.zeros((n_steps, *shape)), zeros.copy(), zeros.copy())
    ends = np.full(batch, n_steps) if lengths is None else lengths
    for d in range(n_directions):
        backwards = direction == "reverse" or d == 1
        weights = _weights(r[d], r_scale, r_zero_point, d)
        added = np.zeros(width) if bias is None else bias[d].astype(np.float64).reshape(2, width)
        added = np.abs(added).sum(0) * 1j + added.sum(0) if bias is not None else added + 0j
        holes = np.zeros((3, units)) if peephole is None else peephole[d].astype(np.float64).reshape(3, units)
        for step in range(n_steps):
            active = step < ends
            if not active.any():
                continue
            times = np.where(backwards, ends - 1 - step, step)[active]
            own = gates[d, times, np.nonzero(active)[0]].astype(np.float64)
            limit = np.inf if not clip else float(clip)
            sums, bound = _product(made.h[d], made.h_bound[d], weights, r_scale is not None)
            pre = sums[active] + own + added.real
            error = bound[active] + 4 * U * (np.abs(sums[active]) + np.abs(own) + added.imag)
            _cell(made, d, active, pre, error, holes, limit)
            made.y[times, d, np.nonzero(active)[0]] = made.h[d][active]
            made.y_bound[times, d, np.nonzero(active)[0]] = made.h_bound[d][active]
    return made


def _weights(r: AnyArray, scale: AnyArray | None, zero: AnyArray | None, d: int) -> Wide:
    if scale is None or zero is None:
        return r.astype(np.float64)
    return np.asarray((r.astype(np.float64) - zero[d].astype(np.float64)) * scale[d].astype(np.float64))


def _product(h: Wide, h_bound: Wide, weights: Wide, in_bytes: bool) -> tuple[Wide, Wide]:
    """The state (B, H) by the weights (H, 4H), and its bound."""
    if not in_bytes:
        size = np.abs(h) @ np.abs(weights)
        return h @ weights, (h.shape[1] + 4) * U * size + h_bound @ np.abs(weights)
    low, high = min(0.0, h.min()), max(0.0, h.max())
    spread = 2 * h_bound.max() + 4 * U * (high - low)
    scale = (high - low if high > low else 1.0) / 255
    zero = np.rint(np.clip(-low / scale, 0, 255))
    rounded = np.clip(np.rint(h / scale) + zero, 0, 255) - zero
    # The quotient's error moves some elements by a whole step; one of the zero point may move all that saturate.
    quotient = h / scale
    error = h_bound / scale + np.abs(quotient) * spread / (high - low if high > low else 1.0) + 4 * U * np.abs(quotient)
    flips = np.abs(np.abs(quotient - np.floor(quotient)) - 0.5) <= error + 1e-30
    middle = -low / scale
    if abs(abs(middle - np.floor(middle)) - 0.5) <= 255 * spread / (high - low if high > low else 1.0) + 255 * 4 * U:
        flips |= (rounded + zero <= 1) | (rounded + zero >= 254)
    sums = rounded * scale
    relative = spread / (high - low if high > low else 1.0) + 4 * U
    bound = (flips * (1 + np.floor(error)) * scale) @ np.abs(weights) + relative * (np.abs(sums) @ np.abs(weights))
    return sums @ weights, bound


def _cell(made: _Run, d: int, active: AnyArray, pre: Wide, error: Wide, holes: Wide, limit: float) -> None:
    i, o, f, g = np.split(pre, 4, axis=1)
    e_i, e_o, e_f, e_g = np.split(error, 4, axis=1)
    c, e_c = made.c[d][active], made.c_bound[d][active]

    def sigmoid(x: Wide, e: Wide) -> tuple[Wide, Wide]:
        value = 1 / (1 + np.exp(-np.clip(x, -limit, limit)))
        return value, 0.25 * e + 12 * U * value

    def tanh(x: Wide, e: Wide) -> tuple[Wide, Wide]:
        value = np.tanh(np.clip(x, -limit, limit))
        return value, e + 12 * U * np.abs(value)

    def seen(x: Wide, e: Wide, hole: Wide, state: Wide, e_state: Wide) -> tuple[Wide, Wide]:
        term = hole * state
        return x + term, e + np.abs(hole) * e_state + 2 * U * (np.abs(term) + np.abs(x))

    i, e_i = sigmoid(*seen(i, e_i, holes[0], c, e_c))
    f, e_f = sigmoid(*seen(f, e_f, holes[2], c, e_c))
    g, e_g = tanh(g, e_g)
    kept, entered = f * c, i * g
    e_c = np.abs(c) * e_f + f * e_c + i * e_g + np.abs(g) * e_i + 2 * U * (np.abs(kept) + np.abs(entered))
    c = kept + entered
    o, e_o = sigmoid(*seen(o, e_o, holes[1], c, e_c))
    value = np.tanh(c)
    made.h[d][active] = o * value
    made.h_bound[d][active] = o * (e_c + 12 * U * np.abs(value)) + np.abs(value) * e_o + 2 * U * np.abs(o * value)
    made.c[d][active], made.c_bound[d][active] = c, e_c
