"""What a stretch of gfx803 code costs to issue: instructions by class, and clocks by a small table.

The table is that of Mesa's ``src/amd/compiler/aco_statistics.cpp``, for one wavefront of 64 lanes on a SIMD of 16. It
knows no latency, no cache and no bank conflict: an estimate that compares two versions of a loop, never a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from rx580lab.polaris.isa import Instruction

__all__ = ["Mix", "Pressure", "instruction_mix", "issue_clocks", "pressure"]

# v_mad_u64_u32 and its like are multiplications of 64 bits.
_MULTIPLY_ADD = re.compile(r"v_(mac|mad|madmk|madak|fma)_(f16|f32|legacy_f32|i32_i24|u32_u24)$")
_DOUBLE_HEAVY = re.compile(r"v_(fma|mul|rcp|rsq|sqrt|div_\w+)_f64$")
_DOUBLE = re.compile(r"v_(?!cvt_)\w+_f64$")
_QUARTER = re.compile(
    r"v_(fma_f32|mul_(lo|hi)_[iu]32|mad_[iu]64_[iu]32|cvt_\w+|div_(scale|fmas|fixup)_f(16|32)"
    r"|(rcp|rsq|sqrt|exp|log|sin|cos)(_iflag|_legacy|_clamp)?_f(16|32))$"
)
_WIDE = re.compile(r"v_(lshlrev_b64|lshrrev_b64|ashrrev_i64|cmpx?_\w+_[iu]64)$")
_MEMORY = ("flat_", "buffer_", "tbuffer_", "global_", "scratch_", "image_")
_CONTROL = re.compile(
    r"s_(branch|cbranch_\w+|waitcnt|barrier|nop|endpgm|sleep|setprio|setpc_b64|swappc_b64|sethalt|sendmsg\w*)$"
)
_LDS_DWORDS = {"b8": 1, "u8": 1, "i8": 1, "b16": 1, "u16": 1, "i16": 1, "b64": 2, "b96": 3, "b128": 4}
# A CU's LDS moves 128 bytes a clock for its four SIMDs: 32 for each, for a wavefront of 64 lanes.
_LDS_CLOCKS_PER_DWORD = 64 * 4 / 32


@dataclass(frozen=True)
class Mix:
    """Numbers of instructions.

    ``multiply_add``: floating point, and v_mad_i32_i24 and v_mad_u32_u24; ``slow_valu``: those of 16 clocks or more, as
    transcendentals, conversions, v_fma_f32, whole 32-bit multiplications and fp64; ``valu``: the other vector
    instructions; ``scalar``: with scalar loads; ``vmem_store``: with atomics; ``control``: branches, waits, barriers.
    """

    multiply_add: int = 0
    valu: int = 0
    slow_valu: int = 0
    scalar: int = 0
    lds: int = 0
    vmem_load: int = 0
    vmem_store: int = 0
    control: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return sum(asdict(self).values())


@dataclass(frozen=True)
class Pressure:
    """Clocks of a SIMD that one wavefront asks for, going once through some code.

    Attributes:
        issue_clocks: all instructions one after the other, as a lone wavefront would issue them.
        valu_clocks: vector arithmetic alone: what many wavefronts together cannot get below.
        lds_clocks: this SIMD's share of LDS, without bank conflicts; broadcasts counted in full.
        peak_share: multiply-adds as a share of those that fit into the longer of the latter two; a ceiling. None
            without vector arithmetic.
    """

    issue_clocks: int
    valu_clocks: int
    lds_clocks: int
    peak_share: float | None


def instruction_mix(instructions: Iterable[Instruction]) -> Mix:
    """How many there are of each class."""
    counted: dict[str, int] = {}
    for one in instructions:
        kind = _kind(one.name)
        counted[kind] = counted.get(kind, 0) + 1
    return Mix(**counted)


def _kind(name: str) -> str:
    if name.startswith("v_"):
        if issue_clocks(name) > 8:
            return "slow_valu"
        return "multiply_add" if _MULTIPLY_ADD.match(name) else "valu"
    if name.startswith("ds_"):
        return "lds"
    if name.startswith(_MEMORY):
        return "vmem_load" if "_load" in name else "vmem_store"
    return "control" if _CONTROL.match(name) else "scalar"


def issue_clocks(name: str) -> int:
    """Clocks for which one instruction of a wavefront keeps its unit."""
    if not name.startswith("v_"):
        return 4
    if _DOUBLE.match(name):
        return 64 if _DOUBLE_HEAVY.match(name) else 32
    if _QUARTER.match(name):
        return 16
    return 8 if _WIDE.match(name) else 4


def pressure(instructions: Iterable[Instruction]) -> Pressure:
    """What the table says of these instructions, gone through once."""
    listed = list(instructions)
    valu = sum(issue_clocks(one.name) for one in listed if one.name.startswith("v_"))
    lds = sum(_lds_dwords(one.name) for one in listed if one.name.startswith("ds_"))
    lds_clocks = int(lds * _LDS_CLOCKS_PER_DWORD)
    mads = sum(issue_clocks(one.name) for one in listed if _kind(one.name) == "multiply_add")
    return Pressure(
        issue_clocks=sum(issue_clocks(one.name) for one in listed),
        valu_clocks=valu,
        lds_clocks=lds_clocks,
        peak_share=mads / max(valu, lds_clocks) if valu else None,
    )


def _lds_dwords(name: str) -> int:
    """Dwords of LDS that one lane moves."""
    width = _LDS_DWORDS.get(name.rpartition("_")[2], 1)
    return width * (2 if re.match(r"ds_(read|write)2", name) else 1)
