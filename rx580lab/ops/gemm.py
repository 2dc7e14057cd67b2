"""C = activation(alpha * A @ B + bias + residual), batched. Its kernels are those of ``_gemm_templates``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rx580lab.compile import Launch, LocalBytes, load_kernel, tuned
from rx580lab.device import Array, Device
from rx580lab.errors import InputError, LimitExceeded
from rx580lab.ops._gemm_problem import (
    STORED,
    Matrix,
    PackedB,
    batch_offsets,
    check_dtypes,
    cost_of,
    out_shape,
    pack_b,
    pack_launch,
    panels_of,
    shape_of,
)
from rx580lab.ops._gemm_templates import TEMPLATES, local_bytes, preferred, prefers_packed, sized, turns
from rx580lab.ops.epilogue import Epilogue
from rx580lab.ops.gemv import plan as gemv_plan
from rx580lab.ops.plan import (
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
from rx580lab.ops.sizing import WAVEFRONT, ceil_div, too_many_turns

__all__ = ["SPEC", "PackedB", "gemm", "pack_b", "plan", "prefers_packed"]


def gemm(
    device: Device,
    a: Matrix,
    b: Matrix | PackedB,
    bias: Matrix | None = None,
    residual: Matrix | None = None,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    alpha: float = 1.0,
    epilogue: Epilogue | None = None,
    constant_b: bool = False,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Any:
    """activation(alpha * ``a`` (..., M, K) @ ``b`` (..., K, N) + ``bias`` (N) + ``residual`` (..., M, N)).

    Row-major; all fp32 or all fp16, sums in fp32. Batch axes broadcast as those of numpy's matmul do. ``transpose_a``
    and ``transpose_b`` say that the last two axes come swapped: a (..., K, M), b (..., N, K). Lengths may be 0, and
    K = 0 gives sums of 0. ``b`` may come from ``pack_b``; ``constant_b`` promises a plan that b's contents never
    change, so that a processor packs it once, when it is planned, and not in each run.

    numpy in gives numpy out; an Array in gives an Array out. ``out`` must not be one of the inputs. Raises DtypeError
    for other element types or mixed ones, ShapeError when shapes do not fit together, InputError when ``out`` overlaps
    an input or a template cannot run here.
    """
    planned = plan(
        device,
        a,
        b,
        bias,
        residual,
        transpose_a=transpose_a,
        transpose_b=transpose_b,
        alpha=alpha,
        epilogue=epilogue,
        constant_b=constant_b,
        out=out,
        template=template,
        params=params,
    )
    return given_back(planned, a, b, bias, residual)


def plan(
    device: Device,
    a: Matrix,
    b: Matrix | PackedB,
    bias: Matrix | None = None,
    residual: Matrix | None = None,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    alpha: float = 1.0,
    epilogue: Epilogue | None = None,
    constant_b: bool = False,
    out: Array | None = None,
    template: str | None = None,
    params: Params | None = None,
) -> Plan:
    """The launches that ``gemm`` runs, bound once, for running many times."""
    left = as_array(device, "gemm", "a", a, *STORED)
    right = b if isinstance(b, PackedB) else as_array(device, "gemm", "b", b, *STORED)
    terms = (
        optional_array(device, "gemm", "bias", bias, *STORED),
        optional_array(device, "gemm", "residual", residual, *STORED),
    )
    check_dtypes(left, right, *terms)
    shape = shape_of(left, right, *terms, transpose_a=transpose_a, transpose_b=transpose_b, constant_b=constant_b)
    wanted = out_shape(left, right, transpose_a=transpose_a, transpose_b=transpose_b)
    target = output(device, "gemm", out, wanted, left.dtype)
    panels = right.panels if isinstance(right, PackedB) else right
    apart("gemm", target, a=left, b=panels, bias=terms[0], residual=terms[1])
    chosen, merged = choose(device, SPEC, shape, template or preferred(device, shape), params)
    merged = _sized(device, chosen, shape, merged, params)
    if target.size == 0:
        return Plan("gemm", chosen.name, merged, (), target)
    if chosen.name == "matvec":
        return _as_gemv(device, left, panels, target, terms, shape, alpha, epilogue)
    offsets = device.constant(batch_offsets(left, right, shape, panels=chosen.name == "cpu"))
    if shape["K"] == 0:
        # OpenCL has no empty buffer to pass; the kernels never read this one.
        left = panels = device.constant(np.zeros(1, left.dtype))
    job = _Job(device, chosen.name, merged, shape, offsets, left, panels, target, terms, alpha, epilogue or Epilogue())
    return job.by_panels(constant_b) if chosen.name == "cpu" else job.in_place()


def _as_gemv(
    device: Device,
    a: Array,
    b: Array,
    out: Array,
    terms: tuple[Array | None, Array | None],
    shape: Shape,
    alpha: float,
    epilogue: Epilogue | None,
) -> Plan:
    """B transposed times each row of A, or A times the one column of B: both are W @ x."""
    bias, residual = terms
    n_rows, n_cols, depth = shape["M"], shape["N"], shape["K"]
    wanted: tuple[int, ...] = (n_rows, n_cols) if shape["transpose_b"] else (n_rows,)
    if shape["transpose_b"]:
        w, x = b.reshape(n_cols, depth), a.reshape(n_rows, depth)
    else:
        w, x = a.reshape(n_rows, depth), b.reshape(depth)
    more = None if residual is None else residual.reshape(wanted)
    inner = gemv_plan(device, w, x, bias, more, alpha=alpha, epilogue=epilogue, out=out.reshape(wanted))
    return Plan("gemm", "matvec", {}, inner.launches, out)


def _sized(
    device: Device, chosen: Template, shape: Shape, params: dict[str, int], asked: Params | None
) -> dict[str, int]:
    """``params`` with what follows from the shape, unless it was asked for or tuned. Refuses what cannot be right."""
    fixed = {*(asked or {}), *(tuned(device, f"gemm_{chosen.name}", chosen.source) or {})}
    found = sized(device, chosen.name, shape, params)
    merged = chosen.checked({**params, **{name: value for name, value in found.items() if name not in fixed}})
    if shape["half"] and merged.get("USE_LDS") == 0:
        raise InputError("gemm", "expected USE_LDS = 1 for fp16, whose block of A is widened on the way; got 0")
    endless = too_many_turns(device, turns(chosen.name, shape, merged))
    if endless:
        raise LimitExceeded("gemm", f"{endless} with {merged}; use smaller tiles")
    return merged


@dataclass(frozen=True)
class _Job:
    """Everything that a launch needs, on the device; ``b`` is B itself or its panels; terms: bias, residual."""

    device: Device
    template: str
    params: dict[str, int]
    shape: Shape
    offsets: Array
    a: Array
    b: Array
    out: Array
    terms: tuple[Array | None, Array | None]
    alpha: float
    epilogue: Epilogue

    def in_place(self) -> Plan:
        """One launch, by any template that reads B where it is."""
        launch = self._launch(self.b, PACKED=0) if self.template == "cpu_inplace" else self._launch(self.b)
        return Plan("gemm", self.template, self.params, (launch,), self.out)

    def by_panels(self, constant_b: bool) -> Plan:
        """The cpu template: B is packed in each run, unless it comes packed or stays the same."""
        depth, n_cols = self.shape["K"], self.shape["N"]
        if self.shape["packed"] or depth == 0:
            return Plan("gemm", "cpu", self.params, (self._launch(self.b, PACKED=1),), self.out)
        panels = panels_of(self.device.empty if constant_b else self.device.scratch, self.shape["W"], depth, n_cols)
        pack = pack_launch(self.device, self.b, panels, depth, n_cols, bool(self.shape["transpose_b"]))
        multiply = self._launch(panels, PACKED=1)
        if constant_b:
            pack.enqueue()
        launches = (multiply,) if constant_b else (pack, multiply)
        return Plan("gemm", "cpu", self.params, launches, self.out, (panels,))

    def _launch(self, b: Array, **switches: int) -> Launch:
        lengths = [np.int32(self.shape[letter]) for letter in "MNK"]
        turned = [np.int32(self.shape[name]) for name in ("transpose_a", "transpose_b")]
        macros = {**self.params, "HALF": self.shape["half"], **self.epilogue.macros(), **switches}
        outputs = [self.out]
        tiles: tuple[Any, ...] = ()
        if self.template.startswith("cpu"):
            tiles = tuple(np.int32(macros.pop(name)) for name in ("TILE_M", "TILE_N", "TILE_K"))
            tiles = (*tiles, *(LocalBytes(n) for n in local_bytes(self.template, self.params)))
        if self.template == "gpu":
            macros |= {"TRANSPOSE_A": self.shape["transpose_a"], "TRANSPOSE_B": self.shape["transpose_b"]}
            turned = []
        elif self.template == "cpu_skinny":
            turned = turned[:1]
        elif self.template != "plain":
            outputs = [self._partial(), self.out]
        source = SPEC.template(self.template).source
        kernel = load_kernel(self.device, source, "gemm_plain" if self.template == "plain" else source, macros)
        sizes, group = self._sizes()
        return kernel.bind(sizes, group, *lengths, *turned, self.offsets, self.a, b, *self._ends(), *outputs, *tiles)

    def _ends(self) -> tuple[Any, ...]:
        """The epilogue's arguments; A stands in for an array that is not there, since OpenCL 1.2 wants a buffer."""
        terms = [(np.int32(one is not None), self.a if one is None else one) for one in self.terms]
        return np.float32(self.alpha), *terms[0], *terms[1], *self.epilogue.args()

    def _partial(self) -> Array:
        """Where the cpu templates keep sums between passes over K: C itself, unless it is too narrow for them."""
        if self.shape["half"] and self.shape["K"] > self.params["TILE_K"]:
            return self.device.scratch(self.out.shape)
        return self.out

    def _sizes(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        n_rows, n_cols, products = self.shape["M"], self.shape["N"], self.shape["B"]
        params = self.params
        if self.template == "plain":
            x = min(WAVEFRONT, self.device.limits.work_group or WAVEFRONT)
            return (ceil_div(n_cols, x) * x, n_rows, products), (x, 1, 1)
        if self.template == "gpu":
            x, y = params["WG_X"], params["WG_Y"]
            across, down = ceil_div(n_cols, x * params["PER_ITEM_N"]), ceil_div(n_rows, y * params["PER_ITEM_M"])
            return (across * x, down * y, products), (x, y, 1)
        tiles = ceil_div(n_rows, params["TILE_M"]), ceil_div(n_cols, params["TILE_N"])
        if self.template == "cpu_skinny":
            return (tiles[1], tiles[0], products), (1, 1, 1)
        return (*tiles, products), (1, 1, 1)


SPEC = OpSpec(
    name="gemm",
    summary="(M, K) @ (K, N), batched, fp32 or fp16: at least 1 read of each matrix + 1 write of C; 2*M*N*K operations",
    templates=TEMPLATES,
    cost=cost_of,
    plan=plan,
    shape=shape_of,
)
