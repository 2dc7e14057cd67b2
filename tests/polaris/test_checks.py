"""Each check by a kernel that trips it and no other; the compiler found them all in order and exited with 0."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from rx580lab.compile import Build, expanded_source
from rx580lab.compile.build import OPTIONS
from rx580lab.errors import BuildError, CompilerUnavailable
from rx580lab.polaris import toolchain
from rx580lab.polaris.checks import CHECKS, Fault, faults_of
from rx580lab.polaris.isa import parse_kernel
from rx580lab.polaris.toolchain import ZIGLANG, compile_build
from tests.requirements import require
from tests.tree import ROOT

GOOD = "__kernel void f(__global float *x) { x[get_global_id(0)] = MAC(x[0], x[1], x[2]); }"
PLANTED = {
    "call": "__attribute__((noinline)) float g(float a) { return a < 1.0f ? 1.0f : a * 2.0f; }\n"
    "__kernel void f(__global float *x) { x[0] = g(x[0]); }",
    "link": "extern __constant float t[64];\n__kernel void f(__global float *x) { x[0] = t[get_local_id(0)]; }",
    "scratch": "__kernel void f(__global float *x, __global int *k) {\n"
    "  float v[64];\n  for (int i = 0; i < 64; ++i) v[i] = x[i * 64];\n  x[0] = v[k[0]];\n}",
    "fma": "__kernel void f(__global float *x) { x[0] = fma(x[0], x[1], x[2]); }",
    "integer multiply": "__kernel void f(__global int *x, int n) {\n"
    "  int s = 0;\n  for (int i = 0; i < n; ++i) s += x[i] * x[i + get_local_id(0)];\n  x[0] = s;\n}",
}


def build(text: str, *options: str) -> Build:
    require("ziglang")
    return Build("planted.cl", "f", expanded_source(f'#include "mac.h"\n{text}\n', "planted.cl"), (*OPTIONS, *options))


def faults(text: str, *options: str) -> list[str]:
    compiled = compile_build(build(text, *options))
    return [fault.check for fault in faults_of(compiled, parse_kernel(compiled.isa, "f"))]


def test_a_good_kernel_has_none() -> None:
    assert faults(GOOD) == []


@pytest.mark.parametrize("check", PLANTED)
def test_a_planted_fault_trips_its_check_alone(check: str) -> None:
    assert faults(PLANTED[check]) == [check]


def test_a_builtin_that_nobody_defined_still_compiles() -> None:
    text = GOOD.replace("MAC(", "lgamma(0.5f) + MAC(")
    assert faults(text) == ["call", "dynamic stack", "link"]


def test_a_dynamic_stack_alone_is_a_fault() -> None:
    """Clang 18 makes one only for a call that leads out of the text, which other checks see as well."""
    compiled = compile_build(build(GOOD))
    code = parse_kernel(compiled.isa.replace(".uses_dynamic_stack: false", ".uses_dynamic_stack: true"), "f")
    assert faults_of(compiled, code) == (Fault("dynamic stack", ".uses_dynamic_stack is true"),)


@pytest.mark.parametrize("field", [".private_segment_fixed_size:", ".vgpr_spill_count:", ".sgpr_spill_count:"])
def test_each_kind_of_spill_is_a_fault(field: str) -> None:
    compiled = compile_build(build(GOOD))
    spilled = parse_kernel(compiled.isa.replace(f"{field} 0", f"{field} 4"), "f")
    assert [fault.check for fault in faults_of(compiled, spilled)] == ["scratch"]


def test_every_check_is_planted() -> None:
    assert {*PLANTED, "dynamic stack"} == set(CHECKS)


def test_the_fmas_of_a_division_are_no_fault_and_one_more_is() -> None:
    division = "__kernel void f(__global float *x) { x[0] = x[1] / x[2] + x[3] / x[4]; }"
    rounded = "-cl-fp32-correctly-rounded-divide-sqrt"
    assert "v_fma_f32" in compile_build(build(division, rounded)).isa
    assert faults(division, rounded) == []
    assert faults(division.replace("x[0] =", "x[0] = fma(x[5], x[6], x[7]) +"), rounded) == ["fma"]


def test_the_fma_of_a_conversion_to_64_bits_is_no_fault_and_one_more_is() -> None:
    conversion = (
        "__kernel void f(__global float *x, __global long *k, int n) { for (; n > 0; --n, ++x) k[n] = (long)x[0]; }"
    )
    assert compile_build(build(conversion)).isa.count("v_fma_f32") == 1
    assert faults(conversion) == []
    assert faults(conversion.replace("x[0];", "fma(x[0], x[1], x[2]);")) == ["fma"]


def test_an_integer_multiplication_outside_the_loop_is_no_fault() -> None:
    text = PLANTED["integer multiply"].replace("x[i] * x", "x[i] + x").replace("= s;", "= s * s;")
    assert faults(text) == []


def test_another_kernel_of_the_text_may_be_broken() -> None:
    assert faults(f"{GOOD}\n__kernel void g(__global float *x) {{ x[0] = lgamma(x[0]); }}") == []


def test_what_does_not_compile_is_an_error_at_its_own_line() -> None:
    with pytest.raises(BuildError, match=r"(?s)did not compile for gfx803.*planted\.cl:3:\d+: error"):
        compile_build(build("\n" + GOOD.replace("x[2]", "y[2]")))


def test_the_second_time_the_compiler_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RX580LAB_CACHE", str(tmp_path))
    asked: list[str] = []
    run = toolchain._zig

    def counted(*arguments: str) -> Any:
        asked.append(arguments[0])
        return run(*arguments)

    monkeypatch.setattr(toolchain, "_zig", counted)
    first = compile_build(build(GOOD))
    assert (compile_build(build(GOOD)), asked) == (first, ["clang", "clang", "ld.lld"])
    compile_build(build(GOOD, "-cl-fast-relaxed-math"))
    assert len(asked) == 6
    for n, damaged in enumerate(('{"isa": "', '{"isa": 1, "link_error": null}', "[]"), start=3):
        for kept in (tmp_path / "gfx803").iterdir():
            kept.write_text(damaged)
        assert compile_build(build(GOOD)) == first
        assert len(asked) == 3 * n


def test_without_the_compiler_the_message_has_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ziglang", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(CompilerUnavailable, match=rf"\[polaris\] expected ziglang {ZIGLANG}.*got none.*pip install"):
        compile_build(Build("planted.cl", "f", GOOD, OPTIONS))


def test_another_release_of_the_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    require("ziglang")
    monkeypatch.setattr(metadata, "version", lambda _name: "0.17.1")
    with pytest.raises(CompilerUnavailable, match=rf"expected ziglang {ZIGLANG}, got 0\.17\.1"):
        compile_build(Build("planted.cl", "f", GOOD, OPTIONS))


def test_the_release_is_the_one_that_pyproject_installs() -> None:
    for path in ("pyproject.toml", "rx580lab/cli/devices.py", "rx580lab/device/linker.py"):
        assert f"ziglang=={ZIGLANG}" in (ROOT / path).read_text(encoding="utf-8"), path
