"""Transposed convolution over one to three spatial axes, with what may follow it.

Kernels by template: ``conv_transpose.cl`` (plain); ``conv_gpu.cl`` and ``conv_cpu.cl``, since the elements of out that
lie strides apart are a convolution of x by every so many positions of the kernel.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rx580lab.compile import Launch, load_kernel
from rx580lab.device import Array, Device
from rx580lab.errors import ShapeError
from rx580lab.ops import _conv_cpu as cpu
from rx580lab.ops import _conv_gpu as gpu
from rx580lab.ops._conv_cpu import Operands
from rx580lab.ops._conv_geometry import Geometry, Layouts, Lengths, Triple, geometry, int4
from rx580lab.ops.epilogue import Epilogue
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
from rx580lab.ops.sizing import WAVEFRONT, plain_sizes, too_many_turns, wants_wavefronts

__all__ = ["SPEC", "conv_transpose", "plan"]

FLOATS = (np.float32, np.float16)

AnyArray = Array | npt.NDArray[Any]


def conv_transpose(
    device: Device,
    x: AnyArray,
    w: AnyArray,
    bias: AnyArray | None = None,
    residual: AnyArray | None = None,
    **keywords: Any,
) -> Any:
    """ONNX ConvTranspose: ``x`` (N, C, ...) by ``w`` (C, K/group, ...) -> (N, K, ...), one to three spatial axes.

    Each value is activation(sum + bias + residual): ``bias`` (K), ``residual`` of out's shape, ``activation`` with its
    ``alpha`` and ``beta`` as in ``ops.epilogue``. All arrays fp32, or all fp16 with sums in fp32. Inputs beyond the
    edges count as zeros that are multiplied like any value.

    Keywords as in ``plan``. numpy in gives numpy out; an Array in gives an Array out. Raises ShapeError, DtypeError, or
    InputError when ``out`` is one of the inputs.
    """
    return given_back(plan(device, x, w, bias, residual, **keywords), x, w, bias, residual)


def plan(
    device: Device,
    x: AnyArray,
    w: AnyArray,
    bias: AnyArray | None = None,
    residual: AnyArray | None = None,
    *,
    strides: Lengths = None,
    dilations: Lengths = None,
    pads: Lengths = None,
    output_padding: Lengths = None,
    group: int = 1,
    activation: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``conv_transpose`` runs, bound once, for running many times.

    ``strides`` and ``dilations`` per axis, None for 1; ``pads`` all begins, then all ends: what is cut off out; and
    ``output_padding`` per axis: what its ends are longer by; None for 0.
    """
    source = as_array(device, "conv_transpose", "x", x, *FLOATS)
    weights = as_array(device, "conv_transpose", "w", w, source.dtype)
    found = geometry(
        "conv_transpose", source, weights, strides=strides, dilations=dilations, pads=pads, group=group,
        output_padding=output_padding, transposed=True,
    )  # fmt: skip
    shift = optional_array(device, "conv_transpose", "bias", bias, source.dtype)
    added = optional_array(device, "conv_transpose", "residual", residual, source.dtype)
    for name, one, wanted in (("bias", shift, (found.filters,)), ("residual", added, found.out_shape)):
        if one is not None and one.shape != wanted:
            raise ShapeError("conv_transpose", f"expected {name} of shape {wanted}, got {one.shape}")
    target = output(device, "conv_transpose", out, found.out_shape, source.dtype)
    apart("conv_transpose", target, x=source, w=weights, bias=shift, residual=added)
    given = Operands(
        source,
        shift,
        added,
        target,
        Epilogue(activation, alpha, beta),
        Layouts(),
        device.constant(np.zeros(1, source.dtype)),
    )
    chosen, merged = choose(device, SPEC, _letters(found, source.dtype), template, params)
    if chosen.name == "cpu":
        merged = chosen.checked(cpu.sized(device, "conv_transpose", found, merged, params))
    elif chosen.name == "gpu":
        merged = chosen.checked(gpu.fitted(device, merged, params))
    if found.n_out == 0:
        return Plan("conv_transpose", chosen.name, merged, (), target)
    if chosen.name == "cpu":
        launches, kept = _by_panels(device, found, merged, given, weights)
    elif chosen.name == "gpu":
        launches, kept = _by_gathers(device, found, merged, given, weights)
    else:
        launches, kept = [_plain(device, found, given, weights)], []
    return Plan("conv_transpose", chosen.name, merged, tuple(launches), target, (given.unused, *kept))


