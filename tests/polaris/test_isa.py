"""The reader of assembly on recorded pieces of clang 18's output, and the table of clocks."""

from __future__ import annotations

import pytest

from rx580lab.errors import BuildError
from rx580lab.polaris.cycles import Mix, instruction_mix, issue_clocks, pressure
from rx580lab.polaris.isa import Instruction, parse_kernel

METADATA = """
	.amdgpu_metadata
---
amdhsa.kernels:
  - .args:           []
    .group_segment_fixed_size: 1024
    .max_flat_workgroup_size: 256
    .name:           twice
    .private_segment_fixed_size: 0
    .reqd_workgroup_size:
      - 64
      - 4
      - 1
    .sgpr_count:     14
    .sgpr_spill_count: 0
    .symbol:         twice.kd
    .uses_dynamic_stack: false
    .vgpr_count:     12
    .vgpr_spill_count: 0
    .wavefront_size: 64
amdhsa.target:   amdgcn-amd-amdhsa--gfx803
...

	.end_amdgpu_metadata
"""

# Two loops in a row within an outer one; the second has a branch that its lanes may skip.
NESTED = """
	.text
	.globl	twice
twice:                                  ; @twice
; %bb.0:
	s_load_dword s2, s[4:5], 0x24
	s_cbranch_scc0 .LBB0_7
.LBB0_1:                                ; =>This Loop Header: Depth=1
	s_mov_b32 s3, 0
.LBB0_2:                                ;   Parent Loop BB0_1 Depth=1
	v_mac_f32_e32 v1, v2, v3
	ds_read_b128 v[4:7], v8 offset:16
	s_cbranch_scc0 .LBB0_2
; %bb.3:
	v_mov_b32_e32 v2, 0
.LBB0_4:
	v_cmp_gt_u32_e32 vcc, s1, v0
	s_and_saveexec_b64 s[6:7], vcc
	s_cbranch_execz .LBB0_6
; %bb.5:
	v_mul_lo_u32 v3, v2, s4
	flat_load_dwordx4 v[4:7], v[8:9]
.LBB0_6:
	s_or_b64 exec, exec, s[6:7]
	s_cbranch_scc1 .LBB0_4
; %bb.8:
	s_cbranch_vccnz .LBB0_1
	s_branch .LBB0_7
.LBB0_7:
	s_endpgm
.Lfunc_end0:
	.size	twice, .Lfunc_end0-twice
other:
	s_endpgm
.Lfunc_end1:
"""


def test_a_kernel_ends_where_the_next_begins() -> None:
    code = parse_kernel(NESTED + METADATA, "twice")
    assert len(code.instructions) == 17
    assert code.instructions[3] == Instruction("v_mac_f32", "v1, v2, v3")
    assert "other" not in code.text
    assert ".globl" not in code.text


def test_innermost_loops_are_found_by_branches_back() -> None:
    first, second = parse_kernel(NESTED + METADATA, "twice").loops
    assert (first.label, [one.name for one in first.instructions]) == (
        ".LBB0_2", ["v_mac_f32", "ds_read_b128", "s_cbranch_scc0"],
    )  # fmt: skip
    assert second.label == ".LBB0_4"
    assert [one.name for one in second.instructions] == [
        "v_cmp_gt_u32", "s_and_saveexec_b64", "s_cbranch_execz", "v_mul_lo_u32", "flat_load_dwordx4", "s_or_b64",
        "s_cbranch_scc1",
    ]  # fmt: skip


def test_what_no_way_leads_to_makes_no_loop() -> None:
    """LLVM leaves an empty block behind a branch that is always taken; that one seems to be reached by everything."""
    code = NESTED.replace("	s_branch .LBB0_7\n", "	s_branch .LBB0_7\n	s_branch .LBB0_1\n")
    assert [loop.label for loop in parse_kernel(code + METADATA, "twice").loops] == [".LBB0_2", ".LBB0_4"]


def test_the_metadata_are_read() -> None:
    found = parse_kernel(NESTED + METADATA, "twice").resources
    assert (found.vgprs, found.sgprs, found.lds_bytes, found.scratch_bytes) == (12, 14, 1024, 0)
    assert (found.group, found.max_group, found.dynamic_stack) == ((64, 4, 1), 256, False)


@pytest.mark.parametrize(("isa", "entry"), [(NESTED + METADATA, "none"), (NESTED, "twice"), (METADATA, "twice")])
def test_a_kernel_that_is_not_there_is_an_error(isa: str, entry: str) -> None:
    with pytest.raises(BuildError, match="polaris"):
        parse_kernel(isa, entry)


@pytest.mark.parametrize(
    ("name", "clocks"),
    [
        ("v_mac_f32", 4), ("v_mad_i32_i24", 4), ("v_mul_i32_i24", 4), ("v_mul_hi_u32_u24", 4), ("v_fma_f16", 4),
        ("v_trunc_f32", 4), ("v_lshlrev_b64", 8), ("v_cmp_lt_u64", 8), ("v_cmp_lt_u32", 4), ("v_fma_f32", 16),
        ("v_mul_lo_u32", 16), ("v_mul_hi_i32", 16), ("v_mad_u64_u32", 16), ("v_cvt_f32_i32", 16), ("v_exp_f32", 16),
        ("v_rcp_iflag_f32", 16), ("v_sqrt_f32", 16), ("v_cvt_f64_f32", 16), ("v_add_f64", 32), ("v_fma_f64", 64),
        ("s_mul_i32", 4), ("ds_read_b128", 4), ("flat_load_dword", 4),
    ],
)  # fmt: skip
def test_clocks_are_those_of_the_table(name: str, clocks: int) -> None:
    assert issue_clocks(name) == clocks


def instructions(*names: str) -> list[Instruction]:
    return [Instruction(name, "") for name in names]


def test_each_instruction_is_of_one_class() -> None:
    listed = instructions(
        "v_mac_f32", "v_mad_u32_u24", "v_add_f32", "v_mul_lo_u32", "v_fma_f32", "v_readfirstlane_b32", "s_load_dwordx4",
        "s_add_u32", "ds_write_b32", "flat_load_dword", "buffer_load_dword", "flat_store_dword", "flat_atomic_add",
        "s_waitcnt", "s_barrier", "s_cbranch_execz", "s_endpgm",
    )  # fmt: skip
    assert instruction_mix(listed) == Mix(2, 2, 2, 2, 1, 2, 2, 4)
    assert instruction_mix(listed).total == len(listed)


def test_pressure_takes_the_busier_of_arithmetic_and_lds() -> None:
    arithmetic = pressure(instructions("v_mac_f32", "v_mac_f32", "v_mac_f32", "v_exp_f32", "s_branch"))
    assert (arithmetic.valu_clocks, arithmetic.lds_clocks, arithmetic.issue_clocks) == (28, 0, 32)
    assert arithmetic.peak_share == pytest.approx(12 / 28)
    # 16 multiply-adds on 2 x 16 bytes of a lane: a 4 x 4 tile of registers, which LDS just feeds.
    fed = pressure(instructions("ds_read_b128", "ds_read_b128", *["v_mac_f32"] * 16))
    assert (fed.valu_clocks, fed.lds_clocks, fed.peak_share) == (64, 64, 1.0)
    starved = pressure(instructions("ds_read2_b32", "ds_read_b64", *["v_mac_f32"] * 4))
    assert (starved.lds_clocks, starved.peak_share) == (32, 0.5)
    assert pressure(instructions("s_branch")).peak_share is None
