"""Attention without a matrix of scores. Kernels: ``attention.cl`` (plain), ``attention_{gpu,cpu,cpu_few}.cl``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, LocalBytes, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import InputError, ShapeError
from rx580lab.ops._attention_heads import HeadsInRows, places, shape_in_rows
from rx580lab.ops._attention_templates import FEW_ROWS, NR, TEMPLATES, fits, lds_floats
from rx580lab.ops._attention_unfused import unfused
from rx580lab.ops.plan import (
    Cost,
    OpSpec,
    Params,
    Plan,
    Shape,
    Template,
    apart,
    as_array,
    choose,
    given_back,
    optional_array,
    output,
)
from rx580lab.ops.sizing import ceil_div, checked_count, plain_sizes, turn_limit

__all__ = ["MAX_HEAD", "SPEC", "HeadsInRows", "attention", "plan"]

# The longest head that the kernels' register and local-memory tiles are made for; unit: values.
MAX_HEAD = 256
STORED = (np.float32, np.float16)

Values = Array | npt.NDArray[np.floating[Any]]


def attention(
    device: Device,
    q: Values,
    k: Values,
    v: Values,
    mask: Values | None = None,
    *,
    scale: float | None = None,
    causal: bool = False,
    past: int = 0,
    heads: HeadsInRows | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """softmax(scale * q k^T + mask) v for each head; ``q`` (B,H,T,D), ``k`` (B,G,S,D), ``v`` (B,G,S,E) -> (B,H,T,E).

    fp32, or fp16 with fp32 arithmetic, the same type for all; D and E up to 256. G divides H: H/G neighbouring heads
    share keys and values (grouped query). ``mask`` is added to the scores and broadcasts to (B,H,T,S). ``scale`` is
    1 / sqrt(D) unless given. With ``causal`` row t sees the keys s <= past + t only, where ``past`` keys come before
    the first query, as in decoding (ONNX: past_sequence_length).

    With ``heads`` the heads lie side by side in rows: q (B,T,...), k and v (B,S,...) -> (B,T,H*D), with G = H, E = D.

    A row that sees no key, or only masks of -infinity, gives zeros. Values must be finite: a masked one is multiplied
    by 0, unless ``causal`` hides it. numpy in gives numpy out; an Array in gives an Array out. Raises DtypeError,
    ShapeError, and InputError for a scale that is not finite or a negative ``past``.
    """
    keywords: dict[str, Any] = {
        "scale": scale,
        "causal": causal,
        "past": past,
        "heads": heads,
        "template": template,
        "params": params,
    }
    return given_back(plan(device, q, k, v, mask, **keywords, out=out), q, k, v, mask)


def plan(
    device: Device,
    q: Values,
    k: Values,
    v: Values,
    mask: Values | None = None,
    *,
    scale: float | None = None,
    causal: bool = False,
    past: int = 0,
    heads: HeadsInRows | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``attention`` runs, bound once, for running many times."""
    queries = as_array(device, "attention", "q", q, *STORED)
    keys = as_array(device, "attention", "k", k, queries.dtype)
    values = as_array(device, "attention", "v", v, queries.dtype)
    added = optional_array(device, "attention", "mask", mask, queries.dtype)
    shape = _shape(queries, keys, values, added, causal=causal, past=past, heads=heads)
    factor = 1 / math.sqrt(max(shape["D"], 1)) if scale is None else float(scale)
    if not math.isfinite(factor):
        raise InputError("attention", f"expected a finite scale, got {scale}")
    target = output(device, "attention", out, _out_shape(shape), queries.dtype)
    apart("attention", target, q=queries, k=keys, v=values, mask=added)
    chosen, merged = choose(device, SPEC, shape, template or _for_shape(device, shape), params)
    merged = fits(device, chosen, shape, merged, params)
    if target.size == 0:
        return Plan("attention", chosen.name, merged, (), target)
    if chosen.name == "unfused":
        return unfused(device, queries, keys, values, target, factor)
    limit = past if causal else shape["S"]
    arrays = [
        one if one is not None and one.size else device.constant(np.zeros(1, target.dtype))
        for one in (queries, keys, values, added)
    ]
    scalars = (
        np.float32(factor),
        np.int32(limit),
        *_strides(added),
        *places(shape, queries, keys, values, heads),
    )
    launch, workspace = _launch(device, chosen, merged, (*arrays, target), shape, scalars)
    return Plan("attention", chosen.name, merged, (launch,), target, workspace)


def _shape(
    q: Values,
    k: Values,
    v: Values,
    mask: Values | None = None,
    *,
    scale: float | None = None,
    causal: bool = False,
    past: int = 0,
    heads: HeadsInRows | None = None,
) -> dict[str, int]:
    del scale  # no length
    letters = _letters(q, k, v) if heads is None else shape_in_rows(q, k, v, heads)
    (b, h, t, s), (d, e) = (letters[letter] for letter in "BHTS"), (letters[letter] for letter in "DE")
    if max(d, e) > MAX_HEAD:
        raise ShapeError("attention", f"expected heads of at most {MAX_HEAD} values, got {d} and {e}")
    if past < 0:
        raise InputError("attention", f"expected past >= 0, got {past}")
    if mask is not None and (
        mask.ndim > 4 or any(n not in (1, m) for n, m in zip(mask.shape[::-1], (s, t, h, b), strict=False))
    ):
        raise ShapeError("attention", f"expected a mask that broadcasts to {(b, h, t, s)}, got {mask.shape}")
    for one in (q, k, v, *(() if mask is None else (mask,))):
        checked_count("attention", math.prod(one.shape))
    checked_count("attention", max(s, past) + t)
    itemsize = np.dtype(q.dtype).itemsize
    n_mask = 0 if mask is None else math.prod(mask.shape)
    in_rows = int(heads is not None)
    return {**letters, "itemsize": itemsize, "mask": n_mask, "past": past if causal else s, "in_rows": in_rows}