@dataclass(frozen=True)
class Phase:
    """Elements of out that lie strides apart: ``lengths`` of them per axis from ``starts`` on.

    ``taps``: per axis the positions of the kernel that reach them, each with its displacement: the number of the
    element plus that is where it reads x.
    """

    lengths: Triple
    starts: Triple
    taps: tuple[list[tuple[int, int]], ...]

    @property
    def n_taps(self) -> int:
        """Positions of the kernel that reach these elements."""
        return math.prod(map(len, self.taps))

    def positions(self, kernel: Triple) -> npt.NDArray[np.int32]:
        """The kernel's positions, counted row by row."""
        places = itertools.product(*([position for position, _ in axis] for axis in self.taps))
        counted = [(r * kernel[1] + s) * kernel[2] + t for r, s, t in places]
        return np.array(counted, np.int32)

    def displacements(self) -> npt.NDArray[np.int32]:
        """Of those positions, (n, 3)."""
        places = itertools.product(*([displacement for _, displacement in axis] for axis in self.taps))
        return np.array(list(places), np.int32).reshape(-1, 3)


def _phases(found: Geometry) -> list[Phase]:
    """Every element of out is in one of them."""
    axes = [_phases_of_axis(found, axis) for axis in range(3)]
    return [Phase((d[0], h[0], w[0]), (d[1], h[1], w[1]), (d[2], h[2], w[2])) for d, h, w in itertools.product(*axes)]


