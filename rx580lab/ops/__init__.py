"""The ops: each is a launcher that checks, sizes and enqueues the kernels of the same name.

``rx.ops.gemm(device, a, b)`` runs one; ``rx.ops.spec("gemm")`` describes it.
"""

from __future__ import annotations

from importlib import import_module

from rx580lab.errors import InputError
from rx580lab.ops.attention import attention
from rx580lab.ops.batchnorm import batchnorm
from rx580lab.ops.concat import concat
from rx580lab.ops.conv import conv
from rx580lab.ops.conv_i8_i8 import conv_i8_i8
from rx580lab.ops.conv_transpose import conv_transpose
from rx580lab.ops.copy import copy
from rx580lab.ops.dequantize import dequantize
from rx580lab.ops.dynamic_quantize import dynamic_quantize
from rx580lab.ops.elementwise import elementwise
from rx580lab.ops.embedding import embedding
from rx580lab.ops.expand import expand
from rx580lab.ops.fma_peak import fma_peak
from rx580lab.ops.gather import gather
from rx580lab.ops.gather_elements import gather_elements
from rx580lab.ops.gather_nd import gather_nd
from rx580lab.ops.gemm import PackedB, gemm, pack_b
from rx580lab.ops.gemm_i8_i8 import gemm_i8_i8
from rx580lab.ops.gemv import gemv
from rx580lab.ops.layernorm import layernorm
from rx580lab.ops.lstm import lstm
from rx580lab.ops.pad import pad
from rx580lab.ops.plan import Constraint, Cost, OpSpec, Plan, Template
from rx580lab.ops.pool import pool
from rx580lab.ops.quantize import quantize
from rx580lab.ops.reduce import reduce
from rx580lab.ops.resize import resize
from rx580lab.ops.rmsnorm import rmsnorm
from rx580lab.ops.scatter_elements import scatter_elements
from rx580lab.ops.scatter_nd import scatter_nd
from rx580lab.ops.slice import slice  # noqa: A004
from rx580lab.ops.softmax import softmax
from rx580lab.ops.tile import tile
from rx580lab.ops.topk import topk
from rx580lab.ops.transpose import transpose
from rx580lab.ops.triad import triad

NAMES = (
    "copy",
    "triad",
    "fma_peak",
    "gemm",
    "gemm_i8_i8",
    "gemv",
    "conv_i8_i8",
    "softmax",
    "conv",
    "conv_transpose",
    "layernorm",
    "rmsnorm",
    "batchnorm",
    "transpose",
    "slice",
    "expand",
    "tile",
    "concat",
    "pool",
    "pad",
    "attention",
    "elementwise",
    "resize",
    "gather",
    "gather_elements",
    "gather_nd",
    "scatter_elements",
    "scatter_nd",
    "embedding",
    "reduce",
    "topk",
    "quantize",
    "dequantize",
    "dynamic_quantize",
    "lstm",
)

__all__ = [
    "NAMES",
    "Constraint",
    "Cost",
    "OpSpec",
    "PackedB",
    "Plan",
    "Template",
    "attention",
    "batchnorm",
    "concat",
    "conv",
    "conv_i8_i8",
    "conv_transpose",
    "copy",
    "dequantize",
    "dynamic_quantize",
    "elementwise",
    "embedding",
    "expand",
    "fma_peak",
    "gather",
    "gather_elements",
    "gather_nd",
    "gemm",
    "gemm_i8_i8",
    "gemv",
    "layernorm",
    "lstm",
    "pack_b",
    "pad",
    "pool",
    "quantize",
    "reduce",
    "resize",
    "rmsnorm",
    "scatter_elements",
    "scatter_nd",
    "slice",
    "softmax",
    "spec",
    "specs",
    "tile",
    "topk",
    "transpose",
    "triad",
]


def spec(name: str) -> OpSpec:
    """The op of that name: templates, space, default, cost, plan."""
    if name not in NAMES:
        raise InputError("ops", f"expected one of {', '.join(NAMES)}, got {name!r}")
    found: OpSpec = import_module(f"rx580lab.ops.{name}").SPEC
    return found


def specs() -> list[OpSpec]:
    """All ops."""
    return [spec(name) for name in NAMES]
