"""Why a kernel may not be shown as what gfx803 would run, and two habits that the card punishes.

A compiler that exits with 0 has proven nothing: a builtin that nobody defined becomes a call, registers that ran out
become memory. The first four checks see that; the last two are rules of this house.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rx580lab.polaris.isa import Instruction, KernelCode
from rx580lab.polaris.toolchain import Compiled

__all__ = ["CHECKS", "Fault", "faults_of"]

CHECKS = {
    "call": "no call is left in the code (s_swappc_b64)",
    "dynamic stack": "no stack of a size that is unknown until it runs",
    "link": "no symbol is left undefined",
    "scratch": "no private memory: registers hold everything, without spills",
    "fma": "no v_fma_f32, a quarter of the rate of v_mac_f32; write MAC(a, b, c)",
    "integer multiply": "no whole 32-bit or 64-bit multiplication in an innermost loop; step, or use mad24 and mul24",
}
# One fp32 division that must be correctly rounded takes so many v_fma_f32 between v_div_scale and v_div_fmas.
_FMAS_OF_A_DIVISION = 5
# A conversion from fp32 to a 64-bit integer takes one, by -2^32 out of a register: v_fma_f32 v4, v5, s7, v4.
_MINUS_TWO_TO_32 = "0xcf800000"
_INTEGER_MULTIPLY = ("v_mul_lo_u32", "v_mul_lo_i32", "v_mad_u64_u32", "v_mad_i64_i32")


@dataclass(frozen=True)
class Fault:
    """A check that failed (a key of ``CHECKS``), and what was found."""

    check: str
    reason: str

    def __str__(self) -> str:
        return f"{self.check}: {self.reason}"


def faults_of(compiled: Compiled, code: KernelCode) -> tuple[Fault, ...]:
    """Everything that is wrong with a compiled kernel; empty when all checks pass."""
    return tuple(_faults(compiled, code))


def _faults(compiled: Compiled, code: KernelCode) -> Iterator[Fault]:
    names = Counter(one.name for one in code.instructions)
    found = code.resources
    if names["s_swappc_b64"]:
        yield Fault("call", f"{names['s_swappc_b64']} s_swappc_b64")
    if found.dynamic_stack:
        yield Fault("dynamic stack", ".uses_dynamic_stack is true")
    if compiled.link_error is not None:
        yield Fault("link", compiled.link_error)
    if found.scratch_bytes or found.vgpr_spills or found.sgpr_spills:
        spills = f"{found.vgpr_spills} VGPR and {found.sgpr_spills} SGPR spills"
        yield Fault("scratch", f"{found.scratch_bytes} bytes of private memory a work-item, {spills}")
    fmas = names["v_fma_f32"] - _FMAS_OF_A_DIVISION * names["v_div_fmas_f32"] - _fmas_of_conversions(code.instructions)
    if fmas > 0:
        yield Fault("fma", f"{fmas} v_fma_f32 that belong to no division or conversion")
    for loop in code.loops:
        multiplies = _named(loop.instructions, _INTEGER_MULTIPLY)
        if multiplies:
            yield Fault("integer multiply", f"{multiplies} in the loop at {loop.label}")


def _fmas_of_conversions(instructions: Iterable[Instruction]) -> int:
    """How many v_fma_f32 multiply by a register that was last set to -2^32, in the order of the text."""
    holders: set[str] = set()
    n = 0
    for one in instructions:
        target, *sources = (operand.strip() for operand in one.operands.split(","))
        if one.name == "v_fma_f32":
            n += any(source in holders for source in sources)
        if one.name in ("s_mov_b32", "v_mov_b32") and sources == [_MINUS_TWO_TO_32]:
            holders.add(target)
        else:
            holders -= _registers(target)
    return n


def _registers(operand: str) -> set[str]:
    """``s[2:3]`` -> s2 and s3; ``v7`` -> v7."""
    found = re.fullmatch(r"([sv])\[(\d+):(\d+)\]", operand)
    if found is None:
        return {operand}
    return {f"{found.group(1)}{place}" for place in range(int(found.group(2)), int(found.group(3)) + 1)}


def _named(instructions: Iterable[Instruction], names: tuple[str, ...]) -> str:
    counted = Counter(one.name for one in instructions if one.name in names)
    return ", ".join(f"{n} {name}" for name, n in counted.items())