def _phases_of_axis(found: Geometry, axis: int) -> list[tuple[int, int, list[tuple[int, int]]]]:
    stride, spread, before = found.strides[axis], found.dilations[axis], found.before[axis]
    phases = []
    for start in range(min(stride, found.out[axis])):
        # Element start + q * stride meets position r from input q + (start + before - r * spread) / stride.
        reached = [
            (r, (start + before - r * spread) // stride)
            for r in range(found.kernel[axis])
            if (start + before - r * spread) % stride == 0
        ]
        phases.append((-(-(found.out[axis] - start) // stride), start, reached))
    return phases


def _by_panels(
    device: Device, found: Geometry, params: Params, given: Operands, w: Array
) -> tuple[list[Launch], list[Array]]:
    phases = _phases(found)
    before, after = ([0, 0, 0], [0, 0, 0])
    for phase, axis in itertools.product(phases, range(3)):
        for _, displacement in phase.taps[axis]:
            before[axis] = max(before[axis], -displacement)
            after[axis] = max(after[axis], phase.lengths[axis] + displacement - found.size[axis])
    source = cpu.bordered(device, found, given, (before[0], before[1], before[2]), (after[0], after[1], after[2]))
    launches, kept = list(source.launches), [source.array]
    pitches = np.array((source.lengths[1] * source.lengths[2], source.lengths[2], 1)) * found.channels
    for phase in phases:
        positions = phase.positions(found.kernel)
        taps = (phase.displacements() @ pitches).astype(np.int32)
        begins = np.arange(len(positions), dtype=np.int32) * found.channels_each
        job = cpu.Job(
            sources=cpu.places(phase.lengths, (1, 1, 1), source.borders, source.lengths, found.channels),
            targets=cpu.places(phase.lengths, found.strides, phase.starts, found.out),
            parts=(cpu.Part(math.prod(phase.lengths), taps, begins, found.channels_each),),
            depth=len(positions) * found.channels_each,
            positions=positions,
            adjoining=found.strides == (1, 1, 1),
        )
        panels = None
        if w.size and len(positions):
            panels, packing = cpu.pack(device, found, w, positions, transposed=True)
            launches.append(packing)
            kept.append(panels)
        launches.append(cpu.direct_launch(device, found, params, given, source, job, panels))
    return launches, kept


def _by_gathers(
    device: Device, found: Geometry, params: Params, given: Operands, w: Array
) -> tuple[list[Launch], list[Array]]:
    launches: list[Launch] = []
    kept: list[Array] = []
    for phase in _phases(found):
        gather = gpu.Gather(
            phase.lengths,
            (1, 1, 1),
            (0, 0, 0),
            phase.displacements(),
            cpu.places(phase.lengths, found.strides, phase.starts, found.out),
            found.strides == (1, 1, 1),
        )
        turned = None
        if w.size and phase.n_taps:
            positions = phase.positions(found.kernel)
            turned = device.scratch((found.filters, found.channels_each, len(positions)), w.dtype)
            macros = {"HALF": int(w.dtype == np.float16)}
            kernel = load_kernel(device, "conv_transpose", "conv_transpose_turn_w", macros)
            counts = turned.size, found.n_taps, found.channels_each, found.filters_each, len(positions)
            launches.append(
                kernel.bind(
                    *plain_sizes(device, turned.size), *map(np.uint32, counts), device.constant(positions), w, turned
                )
            )
            kept.append(turned)
        launches.append(gpu.gathered_launch(device, found, params, given, gather, turned))
    return launches, kept


def _plain(device: Device, found: Geometry, given: Operands, w: Array) -> Launch:
    kernel = load_kernel(device, "conv_transpose", "conv_transpose_plain", given.macros)
    flags, more = cpu.flags_and_arrays(given)
    arrays = (one if one.size else given.unused for one in (given.x, w))
    whole, left = zip(*map(divmod, found.dilations, found.strides), strict=True)
    counts = found.n_out, found.channels_each, found.filters_each, found.group
    triples = found.size, found.out, found.kernel, found.strides, whole, left, found.before
    return kernel.bind(
        *plain_sizes(device, found.n_out), *map(np.uint32, counts), *map(int4, triples), np.int32(flags),
        *given.epilogue.args(), *arrays, *more, given.out,
    )  # fmt: skip


def _shape(
    x: AnyArray,
    w: AnyArray,
    *_optional: AnyArray | None,
    strides: Lengths = None,
    dilations: Lengths = None,
    pads: Lengths = None,
    output_padding: Lengths = None,
    group: int = 1,
    **_epilogue: Any,
) -> dict[str, int]:
    found = geometry(
        "conv_transpose", x, w, strides=strides, dilations=dilations, pads=pads, group=group,
        output_padding=output_padding, transposed=True,
    )  # fmt: skip
    return _letters(found, x.dtype)


def _letters(found: Geometry, dtype: np.dtype[Any]) -> dict[str, int]:
    return {**found.letters, "bytes": dtype.itemsize}


def _cost(shape: Shape) -> Cost:
    n_taps = shape["R"] * shape["S"] * shape["T"]
    n_in = shape["B"] * shape["C"] * shape["D"] * shape["H"] * shape["W"]
    n_out = shape["B"] * shape["K"] * shape["OD"] * shape["OH"] * shape["OW"]
    each_k = shape["K"] // shape["G"]
    return Cost(bytes=shape["bytes"] * (n_in + n_out + shape["C"] * each_k * n_taps), flop=2 * n_in * each_k * n_taps)


def _refusal(name: str) -> Callable[[Device, Shape], str | None]:
    """Why the template cannot run even with its least tiles, or None."""

    def refusal(device: Device, shape: Shape) -> str | None:
        each, n_taps = shape["C"] // shape["G"], shape["R"] * shape["S"] * shape["T"]
        if name == "gpu" and shape["K"] < gpu.LEAST_FILTERS * shape["G"]:
            return f"needs {gpu.LEAST_FILTERS} filters in a group, got {shape['K']} in {shape['G']}"
        turns = {
            "plain": each * (n_taps + shape["T"] * (shape["R"] + 1) + 1),
            "gpu": 4 * each * n_taps + 256,
            "cpu": cpu.direct_turns(each, n_taps, shape["C"]),
        }
        return too_many_turns(device, turns[name]) or (wants_wavefronts(device, shape) if name == "gpu" else None)

    return refusal


SPEC = OpSpec(
    name="conv_transpose",
    summary="ONNX ConvTranspose, one to three axes: at least 1 read of x and w + 1 write of out",
    templates=(
        Template(
            name="plain",
            source="conv_transpose",
            space={},
            default={},
            precondition="within the device's limit on loop turns, if it has one; one work-item per element",
            applies=_refusal("plain"),
        ),
        Template(
            name="gpu",
            source="conv_gpu",
            space=gpu.SPACE,
            default=gpu.DEFAULT,
            constraints=gpu.CONSTRAINTS,
            precondition=f"work-groups of {WAVEFRONT} or more, {gpu.LEAST_FILTERS} filters or more in a group",
            applies=_refusal("gpu"),
            preferred_class="gpu",
        ),
        Template(
            name="cpu",
            source="conv_cpu",
            space=cpu.SPACE,
            default=cpu.DEFAULT,
            constraints=cpu.CONSTRAINTS,
            precondition="always; x is copied within zeros and w packed, once for each phase of the strides",
            applies=_refusal("cpu"),
            preferred_class="cpu",
        ),
    ),
    cost=_cost,
    plan=plan,
    shape=_shape,
)
