"""What the norms over rows (``layernorm``, ``rmsnorm``) have in common: shapes, templates, sizes of launches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import InputError, ShapeError
from rx580lab.ops.plan import Constraint, Params, Shape, Template
from rx580lab.ops.sizing import (
    MAX_ELEMENTS,
    WAVEFRONT,
    ceil_div,
    plain_sizes,
    too_many_turns,
    turn_limit,
    wants_wavefronts,
)

__all__ = ["STORED", "checked_epsilon", "launch_rows", "row_templates", "rows_and_columns", "sized_group"]

# Element types of inputs and output: one for all of a call; arithmetic is fp32.
STORED = (np.float32, np.float16)
# What a work-item of the cpu template should at least chew on; unit: values. Well above the 10 ns that a group costs.
ITEM_ELEMENTS = 16384
# Rows up to here get one wavefront of the gpu template: four would hold fewer than four values per work-item.
SHORT_ROW = 1024


def rows_and_columns(where: str, x: Any, scale: Any, axis: int, **like_scale: Any) -> dict[str, int]:
    """R, C and itemsize of ``x``, normalized over ``axis`` and all after it. ShapeError where something does not fit.

    ``scale``, and what ``like_scale`` holds apart from None, must have the shape of those axes.
    """
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(where, f"expected axis within the rank of x {x.shape}, got {axis}")
    first = axis % x.ndim
    for name, given in {"scale": scale, **like_scale}.items():
        if given is not None and given.shape != x.shape[first:]:
            raise ShapeError(where, f"expected {name} of shape {x.shape[first:]}, got {given.shape}")
    shape = {"R": math.prod(x.shape[:first]), "C": math.prod(x.shape[first:])}
    if max(shape.values()) > MAX_ELEMENTS:
        raise ShapeError(where, f"expected at most {MAX_ELEMENTS:,} rows and columns, got {shape}")
    return {**shape, "itemsize": np.dtype(x.dtype).itemsize}


def checked_epsilon(where: str, epsilon: float) -> np.float32:
    """It as the kernels take it. InputError when it is negative or not finite."""
    if not 0.0 <= epsilon < math.inf:
        raise InputError(where, f"expected epsilon >= 0 and finite, got {epsilon}")
    return np.float32(epsilon)


def _turns(name: str, n_cols: int) -> int:
    """No fewer loop turns than a work-item makes for a row of ``n_cols``."""
    return 5 * n_cols + 64 if name == "plain" else 5 * n_cols // (16 if name == "cpu" else WAVEFRONT) + 256


def _refusal(name: str) -> Callable[[Device, Shape], str | None]:
    """Why a template cannot run, or None."""

    def refusal(device: Device, shape: Shape) -> str | None:
        endless = too_many_turns(device, _turns(name, shape["C"]))
        return endless or (wants_wavefronts(device, shape) if name == "gpu" else None)

    return refusal


def row_templates(op: str) -> tuple[Template, ...]:
    """The templates plain, gpu and cpu of a norm."""
    return (
        Template(
            name="plain",
            source=op,
            space={},
            default={},
            precondition="within the device's limit on loop turns, if it has one; one work-item per row",
            applies=_refusal("plain"),
        ),
        Template(
            name="gpu",
            source=f"{op}_gpu",
            space={"WG_X": (64, 128, 256)},
            default={"WG_X": 256},
            constraints=(
                Constraint(
                    f"WG_X to be a multiple of {WAVEFRONT}", lambda p: p["WG_X"] > 0 and p["WG_X"] % WAVEFRONT == 0
                ),
            ),
            precondition="work-groups of 64 or more; a work-group per row",
            applies=_refusal("gpu"),
            preferred_class="gpu",
        ),
        Template(
            name="cpu",
            source=f"{op}_cpu",
            space={},
            default={},
            precondition="within the device's limit on loop turns, if it has one; a work-item takes whole rows",
            applies=_refusal("cpu"),
            preferred_class="cpu",
        ),
    )


def sized_group(device: Device, params: dict[str, int], asked: Params | None, n_cols: int) -> dict[str, int]:
    """``params`` with WG_X, where it was not asked for, as the row and the device want it."""
    if "WG_X" not in params or "WG_X" in (asked or {}):
        return params
    limit = device.limits.work_group or params["WG_X"]
    return {**params, "WG_X": WAVEFRONT if n_cols <= SHORT_ROW or limit < params["WG_X"] else params["WG_X"]}


def launch_rows(
    device: Device,
    op: str,
    chosen: Template,
    params: Params,
    macros: Mapping[str, int],
    shape: Shape,
    arrays: tuple[Array, ...],
    epsilon: np.float32,
) -> Launch:
    """The launch of ``arrays`` over the rows, its sizes by the template."""
    n_rows, n_cols = shape["R"], shape["C"]
    kernel = load_kernel(device, chosen.source, f"{op}_{chosen.name}", {**params, **macros})
    rows, cols = np.uint32(n_rows), np.uint32(n_cols)
    if chosen.name == "gpu":
        return kernel.bind((n_rows * params["WG_X"],), (params["WG_X"],), *arrays, cols, epsilon)
    if chosen.name == "cpu":
        per_item = max(1, min(ceil_div(ITEM_ELEMENTS, n_cols), ceil_div(n_rows, 4 * device.compute_units)))
        if turn_limit(device) < math.inf:
            per_item = max(1, min(per_item, int(turn_limit(device)) // _turns("cpu", n_cols)))
        sizes = (ceil_div(n_rows, per_item),), (1,)
        return kernel.bind(*sizes, *arrays, rows, cols, epsilon, np.uint32(per_item))
    return kernel.bind(*plain_sizes(device, n_rows), *arrays, rows, cols, epsilon)
