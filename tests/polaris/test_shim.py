"""Every builtin that the shim defines: none stays a call, and those that the card has as one instruction become it."""

from __future__ import annotations

import pytest

from rx580lab.compile import Build, kernel_files
from rx580lab.compile.build import OPTIONS
from rx580lab.polaris.checks import faults_of
from rx580lab.polaris.isa import KernelCode, parse_kernel
from rx580lab.polaris.toolchain import compile_build
from tests.requirements import require

FLOATS = {
    1: """fabs floor ceil trunc rint round sqrt exp exp2 log log2 log10 sin cos tan expm1 log1p tanh sinh cosh atan asin
    acos asinh acosh atanh erf rsqrt native_rsqrt native_sqrt native_recip native_exp2 native_exp native_log2 native_log
    native_sin native_cos""",
    2: "fmax fmin copysign fmod pow powr native_powr native_divide fdim hypot max min",
    3: "mad clamp mix",
}
INTEGERS = {2: "max min add_sat sub_sat", 3: "clamp"}
WORDS = {1: "popcount", 2: "mul24 mul_hi rotate max min", 3: "mad24 clamp"}
TYPES = ("char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "float")
PLACES = ("local_id", "group_id", "local_size", "global_size", "num_groups", "global_offset", "global_id")


def compiled(lines: list[str], parameters: str = "") -> tuple[KernelCode, list[str]]:
    """A kernel that reads and writes at ``p``, and its faults."""
    require("ziglang")
    body = "\n  ".join(lines)
    text = f"__kernel void f(__global char *p{parameters}) {{\n  const uint i = get_global_id(0);\n  {body}\n}}\n"
    found = compile_build(Build("uses.cl", "f", text, OPTIONS))
    code = parse_kernel(found.isa, "f")
    return code, [fault.check for fault in faults_of(found, code)]


def use(name: str, kind: str, n: int, result: str | None = None) -> str:
    """A call of ``name`` with n arguments of one type, added to what lies at p."""
    arguments = ", ".join(f"((__global {kind} *)p)[i + {k}]" for k in range(n))
    return f"((__global {result or kind} *)p)[i] += {name}({arguments});"


def uses(table: dict[int, str], kind: str) -> list[str]:
    return [use(name, kind, n) for n, names in table.items() for name in names.split()]


@pytest.mark.parametrize("width", ["", "3", "8"])
def test_functions_of_floats(width: str) -> None:
    relations = [use(name, f"float{width}", 1, f"int{width}") for name in ("isnan", "isinf", "isfinite")]
    assert compiled(uses(FLOATS, f"float{width}") + relations)[1] == []


def test_functions_of_integers() -> None:
    kinds = [f"{kind}{width}" for kind in TYPES[:-1] for width in ("", "4")]
    assert compiled([line for kind in kinds for line in uses(INTEGERS, kind)])[1] == []
    assert compiled(uses(WORDS, "int") + uses(WORDS, "uint") + [use("clz", "int", 1), use("abs", "int", 1)])[1] == []


@pytest.mark.parametrize("to", TYPES)
def test_conversions(to: str) -> None:
    lines = [
        use(f"convert_{to}{width}", f"{start}{width}", 1, f"{to}{width}") for start in TYPES for width in ("", "4")
    ]
    if to not in {"float", "long", "ulong", "int", "uint"}:
        modes = ("_sat", "_sat_rte", "_sat_rtz", "_rte", "_rtz")
        lines += [use(f"convert_{to}4{mode}", "float4", 1, f"{to}4") for mode in modes]
    assert compiled(lines)[1] == []


def test_memory_and_atomics() -> None:
    moves = [f"vstore{n}(vload{n}(i, (__global {t} *)p), i, ({s} {t} *){a});"
             for t in TYPES for n in (2, 4, 8, 16) for s, a in (("__global", "p"), ("__local", "t"))]  # fmt: skip
    halves = [f"vstore_half{n}(vload_half{n}(i, (__global half *)p), i, (__global half *)p);" for n in ("", 2, 4, 8)]
    halves += [one.replace("(vload", "_rte(vload") for one in halves]
    one = ["sub", "min", "max", "and", "or", "xchg", "add"]
    atomics = [f"atomic_{name}(({s} {t} *){a}, 3);"
               for name in one for t in ("int", "uint") for s, a in (("__global", "p"), ("__local", "t"))]  # fmt: skip
    exchange = [
        "atomic_cmpxchg((__global int *)p, 3, 4);",
        "atomic_inc((__global int *)p);",
        "atomic_dec((__local int *)t);",
    ]
    assert compiled([*moves, *halves, *atomics, *exchange], ", __local char *t")[1] == []


def test_no_kernel_includes_it() -> None:
    assert [path.name for path in kernel_files() if path.suffix == ".cl" and "gfx803_shim" in path.read_text()] == []


def test_places_and_barriers() -> None:
    lines = [f"((__global int *)p)[{d}] += get_{name}({d});" for name in PLACES for d in range(3)]
    fences = ["barrier(CLK_LOCAL_MEM_FENCE);", "mem_fence(CLK_GLOBAL_MEM_FENCE);", "read_mem_fence(1);"]
    code, faults = compiled([*lines, *fences, "((__global int *)p)[4] = get_work_dim();"])
    assert faults == []
    assert sum(one.name == "s_barrier" for one in code.instructions) == 1


@pytest.mark.parametrize(
    ("line", "instruction"),
    [
        (use("mad", "float", 3), "v_mac_f32"),
        (use("fma", "float", 3), "v_fma_f32"),
        (use("mad24", "int", 3), "v_mad_i32_i24"),
        (use("mul24", "uint", 2), "v_mad_u32_u24"),
        (use("native_exp2", "float", 1), "v_exp_f32"),
        (use("native_rsqrt", "float", 1), "v_rsq_f32"),
        (use("native_recip", "float", 1), "v_rcp_f32"),
        (use("fmax", "float", 2), "v_max_f32"),
        (use("popcount", "uint", 1), "v_bcnt_u32_b32"),
        (use("rotate", "uint", 2), "v_alignbit_b32"),
        ("((__global int *)p)[i] = clamp(((__global int *)p)[i], -5, 127);", "v_med3_i32"),
        ("vstore_half(vload_half(i, (__global half *)p), i + 1, (__global half *)p);", "flat_load_ushort"),
        ("atomic_add((__global int *)p + i, 3);", "flat_atomic_add"),
    ],
)
def test_a_builtin_becomes_the_instruction_of_the_card(line: str, instruction: str) -> None:
    assert instruction in {one.name for one in compiled([line])[0].instructions}
