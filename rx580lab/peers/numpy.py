"""numpy itself, where it has one quick call for what we do, into an output that is there already; one thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.device import Device
from rx580lab.errors import PeerUnavailable
from rx580lab.measure import Contestant
from rx580lab.peers.entrant import NONE, Entrant, Inputs, Keywords
from rx580lab.reference import poison

__all__ = ["OPS", "entrant", "unavailable"]

AnyArray = npt.NDArray[Any]
# Takes the output; fills it.
Fill = Callable[[AnyArray], object]


def _transpose(inputs: list[AnyArray], keywords: Keywords) -> tuple[tuple[int, ...], Fill]:
    view = np.transpose(inputs[0], keywords.get("perm"))
    return view.shape, lambda out: np.copyto(out, view)


def _slice(inputs: list[AnyArray], keywords: Keywords) -> tuple[tuple[int, ...], Fill]:
    (x,) = inputs
    n_ranges = len(keywords["starts"])
    axes, steps = keywords.get("axes") or range(n_ranges), keywords.get("steps") or (1,) * n_ranges
    parts = [np.s_[:]] * x.ndim
    for axis, start, end, step in zip(axes, keywords["starts"], keywords["ends"], steps, strict=True):
        if step < 0:
            raise PeerUnavailable("numpy", "it is set up for steps forwards only, whose ends mean what ours mean")
        parts[axis] = np.s_[start:end:step]
    view = x[tuple(parts)]
    return view.shape, lambda out: np.copyto(out, view)


def _concat(inputs: list[AnyArray], keywords: Keywords) -> tuple[tuple[int, ...], Fill]:
    axis = keywords["axis"]
    lengths = list(inputs[0].shape)
    lengths[axis] = sum(one.shape[axis] for one in inputs)
    return tuple(lengths), lambda out: np.concatenate(inputs, axis, out=out)


def _pad(inputs: list[AnyArray], keywords: Keywords) -> tuple[tuple[int, ...], Fill]:
    (x,), pads = inputs, keywords["pads"]
    plain = keywords.get("mode", "constant") == "constant" and keywords.get("axes") is None and min(pads) >= 0
    if not plain:
        raise PeerUnavailable("numpy", "it is set up for margins of a constant only")
    front = pads[: x.ndim]
    shape = tuple(a + n + b for a, n, b in zip(front, x.shape, pads[x.ndim :], strict=True))
    inside = tuple(np.s_[a : a + n] for a, n in zip(front, x.shape, strict=True))

    def fill(out: AnyArray) -> None:
        """All of it and then x: quicker than numpy.pad, which makes an array each time."""
        out.fill(keywords.get("constant_value", 0))
        out[inside] = x

    return shape, fill


def _gather(inputs: list[AnyArray], keywords: Keywords) -> tuple[tuple[int, ...], Fill]:
    x, indices = inputs
    axis = keywords.get("axis", 0) % x.ndim
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    # With mode "raise" numpy would gather into a buffer first.
    return shape, lambda out: np.take(x, indices, axis, out=out, mode="wrap")


def _embedding(inputs: list[AnyArray], _keywords: Keywords) -> tuple[tuple[int, ...], Fill]:
    ids, table = inputs
    shape = (*ids.shape, table.shape[1])
    if table.dtype == np.float32:
        return shape, lambda out: np.take(table, ids, 0, out=out, mode="clip")
    return shape, lambda out: np.copyto(out, table[ids])


# Quickest calls for functions of elements; relu and clip by extremes, which numpy has as one loop each.
_ELEMENTWISE: Mapping[str, Callable[[list[AnyArray], Keywords, AnyArray], object]] = {
    "add": lambda x, _given, out: np.add(x[0], x[1], out=out),
    "mul": lambda x, _given, out: np.multiply(x[0], x[1], out=out),
    "exp": lambda x, _given, out: np.exp(x[0], out=out),
    "tanh": lambda x, _given, out: np.tanh(x[0], out=out),
    "relu": lambda x, _given, out: np.maximum(x[0], x[0].dtype.type(0), out=out),
    "clip": lambda x, given, out: np.clip(x[0], given["alpha"], given["beta"], out=out),
}
_REDUCE: Mapping[str, Callable[..., object]] = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
}


def _elementwise(inputs: list[AnyArray], keywords: Keywords) -> tuple[tuple[int, ...], Fill]:
    call = _ELEMENTWISE.get(keywords["function"])
    if call is None:
        raise PeerUnavailable("numpy", f"it has no single call for {keywords['function']}")
    return np.broadcast_shapes(*(one.shape for one in inputs)), lambda out: call(inputs, keywords, out)


def _reduce(inputs: list[AnyArray], keywords: Keywords) -> tuple[tuple[int, ...], Fill]:
    call = _REDUCE.get(keywords["function"])
    if call is None:
        raise PeerUnavailable("numpy", f"it is set up for {', '.join(_REDUCE)} only, not {keywords['function']}")
    (x,), axes = inputs, keywords["axes"]
    shape = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
    return shape, lambda out: call(x, axis=axes, keepdims=True, out=out)


_CALLS = {
    "transpose": _transpose,
    "slice": _slice,
    "concat": _concat,
    "pad": _pad,
    "gather": _gather,
    "embedding": _embedding,
    "elementwise": _elementwise,
    "reduce": _reduce,
}
OPS = tuple(_CALLS)


def unavailable(_device: Device) -> str | None:
    """None: it is always there, and runs on the host, whatever the device."""
    return None


def entrant(_device: Device, op: str, inputs: Inputs, keywords: Keywords = NONE) -> Entrant:
    """The call that fills an output by numpy. PeerUnavailable for another op, or arguments it is not set up for."""
    if op not in OPS:
        raise PeerUnavailable("numpy", f"expected an op among {', '.join(OPS)}, got {op!r}")
    arrays = [one for one in inputs if one is not None]
    shape, fill = _CALLS[op](arrays, keywords)
    out = poison(shape, np.float32 if op == "embedding" else arrays[0].dtype)
    blank = out.copy()
    contestant = Contestant(
        name="numpy",
        label=f"numpy {np.__version__}, {op} into an output that is there",
        role="peer",
        run=lambda: _nothing(fill(out)),
        sync=lambda: None,
        output=out.copy,
    )
    return Entrant(contestant, lambda: np.copyto(out, blank), f"numpy: {np.__version__}, one thread")


def _nothing(_: object) -> None:
    """No events to return: it ran on the host."""