def _letters(q: Values, k: Values, v: Values) -> dict[str, int]:
    for name, one, letters in (("q", q, "(B, H, T, D)"), ("k", k, "(B, G, S, D)"), ("v", v, "(B, G, S, E)")):
        if one.ndim != 4:
            raise ShapeError("attention", f"expected {name} of shape {letters}, got {one.shape}")
    (b, h, t, d), (g, s), e = q.shape, k.shape[1:3], v.shape[3]
    if k.shape != (b, g, s, d) or v.shape != (b, g, s, e):
        raise ShapeError(
            "attention", f"expected k (B, G, S, D) and v (B, G, S, E) to fit q {q.shape}, got {k.shape} and {v.shape}"
        )
    if g == 0 or h % g:
        raise ShapeError("attention", f"expected heads of k and v that divide those of q, got {g} and {h}")
    return {"B": b, "H": h, "G": g, "T": t, "S": s, "D": d, "E": e}


def _out_shape(shape: Shape) -> tuple[int, ...]:
    b, h, t, e = (shape[letter] for letter in "BHTE")
    return (b, t, h * e) if shape["in_rows"] else (b, h, t, e)


def _for_shape(device: Device, shape: Shape) -> str | None:
    """The template that neither the device's class nor a hard precondition would choose."""
    if turn_limit(device) < math.inf:
        return "gpu" if SPEC.template("gpu").applies(device, shape) is None else None  # many short work-items
    few = shape["H"] // shape["G"] * shape["T"] <= FEW_ROWS
    return "cpu_few" if few and device.device_class == "cpu" else None


def _strides(mask: Array | None) -> tuple[np.generic, ...]:
    """has_mask, then how far apart its elements are along b, h, t and s: 0 where it is broadcast."""
    if mask is None or mask.size == 0:
        return np.int32(0), *(np.uint32(0),) * 4
    lengths = (*(1,) * (4 - mask.ndim), *mask.shape)
    steps = [math.prod(lengths[place + 1 :]) if lengths[place] > 1 else 0 for place in range(4)]
    return np.int32(1), *(np.uint32(step) for step in steps)


def _launch(
    device: Device,
    chosen: Template,
    params: Params,
    arrays: tuple[Array, ...],
    shape: Shape,
    scalars: tuple[np.generic, ...],
) -> tuple[Launch, tuple[Array, ...]]:
    half = int(arrays[0].dtype == np.float16)
    n_pairs, rows = shape["B"] * shape["G"], shape["H"] // shape["G"] * shape["T"]
    lengths = tuple(np.int32(shape[letter]) for letter in "HGTSDE")
    macros = {**params, "HALF": half}
    if chosen.name == "cpu":
        macros["COPY_V"] = int(half or shape["E"] % NR != 0)
    kernel = load_kernel(device, chosen.source, f"attention_{chosen.name}", macros)
    if chosen.name == "plain":
        sums = device.scratch((n_pairs * rows, shape["E"]))
        sizes = plain_sizes(device, n_pairs * rows)
        return kernel.bind(*sizes, *arrays, sums, np.uint32(n_pairs * rows), *lengths, *scalars), (sums,)
    if chosen.name == "gpu":
        height = params["WG_Y"]
        items = 16, ceil_div(rows, 4 * height) * height, n_pairs
        return kernel.bind(items, (16, height, 1), *arrays, *lengths, *scalars), ()
    tiles = (n_pairs,) if chosen.name == "cpu_few" else (ceil_div(rows, params["TILE_M"]), n_pairs)
    local = tuple(LocalBytes(4 * n) for n in lds_floats(chosen.name, shape, params))
    return kernel.bind(tiles, (1,) * len(tiles), *arrays, *local, *lengths, *scalars), ()


def _cost(shape: Shape) -> Cost:
    b, h, g, t, s = (shape[letter] for letter in "BHGTS")
    # Row t sees min(S, past + t + 1) keys; the sum over t in closed form.
    rising = max(min(s - shape["past"] - 1, t), 0)
    visible = rising * shape["past"] + rising * (rising + 1) // 2 + (t - rising) * s
    pairs = b * h * visible
    n_values = b * h * t * (shape["D"] + shape["E"]) + b * g * s * (shape["D"] + shape["E"]) + shape["mask"]
    # Per score: two products and sums per value of a head, and those of a softmax.
    return Cost(bytes=shape["itemsize"] * n_values, flop=pairs * (2 * (shape["D"] + shape["E"]) + 5))


SPEC = OpSpec(
    name="attention",
    summary="softmax(scale * q k^T + mask) v by heads (B, H, T, D), keys shared by groups of heads; no T x S buffer",
    templates=TEMPLATES,
    cost=_cost,
    plan=plan,
    shape=_shape,
)
